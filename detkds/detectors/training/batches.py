"""Batches of a COCO data set for training and testing, through the pipelines of a detector's own config."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.utils.data import Dataset

from detkds.data.coco import load
from detkds.detectors.configs.classes import require_same_classes
from detkds.detectors.silence import silence
from detkds.detectors.training import masks
from detkds.detectors.training.kept import Kept
from detkds.detectors.training.loading import loaded
from detkds.detectors.training.mixing import MixingCocoDataset
from detkds.detectors.training.order import Order
from detkds.detectors.training.randomness import Purpose, derived_seed, preserved, seed_all
from detkds.detectors.training.stored_images import storing
from detkds.errors import ConfigError, DatasetError

Batch = dict[str, Any]
"""{"inputs": list of (3, H, W) tensors, "data_samples": list of mmdet DetDataSample}, as mmdet's data preprocessors take it."""

_READ_SO = {"color_type": "color", "imdecode_backend": "cv2"}  # as detkds.data.checking.reading does


_KEEP_EMPTY = {
    "RandomCrop": {"allow_negative_crop": True},
    "FilterAnnotations": {"keep_empty": False},  # mmdet: whether an image without objects becomes None
}


@dataclass(frozen=True, slots=True)
class Source:
    """One COCO annotation file and the folder that its file names are relative to."""

    annotations: Path
    images: Path


class _NamedCategories(COCO):  # type: ignore[misc]
    """mmdet's own answers in the order of the file, whatever order of classes it is asked for."""

    def get_cat_ids(self, cat_names: Sequence[str] = (), sup_names: Sequence[str] = (), cat_ids: Sequence[int] = ()) -> list[int]:
        """The ids of named categories, in the order of the names."""
        ids = {str(category["name"]): int(category["id"]) for category in self.dataset["categories"]}
        return [ids[name] for name in cat_names]


@DATASETS.register_module()
class CocoByName(MixingCocoDataset):
    """mmdet's CocoDataset with labels in the order of its `metainfo.classes`, wherever the file lists them; it mixes images by place."""

    COCOAPI = _NamedCategories


