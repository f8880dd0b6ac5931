"""The demo's data set, made by code: few labelled pictures for the student, many for the teacher, and a test set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as run_lengths

from detkds.data.checking.document import to_json
from detkds.data.scene import CLASSES, Piece, Scene, draw
from detkds.errors import ConfigError, DatasetError

_MIN_SIDE_PX = 32


def generate(
    folder: Path,
    *,
    teacher_images: int = 240,
    train: int = 40,
    test: int = 80,
    seed: int = 0,
    size: tuple[int, int] = (160, 128),
    scene: Scene | None = None,
) -> None:
    """Write a COCO data set with boxes and masks, whole or not at all.

    `folder` gets `annotations/{teacher,train,test}.json` and the image folders `teacher/`, `train/` and `test/` with PNG files. The
    three have no picture in common. Picture i of a part depends on the seed, the part and i only, so a larger set begins with the
    smaller one. Classes: disc, square, triangle, cross.

    Args:
        folder: must not exist or be empty.
        teacher_images, train, test: pictures a part, 1 or more.
        seed: 0 or more; the same seed gives the same annotation files byte for byte and the same pixels.
        size: (width, height) in pixels, each at least 32.
        scene: how hard the pictures are; None for the default.

    Raises:
        ConfigError: a number is out of range.
        DatasetError: the folder has something in it.
    """
    parts = {"teacher": teacher_images, "train": train, "test": test}
    if min(parts.values()) < 1 or seed < 0 or min(size) < _MIN_SIDE_PX:
        raise ConfigError(
            f"a demo data set needs 1 or more images per part, a seed of 0 or more and sides of {_MIN_SIDE_PX} pixels or more, "
            f"got {parts}, seed {seed}, size {size}."
        )
    with _published(folder) as draft:
        (draft / "annotations").mkdir()
        for number, (part, images) in enumerate(parts.items()):
            (draft / part).mkdir()
            coco = _part(draft / part, images, (seed, number), size, scene or Scene())
            (draft / "annotations" / f"{part}.json").write_text(to_json(coco))


@contextmanager
def _published(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when all went well, and is gone when not."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} exists and is not empty; remove it or name another folder for the demo data set.")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.draft")
    shutil.rmtree(draft, ignore_errors=True)  # of a killed process that had the same number
    draft.mkdir(parents=True)
    try:
        yield draft
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _part(folder: Path, images: int, seed: tuple[int, int], size: tuple[int, int], scene: Scene) -> dict[str, Any]:
    coco: dict[str, Any] = {
        "info": {"description": f"DetKDS demo, {folder.name}: shapes drawn by code", "seed": seed[0]},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": place, "name": name, "supercategory": "shape"} for place, name in enumerate(CLASSES, start=1)],
    }
    for number in range(1, images + 1):
        picture, pieces = draw(scene, size, np.random.default_rng((*seed, number)))
        name = f"{number:06d}.png"
        Image.fromarray(picture).save(folder / name, compress_level=6)
        coco["images"].append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
        for piece in pieces:
            coco["annotations"].append(_annotation(piece, number, len(coco["annotations"]) + 1))
    return coco


def _annotation(piece: Piece, image_id: int, id: int) -> dict[str, Any]:
    """COCO's form: the tight box around what is in sight, its mask as run-length text, its area in square pixels."""
    code = run_lengths.encode(np.asfortranarray(piece.mask.astype(np.uint8)))
    return {
        "id": id,
        "image_id": image_id,
        "category_id": piece.kind + 1,
        "bbox": run_lengths.toBbox(code).tolist(),
        "area": int(run_lengths.area(code)),
        "iscrowd": 0,
        "segmentation": {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")},
    }
