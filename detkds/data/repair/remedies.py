"""What a repair does about each rule that an entry breaks. What has no remedy here is left out; nothing is made up.

A remedy changes the entry and says what it did in a few words, or answers None: leave the entry out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pycocotools import mask as run_lengths

from detkds.data.checking import masks
from detkds.data.checking.entries import RULED, unfit_keys
from detkds.data.checking.names import is_hidden
from detkds.data.checking.rules import OUTSIDE_PX
from detkds.data.checking.values import is_number
from detkds.data.repair.clipping import clip_box, clip_polygon
from detkds.data.repair.draft import Draft, Entry
from detkds.data.repair.numbers import number, whole
from detkds.data.repair.polygons import coco_polygons

Remedy = Callable[[Draft, Entry], str | None]


def _whole(*keys: str) -> Remedy:
    """7.0 and "7" are 7, as other tools write it."""

    def remedy(draft: Draft, entry: Entry) -> str | None:
        found = {key: known for key in keys if not isinstance(entry[key], bool) and (known := whole(entry[key])) is not None}
        found = {key: known for key, known in found.items() if type(entry[key]) is not int}
        entry.update(found)
        return "written as whole number" if found else None

    return remedy


def _size(draft: Draft, entry: Entry) -> str | None:
    """Numbers in quotes are numbers; else the size is the file's, unless EXIF leaves open what the annotations were drawn on."""
    done = _whole("width", "height")(draft, entry)
    if done and all(type(entry[side]) is int and entry[side] > 0 for side in ("width", "height")):
        return done
    size = draft.size_of_file(entry["file_name"])
    if size is None:
        return None
    entry["width"], entry["height"] = size
    return "taken from the file"


def _fill_image(draft: Draft, entry: Entry) -> str | None:
    if not entry.keys() >= {"id", "file_name"}:
        return None
    for side in ("width", "height"):
        entry.setdefault(side, None)
    return _size(draft, entry)


def _numbered(kind: str) -> Remedy:
    """Ids that are text get a number, and annotations follow."""

    def remedy(draft: Draft, entry: Entry) -> str | None:
        text = entry["id"]
        if not isinstance(text, str):
            return _whole("id")(draft, entry)
        entry["id"] = id = draft.number_of(kind, text)
        draft.follow(kind, text, id)
        return "written as whole number" if id == whole(text) else "text given a number, annotations with it"

    return remedy


def _without_unfit(kind: str) -> Remedy:
    def remedy(draft: Draft, entry: Entry) -> str | None:
        unfit = unfit_keys(entry, RULED[kind])
        for key in unfit:
            del entry[key]
        return "value dropped, the rest kept" if unfit else None

    return remedy


def _once(kind: str, *keys: str) -> Remedy:
    """Of entries with one id the first stays if all say the same in `keys`; else all go."""

    def remedy(draft: Draft, entry: Entry) -> str | None:
        first = draft.first(kind, "id", entry)
        if first is not None and any(first.get(key) != entry.get(key) for key in keys):
            draft.mark_unclear(kind, entry["id"])
        return None

    return remedy


def _find_file(draft: Draft, entry: Entry) -> str | None:
    meant = draft.meant_file(entry["file_name"])
    if meant is None or meant == entry["file_name"]:
        return None
    entry["file_name"] = meant
    return "written as the path below the image folder"


def _join_images(draft: Draft, entry: Entry) -> str | None:
    first = draft.first("image", "file_name", entry)
    if first is None or (first["width"], first["height"]) != (entry["width"], entry["height"]):
        return None
    draft.follow("image", entry["id"], first["id"])
    return "dropped, its annotations given to the first with that file"


def _join_categories(draft: Draft, entry: Entry) -> str | None:
    first = draft.first("category", "name", entry)
    if first is None:
        return None
    draft.follow("category", entry["id"], first["id"])
    return "dropped, its annotations given to the first with that name"


def _clean_name(draft: Draft, entry: Entry) -> str | None:
    if not isinstance(entry["name"], str):
        return None
    before = entry["name"]
    entry["name"] = "".join(character for character in before if not is_hidden(character)).strip()
    return "invisible characters taken out" if entry["name"] and entry["name"] != before else None


_FILLED = "filled in (id, box from mask, area from mask or box, iscrowd 0)"


def _fill(draft: Draft, entry: Entry) -> str | None:
    if "bbox" not in entry and (box := _box_of_mask(draft, entry)):
        entry["bbox"] = box
    if not entry.keys() >= {"image_id", "category_id", "bbox"}:
        return None
    if "id" not in entry:
        entry["id"] = draft.fresh_id()
    entry.setdefault("iscrowd", 0)
    if "area" not in entry:
        entry["area"] = area = _area(draft, entry)
        return _FILLED if area is not None else None
    return _FILLED


def _new_id(draft: Draft, entry: Entry) -> str | None:
    entry["id"] = draft.fresh_id()
    return "given an id of its own"


def _id(draft: Draft, entry: Entry) -> str | None:
    return _whole("id")(draft, entry) or _new_id(draft, entry)


