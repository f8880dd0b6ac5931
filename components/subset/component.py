"""Stage 1: validate the data set and draw search-train and search-val from its training images."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def subset(
    dataset: str,
    train_annotations: str,
    train_images: str,
    test_annotations: str,
    test_images: str,
    fraction: float,
    val_fraction: float,
    sizes: str,
    crowd: str,
    empty: str,
    seed: int,
    data_version: str,
    subset: dsl.Output[dsl.Dataset],
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Hands on train.json, search_train.json, search_val.json and test.json; no image is moved.

    Args:
        dataset: Folder or s3:// address of a COCO-format data set.
        train_annotations: Annotation file of the training images, relative to dataset.
        train_images: Folder of the training images, relative to dataset.
        test_annotations: Annotation file of the final test images, relative to dataset.
        test_images: Folder of the final test images, relative to dataset.
        fraction: Share of the training images that candidates are trained on.
        val_fraction: Share of the training images that candidates are scored on; disjoint from the former.
        sizes: What makes an object small, medium or large: box or mask area.
        crowd: Crowd regions: ignore, count as objects, or exclude their images.
        empty: Images without objects: share, they come in proportion, or exclude.
        seed: Seed of the draw.
        data_version: Any text; another text runs everything anew.
    """
    from pathlib import Path

    from detkds.data.sampling.counting import Counting
    from detkds.pipeline import subset as stage
    from detkds.pipeline.kubeflow.outputs import hand_on
    from detkds.pipeline.settings import Source

    source = Source(dataset, train_annotations, train_images, test_annotations, test_images)
    counting = Counting(sizes, crowd, empty)  # type: ignore[arg-type]  # checked there
    result = stage.run(source, fraction=fraction, val_fraction=val_fraction, seed=seed, out=Path(subset.path), counting=counting)
    hand_on(result, subset, summary=summary)
