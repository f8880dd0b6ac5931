"""Whatever would stop a run before its first training step, found before anything expensive starts.

`detkds run` and `detkds check` both ask here, so that what the one refuses the other refuses too. A new rule is a function with the
run's facts that raises an error of ours; it joins RULES.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from detkds.errors import ArtifactError, ConfigError, DatasetError, DetKDSError
from detkds.genome import Recipe
from detkds.pipeline.run_config import RunConfig, Split, is_remote
from detkds.pipeline.settings import Pair, Schedule, Source

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn

    from detkds.detectors.training.batches import Samples
    from detkds.detectors.training.batches import Source as ImageSource
    from detkds.detectors.training.kept import Kept
    from detkds.pipeline.unlabelled import Found
    from detkds.unlabelled import Unlabelled

Coco = Mapping[str, Any]


@dataclass
class Facts:
    """What is known of a run; rules add to it what later rules need, in the order of RULES.

    Args:
        config: the checked run.yaml.
        path: of the run.yaml.
        home: as of `detkds run`.
        trust: whether config files that are Python may run.
        recipe: text of the recipe to train with instead of searching.
        whole: a whole run is asked for, not one of its parts, such as a training, or a comparison.
        unseen: addresses in a store that is not at hand; they are not looked at.
        data: train and test as parsed.
        search_train: the images that candidates will be trained on.
        classes: in label order; names by number where nothing is known of the data.
        configs, detectors: by role, adapted to the classes.
        kept: what the student is trained on.
        losses: the recipe, where one was named.
        unlabelled: the images without labels, where the run has some on this machine.
        step: what a training step takes of them, for people.
    """

    config: RunConfig
    path: Path
    home: Path
    trust: bool
    recipe: str = ""
    whole: bool = True
    unseen: frozenset[str] = frozenset()
    data: dict[str, Coco] = field(default_factory=dict)
    search_train: Coco | None = None
    classes: tuple[str, ...] = ()
    configs: dict[str, Config] = field(default_factory=dict)
    detectors: dict[str, nn.Module] = field(default_factory=dict)
    kept: Kept | None = None
    losses: Recipe | None = None
    unlabelled: Found | None = None
    step: str = ""

    @property
    def images_here(self) -> bool:
        """Whether images are on this machine: those of a store are not fetched for a look."""
        return bool(self.data) and not is_remote(self.config.data.root)

    @property
    def teacher_detects(self) -> bool:
        """Whether the teacher, once it is built, is a detector, and no backbone alone."""
        from detkds.detectors.backbone_teacher import detects

        return "teacher" not in self.detectors or detects(self.detectors["teacher"])

    def source(self) -> Source:
        """The data set, as the subset stage takes it."""
        from detkds.pipeline.addresses import source_of

        return source_of(self.config)

    def pair(self) -> Pair:
        """Teacher and student; what is not on this machine is left out."""
        from detkds.pipeline.addresses import student_address, teacher_address

        config = self.config
        addresses = (teacher_address(config.teacher, self.home, self.trust), student_address(config, self.home, self.trust))
        weights = [text if text and not is_remote(text) else "" for text in (config.teacher.checkpoint, config.student.checkpoint)]
        return Pair(addresses[0], weights[0], addresses[1], weights[1], config.student.inherit)

    def schedule(self) -> Schedule:
        """Of the full training."""
        from detkds.pipeline.addresses import unlabelled_use

        train = self.config.train
        told = (train.epochs, train.batch_size or 0, train.learning_rate or 0.0, train.amp, self.config.seed)
        return Schedule(*told, unlabelled_use(self.config), train.channels_last, train.compiled)

    @contextmanager
    def unlabelled_source(self) -> Iterator[tuple[ImageSource, Unlabelled] | None]:
        """The images without labels and how they are used; None where the run has none on this machine. The file is gone afterwards."""
        from detkds.detectors.training.batches import Source as Images

        found, use = self.unlabelled, self.schedule().unlabelled
        if found is None or use is None:
            yield None
            return
        with TemporaryDirectory() as scratch:
            file = Path(scratch) / "unlabelled.json"
            file.write_text(json.dumps(found.content))
            yield Images(file, Path(found.root, found.folder)), use


def preflight(
    config: RunConfig,
    path: Path,
    *,
    home: Path,
    trust: bool,
    recipe: str = "",
    whole: bool = True,
    unseen: frozenset[str] = frozenset(),
) -> Facts:
    """All that can be known of a run before it starts. Of data in a store the annotations are fetched, and the list of its images.

    Args:
        config: the checked run.yaml.
        path: of the run.yaml.
        home, trust: as of `detkds run`.
        recipe: train with it instead of searching.
        whole: False for a part of a run, which needs no kfp, and where a knowledge that cannot be searched is the part's own matter.
        unseen: addresses of the run in a store that is not at hand: they are not looked at.

    Raises:
        ConfigError, DatasetError, DetKDSError: everything that is wrong, one line per fault; the class is that of the first.
    """
    facts = Facts(config, path, home.resolve(), trust, recipe, whole, unseen)
    faults: list[DetKDSError] = []
    for rule in RULES:
        try:
            rule(facts)
        except DetKDSError as error:
            faults.append(error)
            if rule in (_one_machine, _home):  # the rest is for this machine, and needs a place to work
                break
    if faults:
        lines = dict.fromkeys(line for fault in faults for line in str(fault).splitlines())
        raise _of_kind(faults[0], "\n".join(lines))
    return facts


def _of_kind(first: DetKDSError, text: str) -> DetKDSError:
    for kind in (ConfigError, DatasetError):
        if isinstance(first, kind):
            return kind(text)
    error = DetKDSError(text)
    error.exit_code = first.exit_code
    return error


def _one_machine(facts: Facts) -> None:
    config, path = facts.config, facts.path
    for key, nodes in (("train.nodes", config.train.nodes), ("search.nodes", config.search.nodes)):
        if nodes > 1:
            raise ConfigError(f"{path}: {key} is {nodes}, but this is one machine; set it to 1, or use detkds submit.")
    if claims := ", ".join(config.claims()):
        raise ConfigError(f"{path}: names the volume claim {claims}, which only a cluster has; give a folder, or use detkds submit.")


def _packages(facts: Facts) -> None:
    needed = {"kfp": "a run on this machine"} if facts.whole else {}
    if facts.config.search.algorithm == "tpe" and not facts.recipe:
        needed["optuna"] = "search.algorithm tpe"
    needed |= dict.fromkeys(facts.config.train.loggers, "train.loggers")
    for name, what in needed.items():
        if find_spec(name) is None:
            raise ConfigError(f"the package {name} is not installed, and {what} needs it; install it: pip install {name}.")
    if facts.config.train.compiled:
        from detkds.detectors.device import uncompilable

        if reason := uncompilable():
            raise ConfigError(f"{facts.path}: train.compiled: {reason}.")


def _home(facts: Facts) -> None:
    require_writable(facts.home)


def require_writable(home: Path) -> None:
    """Refuse a home that cannot be written.

    Raises:
        ConfigError: it is not a folder, or this user may not write to it.
    """
    standing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise ConfigError(f"--home {home} cannot be written; give a folder that can, with --home or DETKDS_HOME.")


def _recipe(facts: Facts) -> None:
    if facts.recipe:
        from detkds.genome.presets import is_preset, preset

        text = facts.recipe.strip()
        facts.losses = preset(text) if is_preset(text) else Recipe.parse(text, facts.config.search.semantics)


def _stored_files(facts: Facts) -> None:
    """Checkpoints in a store are fetched by the tasks that need them; here they must only be there."""
    from detkds.storage.uri import open_store

    faults = []
    for key, address in facts.config.stored_files().items():
        folder, _, name = address.rpartition("/")
        if address not in facts.unseen and not open_store(folder).exists(name):
            faults.append(f"{facts.path}: {key}: {address} is not in the store; put it there, or correct the address.")
    if faults:
        raise ConfigError("\n".join(faults))


def _data(facts: Facts) -> None:
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


def _detectors(facts: Facts) -> None:
    """Build both detectors with their weights."""
    from detkds.detectors.checkpoints import apply_backbone, apply_teacher, apply_weights, load_weights
    from detkds.detectors.configs.config import build_detector
    from detkds.detectors.configs.data_config import read_config
    from detkds.pipeline import pair as pairs

    faults = []
    for role, detector in (("teacher", facts.config.teacher), ("student", facts.config.student)):
        try:
            loaded = read_config(detector.config, trust=facts.trust)
            loaded.merge_from_dict(detector.options)
            _require_new(detector.config, loaded)
        except DetKDSError as error:
            faults.append(f"{role}: {error}")
    if faults:
        raise ConfigError("\n".join(faults))
    pair = facts.pair()
    facts.classes = _classes(facts, pair)
    for role, address, checkpoint in (
        ("teacher", pair.teacher_config, pair.teacher_checkpoint),
        ("student", pair.student_config, pair.student_checkpoint),
    ):
        try:
            config = pairs.detector_config(address, facts.classes, pretrained=True)
            facts.configs[role], facts.detectors[role] = config, build_detector(config, seed=0)
            if not checkpoint:
                continue
            weights = load_weights(checkpoint)
            if role == "teacher":
                apply_teacher(facts.detectors[role], weights, f"{role} checkpoint {checkpoint}")
            elif any(name.startswith("backbone.") for name in weights):
                apply_weights(facts.detectors[role], weights, f"{role} checkpoint {checkpoint}")
            else:
                apply_backbone(facts.detectors[role], weights, f"backbone weights {checkpoint}")
        except DetKDSError as error:
            faults.append(f"{role}: {error}")
    if faults:
        raise ConfigError("\n".join(faults))


def _classes(facts: Facts, pair: Pair) -> tuple[str, ...]:
    """The label order of the run; names by number where nothing is known of the data."""
    from detkds.detectors.configs.config import own_class_count
    from detkds.detectors.configs.data_config import read_config
    from detkds.pipeline import pair as pairs

    if "train" not in facts.data:
        known = pair.teacher_config if pairs.detects(pair.teacher_config) else pair.student_config
        return tuple(map(str, range(own_class_count(read_config(known)))))
    return pairs.classes_of_pair(pair, (str(category["name"]) for category in facts.data["train"]["categories"]))


def _require_new(address: str, config: Config) -> None:
    """Refuse a config of mmdet 2, whose keys mmdet 3 does not read."""
    old = [key for key in ("data", "optimizer", "total_epochs", "runner", "lr_config", "optimizer_config", "evaluation") if key in config]
    if old and not config.get("train_dataloader"):
        raise ConfigError(
            f"the config {address} is one of mmdet 2 (it has {', '.join(old)} and no train_dataloader); "
            "write it for mmdet 3: docs of mmdet, 'Migrating from MMDetection 2.x to 3.x'."
        )


def _training(facts: Facts) -> None:
    """What a config requires of training and DetKDS does not do; the teacher's config counts if it is trained here."""
    from detkds.detectors.training.asked import refusals

    roles = [role for role in facts.configs if role == "student" or facts.config.teacher.train]
    if lines := [f"{role}: {line}" for role in roles for line in refusals(facts.configs[role])]:
        raise ConfigError("\n".join(lines))


