"""What can be wrong with a COCO data set: the rules as one table, and a fault as a breach of one of them."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

MAX_ID = 2**53  # the largest whole number that every JSON reader and numpy's float64 keep exact
MAX_NUMBER = 1e12  # an area of a million by a million pixels
MAX_PIXELS = 100_000_000  # an image of 10,000 x 10,000; larger ones are taken for decompression bombs
OUTSIDE_PX = 1.0  # boxes and polygons may leave their image so far: rounding, and tools that count pixels from 1
MAX_DEPTH = 32  # nesting of values that COCO does not define

RULES: Mapping[str, str] = MappingProxyType(
    {
        "file.missing": "the annotation file exists and can be read",
        "file.too-large": "the annotation file is at most 1 GiB",
        "file.not-json": "the annotation file is JSON in UTF-8, not nested beyond what the parser bears",
        "file.structure": "the top level is an object with the lists images, annotations and categories",
        "file.empty": "there is at least one image, one annotation and one category",
        "file.too-deep": f"values that COCO does not define are nested at most {MAX_DEPTH} deep",
        "folder.missing": "the image folder exists",
        "image.type": "each entry of images is an object",
        "image.missing-key": "an image has id, file_name, width and height",
        "image.id": "an id is a whole number from 0 to 2^53",
        "image.id-duplicate": "image ids are unique",
        "image.size": "width and height are positive whole numbers",
        "image.too-large": f"width x height is at most {MAX_PIXELS:,} pixels",
        "image.file-name": "file_name is a plain path below the image folder",
        "image.file-name-duplicate": "no two images share a file",
        "image.missing-file": "the image's file exists",
        "image.unreadable": "the image's file decodes as JPEG, PNG, BMP, TIFF or WEBP",
        "image.size-differs": "width and height are those of the file",
        "category.type": "each entry of categories is an object",
        "category.missing-key": "a category has id and name",
        "category.id": "an id is a whole number from 0 to 2^53",
        "category.id-duplicate": "category ids are unique",
        "category.name": "a category's name is text of 1 to 200 characters without control characters",
        "category.name-duplicate": "category names are unique",
        "annotation.type": "each entry of annotations is an object",
        "annotation.missing-key": "an annotation has id, image_id, category_id, bbox, area and iscrowd",
        "annotation.id": "an id is a whole number from 0 to 2^53",
        "annotation.id-duplicate": "annotation ids are unique",
        "annotation.image-unknown": "image_id names an image of the file",
        "annotation.category-unknown": "category_id names a category of the file",
        "annotation.box": "bbox is [x, y, width, height], four finite numbers",
        "annotation.box-negative": "a box's width and height are not negative",
        "annotation.box-empty": "a box's width and height are not zero",
        "annotation.box-outside": f"a box overlaps its image and leaves it by at most {OUTSIDE_PX:g} pixel",
        "annotation.area": "area is a finite number, 0 or more",
        "annotation.iscrowd": "iscrowd is 0 or 1",
        "annotation.segmentation": "segmentation is a list of polygons or a run-length code",
        "annotation.polygon": "a polygon is a list of at least 3 points x, y: an even count of 6 or more finite numbers",
        "annotation.polygon-outside": f"a polygon leaves its image by at most {OUTSIDE_PX:g} pixel",
        "annotation.rle": "a run-length code has the image's [height, width] as size, and counts that add up to height x width",
    }
)

# Stock COCO train2017 holds two boxes of height 0 (annotations 918 and 2206849). mmdet leaves such boxes out and pycocotools never
# matches them, so they are reported but do not stop a run.
TOLERATED = frozenset({"annotation.box-empty"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One breach of one rule.

    Args:
        file: the annotation file.
        id: id of the image, category or annotation at fault; None where it has no usable id.
        rule: a key of RULES; its first word says what is at fault.
        detail: what was found there, on one line of bounded length.
    """

    file: str
    id: int | None
    rule: str
    detail: str

    @property
    def tolerated(self) -> bool:
        """Whether a data set with this fault may still be used."""
        return self.rule in TOLERATED

    @property
    def subject(self) -> str:
        """What is at fault, for a message: `image 17`, or `file`."""
        kind = self.rule.partition(".")[0]
        return kind if self.id is None else f"{kind} {self.id}"

    def __str__(self) -> str:
        return f"{self.file}: {self.subject}: {self.detail} [{self.rule}]"


@dataclass
class Findings:
    """The faults of one annotation file, in the order found."""

    file: str
    faults: list[Fault] = field(default_factory=list)

    def add(self, rule: str, detail: str, id: int | None = None) -> None:
        """Note a breach of `rule`, a key of RULES."""
        if rule not in RULES:
            raise KeyError(rule)
        self.faults.append(Fault(self.file, id, rule, detail))


_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxdict, _BRIEF.maxlist, _BRIEF.maxstring = 2, 3, 4, 60


def shown(value: Any) -> str:
    """A value from outside for a message: on one line, at most about 100 characters, without control characters."""
    text = _BRIEF.repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def is_id(value: Any) -> bool:
    """Whether `value` can be an id: a whole number from 0 to 2^53; true and false are none."""
    return type(value) is int and 0 <= value <= MAX_ID


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number of at most 1e12 in magnitude; true, false and NaN are none."""
    return (type(value) is float or type(value) is int) and -MAX_NUMBER <= value <= MAX_NUMBER


def deeper_than(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether lists and objects in `value` are nested more than `limit` deep; level by level, so it cannot overflow itself."""
    level = [value]
    for _ in range(limit + 1):
        level = [inner for outer in level if isinstance(outer, (list, dict)) for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(rest, (list, dict)) for rest in level)


def _inside(value: list[Any] | dict[str, Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
