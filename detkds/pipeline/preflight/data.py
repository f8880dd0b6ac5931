"""The data set: annotations, images, classes, and the subsets that the search will draw."""

from __future__ import annotations

from detkds.errors import ArtifactError, DatasetError
from detkds.pipeline.preflight.facts import Coco, Facts
from detkds.pipeline.run_config import RunConfig, Split, is_remote


def data(facts: Facts) -> None:
    from detkds.data.coco import load
    from detkds.pipeline.data_set import data_set
    from detkds.pipeline.leakage import shared_content
    from detkds.pipeline.subset import require_same_classes
    from detkds.pipeline.unlabelled import found

    config = facts.config
    if config.data.root in facts.unseen:
        return
    place, faults = data_set(config.data.root), []
    teachers = config.teacher.train.data if config.teacher.train else None
    splits: dict[str, Split | None] = {"train": config.data.train, "test": config.data.test, "teacher": teachers}
    for name, split in splits.items():
        try:
            if split:
                facts.data[name] = load(place.annotations(split.annotations), place.in_place(split.images))
                if place.in_place(split.images) is None:
                    place.state(split.images, [image["file_name"] for image in facts.data[name]["images"]])  # whether they exist
        except (DatasetError, ArtifactError) as error:
            faults.append(str(error))
    if faults:
        facts.data.clear()
        raise DatasetError("\n".join(faults))
    source, train, test = facts.source(), facts.data["train"], facts.data["test"]
    require_same_classes(source, train, test)
    content = shared_content(place, source, train, test)
    if source.unlabelled and not is_remote(source.unlabelled):
        facts.unlabelled = found(place, source, train, test)
    facts.search_train = _draw(config, train, content.repeated_ids)


def _draw(config: RunConfig, train: Coco, leave_out: tuple[int, ...]) -> Coco:
    """Draw the subsets as the first stage will, and see that candidates can be scored."""
    from detkds.data.sampling.counting import Counting
    from detkds.data.sampling.subset import split

    search = config.search
    drawn = split(
        dict(train),
        fraction=search.subset,
        val_fraction=search.search_val,
        seed=config.seed,
        counting=Counting(search.sizes, search.crowd, search.empty),
        leave_out=leave_out,
    )
    for name, part in (("search-train", drawn.search_train), ("search-val", drawn.search_val)):
        if not any(not annotation["iscrowd"] for annotation in part["annotations"]):
            raise DatasetError(
                f"{name} would hold no object of its {len(part['images'])} images; raise search.subset or search.search_val."
            )
    return drawn.search_train