def _samples(facts: Facts) -> None:
    """What training and evaluation ask of configs and data: pipelines, filters, masks, optimizer, schedule, hooks."""
    from detkds.detectors.training.batches import Samples
    from detkds.detectors.training.batches import Source as Images
    from detkds.detectors.training.schedule import build_optimizer, build_schedulers
    from detkds.pipeline import pair as pairs

    if set(facts.configs) != {"teacher", "student"}:
        return
    student = facts.configs["student"]
    settings = pairs.settings(facts.schedule(), student)
    optimizer = build_optimizer(student, facts.detectors["student"], learning_rate=settings.learning_rate)
    build_schedulers(student, optimizer, steps=1000)
    if not facts.images_here:
        return
    data, root = facts.config.data, Path(facts.config.data.root)
    train, test = (Images(root / split.annotations, root / split.images) for split in (data.train, data.test))
    facts.kept = _first(Samples(student, train, training=True)).kept
    for role, config in facts.configs.items():
        if role == "student" or facts.teacher_detects:
            _first(Samples(config, test, training=False))
    with facts.unlabelled_source() as unlabelled:
        if unlabelled:
            _first(Samples(student, unlabelled[0], training=True, labelled=False))
            if facts.unlabelled:
                use, batch = unlabelled[1], settings.batch_size
                count, losses = min(facts.unlabelled.images, use.images(batch)), use.knowledge.replace(",", ", ")
                facts.step = f"{count} unlabelled images beside {batch} labelled ones per step, for the losses of {losses}; "
                facts.step += f"the teacher's detections of score {use.min_score:g} or more stand for objects there"
    if training := facts.config.teacher.train:
        own = training.data or data.train
        _first(Samples(facts.configs["teacher"], Images(root / own.annotations, root / own.images), training=True))


