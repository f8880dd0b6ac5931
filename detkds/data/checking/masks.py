"""Segmentations of COCO: polygons, and run-length codes as lists or as pycocotools' text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detkds.data.checking.rules import MAX_PIXELS, OUTSIDE_PX
from detkds.data.checking.values import is_number, shown, why_unfit

Size = tuple[int, int]  # width, height in pixels
Breach = tuple[str, str]  # rule, detail

MAX_TEXT_STEPS = 7  # characters a number in run-length text may have: 35 bits


def breaches(segmentation: Any, size: Size | None) -> Iterator[Breach]:
    """The rules that a `segmentation` breaks; `size` is its image's, None where that is unknown.

    An empty list is a box without a mask, as many detection sets write it.
    """
    if isinstance(segmentation, list):
        if segmentation and all(map(is_number, segmentation)):
            yield "annotation.polygon", f"segmentation is one list of numbers, {shown(segmentation)}, not a list of polygons"
            return
        for polygon in segmentation:
            yield from _polygon(polygon, size)
    elif isinstance(segmentation, dict):
        yield from _run_lengths(segmentation, size)
    else:
        yield "annotation.segmentation", f"segmentation is {shown(segmentation)}"


def _polygon(polygon: Any, size: Size | None) -> Iterator[Breach]:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or not all(map(is_number, polygon)):
        yield "annotation.polygon", f"a polygon is {shown(polygon)}"
    elif size is not None:
        # Also a bound on memory: pycocotools walks a polygon's edges pixel by pixel.
        xs, ys = polygon[::2], polygon[1::2]
        over = max(-min(xs), max(xs) - size[0], -min(ys), max(ys) - size[1])
        if over > OUTSIDE_PX:
            yield "annotation.polygon-outside", f"a polygon leaves its {size[0]} x {size[1]} image by {over:g} pixels"


def _run_lengths(code: dict[str, Any], size: Size | None) -> Iterator[Breach]:
    shape, counts = code.get("size"), code.get("counts")
    if not (isinstance(shape, list) and len(shape) == 2 and all(type(side) is int and 0 < side <= MAX_PIXELS for side in shape)):
        yield "annotation.rle", f"size is {shown(shape)}, not [height, width]"
        return
    if size is not None and (shape[1], shape[0]) != size:
        yield "annotation.rle", f"size is {shown(shape)}, but the image is [{size[1]}, {size[0]}]"
        return
    for key in code.keys() - {"size", "counts"}:
        if reason := why_unfit({key: code[key]}):
            yield "annotation.rle", f"key {shown(key)}: {reason}"
    runs = _decode(counts) if isinstance(counts, str) else counts
    if not (isinstance(runs, list) and all(type(run) is int and 0 <= run <= MAX_PIXELS for run in runs)):
        yield "annotation.rle", f"counts are {shown(counts)}, not run lengths"
    elif sum(runs) != shape[0] * shape[1]:
        yield "annotation.rle", f"counts add up to {sum(runs)}, not to {shape[0]} x {shape[1]}"


def _decode(text: str) -> list[int] | None:
    """Run lengths from pycocotools' text (rleFrString of maskApi.c), None if it is none.

    Five bits a character from code 48 on, the sixth bit says that more follow; from the fourth number on, a number is the
    difference from the one two places before.
    """
    runs: list[int] = []
    value = steps = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or steps >= MAX_TEXT_STEPS:
            return None
        value |= (bits & 0x1F) << 5 * steps
        steps += 1
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << 5 * steps
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = steps = 0
    return None if steps else runs