class Samples(Dataset[Any]):
    """The images of a Source through one pipeline.

    An item is asked for by (epoch, index): its augmentations depend on (seed, epoch, index) only.

    Args:
        config: a full detector config; its train or test loader's data set gives the pipeline and wrappers.
        source: where annotations and images are. The whole file is validated.
        training: the train pipeline, with masks where it wants them, and the `filter_cfg` of the config: without one every image is
            trained on, as in mmdet. The test pipeline loads no masks.
        seed: of order and augmentations.
        labelled: whether the file must have annotations. Without labels every image is trained on, and steps of the pipeline that leave out
            images without objects keep them.

    Attributes:
        truth: the COCO object as parsed.
        classes: class names in label order: that of the config's own data set, which `adapt` writes; the file's where it names none.
        category_ids: the file's category id of each label.
        kept: what is trained on, and what the config leaves out by which rule; of all images where `training` is false.

    Raises:
        DatasetError: the annotations break rules of the COCO format, lack masks that training needs, or leave no image to train on.
        ConfigError: the config's data set is of a kind that one COCO file cannot stand in for, or names other classes than the file.
    """

    def __init__(self, config: Config, source: Source, *, training: bool, seed: int = 0, labelled: bool = True) -> None:
        self.truth = load(source.annotations, source.images, labelled=labelled)
        self.seed, self._source, self._labelled = seed, source, labelled
        dataset = _dataset_config(config, source, self.truth, training)
        if not labelled:
            _keep_all(inner(dataset))
        leaf = inner(dataset)
        ids = {str(category["name"]): int(category["id"]) for category in self.truth["categories"]}
        self.classes: tuple[str, ...] = leaf["metainfo"]["classes"]
        self.category_ids = tuple(ids[name] for name in self.classes)
        self.kept = Kept.of(self.truth, leaf["filter_cfg"] or {})
        if not self.kept.images:
            raise DatasetError(f"{source.annotations} leaves no image to use: {self.kept}.")
        init_default_scope("mmdet")
        with silence():
            self.dataset: Any = _built(dataset)
        self._made = dict(vars(self.dataset))
        self._order = Order.of(config) if training else Order()
        self._upright = [info["height"] > info["width"] for info in map(self.dataset.get_data_info, range(len(self.dataset)))]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        with preserved():
            seed_all(derived_seed(self.seed, Purpose.AUGMENTATION, epoch, index))
            return self.dataset[index]

    def reset(self) -> None:
        """The data set as it was made: what the hooks of one training changed of it during that training, the next begins without."""
        vars(self.dataset).clear()
        vars(self.dataset).update(self._made)

    def prepared(self, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A pipeline that a hook of the config changes to during training, as this data set runs it."""
        wanted = pipeline if self._labelled else _without_objects(pipeline)
        return _stored(masks.for_training(wanted, self.truth, self._source.annotations), self.truth, self._source)

    def order(self, epoch: int, batch_size: int) -> list[list[tuple[int, int]]]:
        """The keys of an epoch's batches, see `Order`."""
        seed = derived_seed(self.seed, Purpose.ORDER, epoch)
        return [[(epoch, index) for index in batch] for batch in self._order.batches(self._upright, batch_size, seed)]

    def training_batches(
        self,
        batch_size: int,
        epochs: int,
        *,
        first_step: int = 0,
        workers: int = 0,
        pin: bool = False,
        share: Callable[[Sequence[tuple[int, int]]], Sequence[tuple[int, int]]] = lambda keys: keys,
    ) -> Iterator[Batch]:
        """Batches of all epochs in order, without the first `first_step` of them; of each the part that `share` takes; see `loaded`."""
        keys = (list(share(batch)) for epoch in range(epochs) for batch in self.order(epoch, batch_size))
        return loaded(self, islice(keys, first_step, None), workers=workers, pin=pin)

    def test_batches(self, batch_size: int, *, workers: int = 0, pin: bool = False) -> Iterator[Batch]:
        """Every image once, in the order of the file."""
        keys = [(0, index) for index in range(len(self))]
        batches = (keys[start : start + batch_size] for start in range(0, len(keys), batch_size))
        return loaded(self, batches, workers=workers, pin=pin)


def class_names(truth: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names of a COCO object in the order of the file."""
    return tuple(str(category["name"]) for category in truth["categories"])


def inner(dataset: Any) -> Any:
    """The data set that wrappers such as MultiImageMixDataset wrap, innermost."""
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    return dataset


def _label_order(leaf: Mapping[str, Any], truth: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    """The classes of the config's data set, else of the file."""
    listed = class_names(truth)
    named = tuple(map(str, (leaf.get("metainfo") or {}).get("classes") or listed))
    require_same_classes("the detector", named, str(file), listed)
    return named


def _dataset_config(config: Config, source: Source, truth: dict[str, Any], training: bool) -> dict[str, Any]:
    """The config's own data set, read from `source` instead. Wrappers such as MultiImageMixDataset stay, RepeatDataset does not: an epoch
    is one pass over the images."""
    loader = "train_dataloader" if training else "test_dataloader"
    if not isinstance(config.get(loader), dict):
        raise ConfigError(f"the detector config must have a {loader} with a pipeline, but has none; add one as mmdet's configs do.")
    dataset: dict[str, Any] = copy.deepcopy(config[loader].dataset.to_dict())
    while dataset["type"] == "RepeatDataset":
        dataset = dataset["dataset"]
    leaf = dataset
    while "dataset" in leaf:
        leaf.pop("metainfo", None)  # wrappers take the classes from what they wrap
        leaf = leaf["dataset"]
    if not isinstance(leaf.get("pipeline"), list):
        raise ConfigError(f"the {loader} of the detector config must hold one data set with a pipeline, but holds a {leaf['type']}.")
    pipeline = masks.for_training(leaf["pipeline"], truth, source.annotations) if training else masks.for_testing(leaf["pipeline"])
    classes, filters = _label_order(leaf, truth, source.annotations), leaf.get("filter_cfg")
    leaf.clear()
    leaf.update(
        type="CocoByName",
        ann_file=str(source.annotations.resolve()),
        data_prefix={"img": str(source.images.resolve())},
        metainfo={"classes": classes},
        filter_cfg=filters if training else None,
        test_mode=not training,
        pipeline=_stored(pipeline, truth, source),
        serialize_data=False,
    )
    return dataset


def _keep_all(leaf: dict[str, Any]) -> None:
    """Have a data set keep images without objects, wherever its config leaves them out."""
    leaf.update(filter_cfg=None, pipeline=_without_objects(leaf["pipeline"]))


def _without_objects(pipeline: Any) -> Any:
    """A pipeline whose steps keep images without objects; RandomChoice and the like hold further steps."""
    if isinstance(pipeline, list | tuple):
        return type(pipeline)(map(_without_objects, pipeline))
    if not isinstance(pipeline, Mapping):
        return pipeline
    step = {name: _without_objects(value) if name in ("transforms", "pipeline") else value for name, value in pipeline.items()}
    return step | _KEEP_EMPTY.get(str(step.get("type")).rpartition(".")[2], {})


def _built(dataset: Mapping[str, Any]) -> Any:
    try:
        return DATASETS.build(dataset)
    except Exception as error:  # constructors of many libraries: anything may come out of them
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(f"the data set of the detector config cannot be built: {reason}") from error


def _stored(pipeline: Sequence[dict[str, Any]], truth: Mapping[str, Any], source: Source) -> list[dict[str, Any]]:
    """The pipeline of a data set's images, which keeps what it decoded.

    Raises:
        ConfigError: a step reads images otherwise than `detkds data check` does.
    """
    for step in pipeline:
        _require_readable(step)
    folder = str(source.images.resolve())
    return storing(pipeline, {os.path.join(folder, image["file_name"]): (image["height"], image["width"]) for image in truth["images"]})


def _require_readable(step: Mapping[str, Any]) -> None:
    if step["type"] not in ("LoadImageFromFile", "mmdet.LoadImageFromFile"):
        return
    for option, read in _READ_SO.items():
        if step.get(option, read) not in (read, None):
            raise ConfigError(
                f"LoadImageFromFile has {option} {step[option]!r}, but annotations are checked for images read with {read!r}: another "
                f"reader turns pictures with an EXIF orientation otherwise; leave {option} out."
            )