def _first(samples: Samples) -> Samples:
    """Send the first image through the pipeline.

    Raises:
        ConfigError: it does not come out.
    """
    try:
        samples[0, 0]
    except DetKDSError:
        raise
    except Exception as error:  # transforms of many libraries: anything may come out of them
        raise ConfigError(f"the pipeline of a detector's config fails on the first image: {type(error).__name__}: {error}.") from error
    return samples


def _knowledge(facts: Facts) -> None:
    """What is searched or trained with must be something that this pair shares."""
    from detkds.detectors.distiller import DistilledDetector, supported
    from detkds.detectors.normalization import show_scaled

    if set(facts.detectors) != {"teacher", "student"}:
        return
    student, teacher = facts.detectors["student"], facts.detectors["teacher"]
    show_scaled(teacher, facts.config.teacher.scale)
    if not facts.whole:
        return
    if facts.recipe:
        if facts.losses is not None:
            _require_use(facts.losses, facts.schedule().unlabelled)
            DistilledDetector(student, teacher, facts.losses, facts.schedule().unlabelled)
        return
    reasons = supported(student, teacher)
    searched = facts.config.search.knowledge
    if faults := [f"search.knowledge: {name} cannot be searched: {reasons[name]}" for name in searched if reasons[name]]:
        raise ConfigError("\n".join(faults))


def _require_use(recipe: Recipe, use: Unlabelled | None) -> None:
    """Refuse a recipe that has losses and takes none of them of the images without labels."""
    losses = [str(genome.knowledge) for genome in recipe.active]
    if use and losses and not any(map(use.uses, losses)):
        raise ConfigError(
            f"data.unlabelled.knowledge has none of the recipe's losses ({', '.join(losses)}); add one, or leave data.unlabelled out."
        )


def _room(facts: Facts) -> None:
    from detkds.pipeline.cost import require_room

    if set(facts.detectors) == {"teacher", "student"}:
        require_room(facts)


RULES: tuple[Callable[[Facts], None], ...] = (
    _one_machine,
    _packages,
    _home,
    _recipe,
    _stored_files,
    _data,
    _detectors,
    _training,
    _samples,
    _knowledge,
    _room,
)