def _numbers_of_box(draft: Draft, entry: Entry) -> str | None:
    box = entry["bbox"]
    found = [number(value) for value in box] if isinstance(box, list) else []
    if len(found) != 4 or None in found:
        return None
    entry["bbox"] = found
    return "text written as numbers"


def _clip(draft: Draft, entry: Entry) -> str | None:
    size, box = draft.size(entry), entry["bbox"]
    clipped = clip_box(box, size) if size else None
    if clipped is None:
        return None
    if is_number(entry["area"]):
        full, left = box[2] * box[3], clipped[2] * clipped[3]
        boxed = not entry.get("segmentation") and abs(entry["area"] - full) <= 0.01 * full
        entry["area"] = left if boxed else min(entry["area"], left)
    entry["bbox"] = clipped
    return "clipped to its image"


def _measure(draft: Draft, entry: Entry) -> str | None:
    if isinstance(entry["area"], str) and (known := number(entry["area"])) is not None and known >= 0:
        entry["area"] = known
        return "text written as number"
    entry["area"] = area = _area(draft, entry)
    return "taken from mask or box" if area is not None else None


def _area(draft: Draft, entry: Entry) -> float | int | None:
    """Pixels of the mask where there is a sound one, else of the box; None where that is at fault too."""
    size, mask, box = draft.size(entry), entry.get("segmentation"), entry["bbox"]
    if size and mask and not list(masks.breaches(mask, size)):
        parts = mask if isinstance(mask, list) else [mask]
        coded = isinstance(mask, dict) and isinstance(mask["counts"], str)
        codes = parts if coded else run_lengths.frPyObjects(parts, size[1], size[0])
        return int(run_lengths.area(run_lengths.merge(codes)))
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and is_number(box[2] * box[3])):
        return None
    whole: float | int = box[2] * box[3]
    return whole


def _box_of_mask(draft: Draft, entry: Entry) -> list[float] | None:
    size, mask = draft.size(entry), entry.get("segmentation")
    if not size or not isinstance(mask, list) or not mask or list(masks.breaches(mask, size)):
        return None
    xs, ys = ([value for polygon in mask for value in polygon[axis::2]] for axis in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _flag(draft: Draft, entry: Entry) -> str | None:
    known = number(entry["iscrowd"]) if isinstance(entry["iscrowd"], str) else entry["iscrowd"]
    if known is not None and known not in (0, 1):
        return None
    entry["iscrowd"] = int(known or 0)
    return "written as 0 or 1"


def _without_mask(draft: Draft, entry: Entry) -> str | None:
    entry.pop("segmentation", None)
    return "mask dropped, box kept"


def _mend_polygons(draft: Draft, entry: Entry) -> str | None:
    """Good polygons stay; the mask is dropped only where none is good."""
    before = entry["segmentation"]
    polygons, dropped = coco_polygons(before) if isinstance(before, list) else ([], 0)
    if not polygons:
        return _without_mask(draft, entry)
    entry["segmentation"] = polygons
    return "parts that are not polygons left out of the mask" if dropped else "written as a list of polygons"


def _clip_mask(draft: Draft, entry: Entry) -> str | None:
    size, mask = draft.size(entry), entry.get("segmentation")
    if size is None or not isinstance(mask, list) or {rule for rule, _ in masks.breaches(mask, size)} - {"annotation.polygon-outside"}:
        return _without_mask(draft, entry)
    clipped = [polygon if _within(polygon, size) else clip_polygon(polygon, size) for polygon in mask]
    entry["segmentation"] = [polygon for polygon in clipped if polygon]
    return "clipped to its image" if entry["segmentation"] else _without_mask(draft, entry)


def _within(polygon: list[float], size: masks.Size) -> bool:
    return min(polygon) >= -OUTSIDE_PX and max(polygon[::2]) <= size[0] + OUTSIDE_PX and max(polygon[1::2]) <= size[1] + OUTSIDE_PX


REMEDIES: Mapping[str, Remedy] = MappingProxyType(
    {
        "image.id": _numbered("image"),
        "image.id-duplicate": _once("image", "file_name", "width", "height"),
        "image.missing-key": _fill_image,
        "image.size": _size,
        "image.file-name": _find_file,
        "image.missing-file": _find_file,
        "image.file-name-duplicate": _join_images,
        "image.other-value": _without_unfit("image"),
        "category.id": _numbered("category"),
        "category.id-duplicate": _once("category", "name"),
        "category.name": _clean_name,
        "category.name-duplicate": _join_categories,
        "category.other-value": _without_unfit("category"),
        "annotation.missing-key": _fill,
        "annotation.id": _id,
        "annotation.id-duplicate": _new_id,
        "annotation.image-unknown": _whole("image_id"),
        "annotation.category-unknown": _whole("category_id"),
        "annotation.box": _numbers_of_box,
        "annotation.box-outside": _clip,
        "annotation.area": _measure,
        "annotation.iscrowd": _flag,
        "annotation.segmentation": _without_mask,
        "annotation.polygon": _mend_polygons,
        "annotation.polygon-outside": _clip_mask,
        "annotation.rle": _without_mask,
        "annotation.other-value": _without_unfit("annotation"),
    }
)
