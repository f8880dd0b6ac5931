"""Where a run's parts are, as its tasks are told: configs as data files, and a digest of what its addresses hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkds import plugins
from detkds.pipeline.detector_options import configured
from detkds.pipeline.provenance import source_digest
from detkds.pipeline.run_config import Detector, RunConfig, Teacher, is_remote
from detkds.pipeline.settings import Source
from detkds.pipeline.workplace import digest, digests_folder
from detkds.storage.artifacts import write_atomic
from detkds.storage.content_digests import ContentDigests
from detkds.storage.fetch import fingerprint
from detkds.unlabelled import Unlabelled

if TYPE_CHECKING:
    from mmengine.config import Config


def teacher_address(teacher: Teacher, home: Path, trust: bool, placed: Callable[[str], str] = str) -> str:
    """The teacher's config as a data file that also carries what the run asks of the teacher: at which scale and from which AP on it
    teaches, which others teach beside it, and whether it is the moving average of the student. Every stage reads it there.

    Args:
        teacher: the section of run.yaml.
        home, trust: as of `detkds run`.
        placed: from the address of a further teacher's checkpoint to one that the stages can read.
    """
    from detkds.detectors.configs.data_config import freeze

    asked: dict[str, Any] = {"scale": teacher.scale, "min_ap": teacher.min_ap}
    if teacher.momentum is not None:
        asked["momentum"] = teacher.momentum
    if teacher.others:
        asked |= {"weight": teacher.weight, "combine": teacher.combine, "others": []}
    for other in teacher.others:
        config = freeze(_as_asked(other, trust, {"scale": other.scale, "min_ap": teacher.min_ap}))
        asked["others"].append({"config": config, "checkpoint": placed(other.checkpoint), "weight": other.weight})
    return _as_data(_as_asked(teacher, trust, asked), home)


def _as_asked(detector: Detector, trust: bool, asked: Mapping[str, Any]) -> Config:
    """A teacher's config with what the run asks of it."""
    from detkds.pipeline.pair import AS_TEACHER

    loaded = configured(detector, trust=trust)
    loaded[AS_TEACHER] = dict(asked)
    return loaded


def student_address(config: RunConfig, home: Path, trust: bool) -> str:
    """The student's config; if the run itself requests images without objects, they are trained on even if the config filters them."""
    if config.search.empty != "share" or "empty" not in config.search.model_fields_set:
        return config_address(config.student, home, trust)
    loaded = configured(config.student, trust=trust)
    dataset: Any = loaded.get("train_dataloader", {}).get("dataset", {})
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    if not (dataset.get("filter_cfg") or {}).get("filter_empty_gt"):
        return config_address(config.student, home, trust)
    dataset["filter_cfg"]["filter_empty_gt"] = False
    return _as_data(loaded, home)


def config_address(detector: Detector, home: Path, trust: bool) -> str:
    """mmdet's own name as it is; any other config as a data file under its digest."""
    loaded = configured(detector, trust=trust)
    is_name = not Path(detector.config).is_file()
    return detector.config if is_name and not detector.options else _as_data(loaded, home)


def _as_data(config: Config, home: Path) -> str:
    from detkds.detectors.configs.data_config import freeze

    text = freeze(config)
    path = home / "configs" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    write_atomic(path, text)
    return str(path)


def data_version(config: RunConfig, checkpoint: str) -> str:
    """Digest of what the addresses hold, and of the plugins, so that the cache sees when it changes under the same name."""
    root = config.data.root if is_remote(config.data.root) else None  # of a folder only what the run reads is of interest
    further = [address for address in config.further_checkpoints if is_remote(address)]
    addresses = [root, _own_address(config), *config.local_files(), checkpoint, *further, config.student.checkpoint]
    return digest([*(_fingerprint(address) for address in addresses if address), *plugins.identity().values()])[:16]


def _own_address(config: RunConfig) -> str | None:
    """Where images without labels have an address of their own."""
    unlabelled = config.data.unlabelled
    return unlabelled.images if unlabelled and is_remote(unlabelled.images) else None


def source_of(config: RunConfig) -> Source:
    """The data set of a run, as the subset stage takes it."""
    data = config.data
    train, test = (data.train.annotations, data.train.images), (data.test.annotations, data.test.images)
    return Source(data.root, *train, *test, data.unlabelled.images if data.unlabelled else "")


def unlabelled_use(config: RunConfig) -> Unlabelled | None:
    """How a run uses images without labels; None where it has none."""
    given = config.data.unlabelled
    return Unlabelled(given.share, given.schedule, given.min_score, ",".join(given.knowledge)) if given else None


def _fingerprint(address: str) -> str:
    """Digest of the content of a file or folder; for an address in a store, of its manifest or tags."""
    if address.startswith("s3://"):
        return fingerprint(address)
    if is_remote(address):
        return address  # a volume of the cluster cannot be looked at from here
    path = Path(address)
    if path.is_dir():
        return ContentDigests(path, digests_folder()).digest_of_folder(".")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def code_digest() -> str:
    """Digest of this library and of the packages it computes with: another version reuses nothing from the cache."""
    own = plugins.identity().values()
    return digest([source_digest(), *own, *(package_version(name) for name in ("torch", "onedl-mmdetection", "onedl-mmcv", "pycocotools"))])
