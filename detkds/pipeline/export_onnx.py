"""A student as an ONNX file, which agrees with mmdet or does not exist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from rich.console import Console
from torch import nn

from detkds.data.coco import load
from detkds.detectors.checkpoints import read_checkpoint
from detkds.detectors.configs.classes import named_classes
from detkds.detectors.configs.config import adapt
from detkds.detectors.configs.data_config import freeze, read_config
from detkds.detectors.export.letterbox import letterbox_of, read_image
from detkds.detectors.export.onnx import export, require_exportable
from detkds.detectors.export.onnx_detector import OnnxDetector, Pixels
from detkds.detectors.export.parity import compare
from detkds.detectors.tensors import config_digest
from detkds.detectors.training.train import load_detector
from detkds.errors import ArtifactError, ConfigError, DatasetError, DetKDSError
from detkds.evaluation import evaluate
from detkds.pipeline.train import CHECKPOINT, CONFIG
from detkds.storage.artifacts import verify
from detkds.storage.manifest import MANIFEST

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INSTALL = "pip install 'detkds[onnx]'"
CHECKED = 8
"""Images in which the file must agree with mmdet."""
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


class Loaded(NamedTuple):
    """A detector in evaluation mode, its config, its class names in label order, and the SHA-256 of the config's text."""

    detector: nn.Module
    config: Any
    classes: tuple[str, ...]
    config_sha256: str


def export_student(
    student: Path,
    out: Path | None,
    console: Console,
    *,
    config: str = "",
    trust: bool = False,
    size: str = "",
    images: Path | None = None,
    annotations: Path | None = None,
) -> Path:
    """Write a student as ONNX, if it finds in images what mmdet finds in them, and say how well they agree.

    Args:
        student: a folder that `detkds pull` brought, a model artifact, or a checkpoint file of any mmdet detector.
        out: the file; None takes the student's name with `.onnx`, in the current folder. Replaced in one step.
        console: where the findings go.
        config: of a checkpoint file: mmdet's name or a file. A folder has its own.
        trust: see `data_config.read_config`.
        size: of the input, HEIGHTxWIDTH; empty takes that of the config's test pipeline.
        images: folder of images to check on, the first CHECKED of them; None makes some up.
        annotations: COCO file of `images`, to measure the AP with onnxruntime.

    Returns:
        The file.

    Raises:
        ConfigError: the detector has no dense head, an option does not fit, or a package is missing.
        ArtifactError, DatasetError: student, images or annotations are damaged.
        DetKDSError: the graph disagrees with mmdet. No file is left then.
    """
    _require_packages()
    truth = _truth(annotations, images)
    target = _target(student, out)
    exported, agreement = write_onnx(student, target, config=config, trust=trust, size=size, images=images, truth=truth)
    shapes = ", ".join(f"{end.name} {end.shape}" for end in (*exported.session.get_inputs(), *exported.session.get_outputs()))
    console.print(f"{target}  {target.stat().st_size / 1e6:.1f} MB  {shapes}", markup=False, soft_wrap=True)
    console.print(agreement, markup=False, soft_wrap=True)
    if truth is not None and images is not None:
        console.print(_measured(exported, truth, images), markup=False, soft_wrap=True)
    return target


def write_onnx(
    student: Path,
    target: Path,
    *,
    config: str = "",
    trust: bool = False,
    size: str = "",
    images: Path | None = None,
    truth: dict[str, Any] | None = None,
) -> tuple[OnnxDetector, str]:
    """Write the file alone.

    Args:
        target: the file; replaced in one step.
        truth: annotations of `images`, which name the files to check on.
        student, config, trust, size, images: as of `export_student`.

    Returns:
        What the file holds, loaded, and a sentence that says how well it agrees with mmdet.

    Raises:
        ConfigError, ArtifactError, DatasetError, DetKDSError: as of `export_student`.
    """
    _require_packages()
    loaded = _load(student, config, trust)
    require_exportable(loaded.detector)
    letterbox = letterbox_of(loaded.config, loaded.detector, _size(size))
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    try:
        export(loaded.detector, letterbox, draft, classes=loaded.classes, config_sha256=loaded.config_sha256)
        exported = OnnxDetector.load(draft)
        agreement = _agree(loaded.detector, exported, _pictures(images, truth))
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return exported, agreement


def _require_packages() -> None:
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ConfigError(f"export to ONNX needs {', '.join(PACKAGES)}, but {', '.join(missing)} is not installed: {INSTALL}")


def _truth(annotations: Path | None, images: Path | None) -> dict[str, Any] | None:
    if annotations is None:
        return None
    if images is None:
        raise ConfigError(f"annotations {annotations} need their images, got none; give --images FOLDER.")
    return load(annotations, images)


