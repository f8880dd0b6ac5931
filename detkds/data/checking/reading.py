"""The array that detectors read from an image file: mmcv's LoadImageFromFile as every config of mmdet has it, OpenCV with flag color.

mmcv cannot be imported here; `tests/detectors/test_reading.py` holds this against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_ERRORS = 2  # OpenCV's level of errors, below that of warnings


class UnreadError(ValueError):
    """OpenCV cannot decode a file, so no detector can be given it."""


def read(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3), BGR, turned by EXIF where OpenCV does so; files of 16 bits per sample lose the lower 8.

    Raises:
        UnreadError: OpenCV cannot decode the file.
    """
    return _decoded(path, cv2.IMREAD_COLOR).astype(np.uint8, copy=False)


def peak(path: Path) -> int:
    """The largest value that the file stores, before 16 bits become 8.

    Raises:
        UnreadError: OpenCV cannot decode the file.
    """
    return int(_decoded(path, cv2.IMREAD_UNCHANGED).max())


def _decoded(path: Path, flag: int) -> NDArray[Any]:
    with _quiet():
        array = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag)
    if array is None:
        raise UnreadError(f"OpenCV, which detectors read images with, cannot decode {_described(path)}")
    return array


@contextmanager
def _quiet() -> Iterator[None]:
    """Without OpenCV's own lines about files that it refuses."""
    before = cv2.getLogLevel()
    cv2.setLogLevel(_ERRORS)
    try:
        yield
    finally:
        cv2.setLogLevel(before)


def _described(path: Path) -> str:
    try:
        image = Image.open(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "this file; give an image"
    with image:
        kind = {"F": "decimal numbers of 32 bits", "I": "whole numbers of 32 bits"}.get(image.mode, f"Pillow's mode {image.mode}")
        return f"this {image.format} file of {kind}; write it with 8 bits per sample"
