"""In which frame the annotations of pictures with an EXIF orientation are: the stored one, or the upright one that viewers show.

OpenCV turns such pictures as it reads them, so detectors are given the upright frame. Annotation tools differ: those in a browser show the
upright one, those that read files with other libraries often the stored one, and some write sizes of the one with boxes of the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from detkds.data.checking.faults import Findings
from detkds.data.checking.images import Images
from detkds.data.checking.masks import Size
from detkds.data.checking.pictures import Picture
from detkds.data.checking.rules import OUTSIDE_PX
from detkds.data.checking.values import is_number

Frame = Literal["read", "other"]
"""read: what detectors read; other: the stored frame, or for WebP, which OpenCV does not turn, the upright one."""

STATED, READ = "frame", "read"
"""`info: {"frame": "read"}` in a file says that sizes and annotations are in the frame that detectors read, for all images."""
_MOST = 0.9  # share of the boxes that fit one frame only by which the set is judged


@dataclass(frozen=True)
class Frames:
    """The images that are to be turned or to be asked about.

    Args:
        pictures: those whose annotations are, or may be, in the other frame, by image id.
        of: the frame their annotations are in; None where the set does not show it.
    """

    pictures: Mapping[int, Picture] = field(default_factory=dict)
    of: Frame | None = None


def check_frames(document: Mapping[str, Any], images: Images, findings: Findings) -> Frames:
    """Note the images whose size or annotations are not, or not provably, in the frame that detectors read.

    A size that is only the other frame's shows that the entry was not made for what detectors read; which frame the boxes are in, the boxes
    show that fit into one of the two. Of pictures whose frames have one size (orientations 2 to 4, squares) only the rest of the set can
    show it. The sizes of the images noted become None: nothing is outside of an unknown frame.
    """
    turned = {id: picture for id, picture in images.turned.items() if images.sizes.get(id)}
    if not turned:
        return Frames()
    boxes = dict(_boxes(document, turned))
    groups = {id: _group(images.sizes[id], picture) for id, picture in turned.items()}
    asked = [id for id, group in groups.items() if group == "other"]
    of = _by_boxes([(turned[id], box) for id in asked for box in boxes.get(id, ())])
    silent = [id for id, group in groups.items() if group == "either" and boxes.get(id)]
    if silent and not _stated(document) and (asked or "read" not in groups.values()):
        of = None if "read" in groups.values() else of
        asked += silent if of != "read" else []
    elif of is None and not any(boxes.get(id) for id in asked):
        of = "other"  # there is nothing to be turned
    for id in asked:
        findings.add("image.exif", _detail(turned[id], images.sizes[id], of), id, images.places[id])
    for id in asked:
        images.sizes[id] = None
    return Frames({id: turned[id] for id in asked}, of)


def _stated(document: Mapping[str, Any]) -> bool:
    return isinstance(info := document.get("info"), dict) and info.get(STATED) == READ


def _group(declared: Size | None, picture: Picture) -> str:
    if picture.size == picture.other_size:
        return "either"
    return "read" if declared == picture.size else "other"


def _boxes(document: Mapping[str, Any], turned: Mapping[int, Picture]) -> Iterator[tuple[int, list[list[float]]]]:
    found: dict[int, list[list[float]]] = {}
    for entry in document["annotations"]:
        if not isinstance(entry, dict) or not isinstance(id := entry.get("image_id"), int) or id not in turned:
            continue
        box = entry.get("bbox")
        sound = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
        found.setdefault(id, []).append(box if sound and isinstance(box, list) else [0, 0, 0, 0])
    yield from found.items()


def _by_boxes(boxes: list[tuple[Picture, list[float]]]) -> Frame | None:
    only = Counter((_fits(box, picture.size), _fits(box, picture.other_size)) for picture, box in boxes)
    read, other = only[True, False], only[False, True]
    if max(read, other) == 0 or max(read, other) < _MOST * (read + other):
        return None
    return "read" if read > other else "other"


def _fits(box: list[float], size: Size) -> bool:
    x, y, width, height = box
    return min(x, y) >= -OUTSIDE_PX and x + width <= size[0] + OUTSIDE_PX and y + height <= size[1] + OUTSIDE_PX


def _detail(picture: Picture, declared: Size | None, of: Frame | None) -> str:
    assert declared is not None  # those without a size are not asked about
    what = "turns" if picture.turned else "does not turn (WebP)"
    said = f"EXIF orientation {picture.orientation}, which OpenCV {what}: detectors read {picture.size[0]} x {picture.size[1]}"
    if declared != picture.size:
        said += f", declared is {declared[0]} x {declared[1]}"
    upright, stored = ("read", "other") if picture.turned else ("other", "read")
    names = {upright: "upright", stored: "stored"}
    return f"{said}; " + (f"the boxes fit the {names[of]} frame only" if of else "nothing shows their frame")