def _target(student: Path, out: Path | None) -> Path:
    target = out or Path(f"{student.resolve().stem if student.is_file() else student.resolve().name}.onnx")
    if (target.parent / MANIFEST).is_file():
        raise ConfigError(f"{target.parent} is a verified artifact, which takes no more files; name another place with --out.")
    return target


def _load(student: Path, config: str, trust: bool) -> Loaded:
    if not student.is_dir():
        return _stranger(student, config, trust)
    if config:
        raise ConfigError(f"the folder {student} has its own config, but --config {config} was given; leave it out.")
    if (student / MANIFEST).is_file():
        verify(student)
    own = read_config(str(student / CONFIG))
    detector = load_detector(own, student / CHECKPOINT, what="student checkpoint")
    names = _names(student / CHECKPOINT, own)
    return Loaded(detector, own, names, config_digest((student / CONFIG).read_text()))


def _stranger(checkpoint: Path, config: str, trust: bool) -> Loaded:
    """A detector that was trained elsewhere."""
    if not checkpoint.exists():
        hint = "" if checkpoint.suffix else f"; for the student of a run, fetch it first: detkds pull {checkpoint}"
        raise ArtifactError(f"{checkpoint} does not exist; give a folder of detkds pull, or a checkpoint with --config{hint}.")
    if not config:
        raise ConfigError(f"the checkpoint {checkpoint} needs its config, got none; give --config, or a folder of detkds pull.")
    given = read_config(config, trust=trust)
    names = _names(checkpoint, given)
    adapted = adapt(given, names, pretrained_backbone=True).config
    return Loaded(load_detector(adapted, checkpoint, what="checkpoint"), adapted, names, config_digest(freeze(adapted)))


def _names(checkpoint: Path, config: Any) -> tuple[str, ...]:
    names = read_checkpoint(checkpoint).classes or named_classes(config)
    if names is None:
        raise ConfigError(f"neither {checkpoint} nor its config names the classes; add metainfo.classes to the test data set.")
    return names


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if found is None:
        raise ConfigError(f"--size must be HEIGHTxWIDTH in pixels, such as 480x640, got {text!r}.")
    return int(found[1]), int(found[2])


def _pictures(folder: Path | None, truth: Mapping[str, Any] | None) -> list[Pixels]:
    if folder is None:
        return _made_up()
    named = (folder / image["file_name"] for image in truth["images"]) if truth else sorted(folder.iterdir()) if folder.is_dir() else ()
    paths = list(islice((path for path in named if path.suffix.lower() in SUFFIXES), CHECKED))
    if not paths:
        raise DatasetError(f"{folder} must hold images to check on, but holds none ({', '.join(SUFFIXES)}); name another folder.")
    return [read_image(path) for path in paths]


def _made_up() -> list[Pixels]:
    """Smooth colours with edges, lying and upright."""
    draw = np.random.default_rng(0)
    pictures: list[Pixels] = []
    for width, height in ((640, 480), (480, 640)) * 2:
        coarse = draw.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        pictures.append(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST if len(pictures) > 1 else cv2.INTER_CUBIC))
    return pictures


def _agree(detector: nn.Module, exported: OnnxDetector, pictures: list[Pixels]) -> str:
    found = compare(detector, exported, pictures)
    if found.alone or not found.detections:
        raise DetKDSError(
            f"the exported graph must find what mmdet finds, but in {found.images} images {found.alone} of {found.detections} detections "
            "have no counterpart; deploy the student with mmdet, and report its config as a bug."
        )
    return (
        f"agrees with mmdet: {found.images} images, {found.detections} detections compared, "
        f"boxes within {found.box:.2g} pixels, scores within {found.score:.2g}"
    )


def _measured(exported: OnnxDetector, truth: Mapping[str, Any], folder: Path) -> str:
    """AP of all images."""
    ids = {category["name"]: category["id"] for category in truth["categories"]}
    if unknown := [name for name in exported.classes if name not in ids]:
        raise ConfigError(
            f"the annotations must have the detector's {len(exported.classes)} classes, but {unknown[0]!r} is none of theirs."
        )
    found = []
    for image in truth["images"]:
        results = exported(read_image(folder / image["file_name"]))
        for box, score, label in zip(results.boxes.tolist(), results.scores.tolist(), results.labels.tolist(), strict=True):
            left, top, right, bottom = box
            place = {"image_id": image["id"], "category_id": ids[exported.classes[label]]}
            found.append({**place, "bbox": [left, top, right - left, bottom - top], "score": score})
    figures = evaluate(truth, found).figures
    known = ", ".join(f"{name} {100 * value:.1f}" for name in ("AP", "AP50", "AP75") if not isnan(value := figures[name]))
    return f"measured with onnxruntime: {len(truth['images'])} images, {known}"
