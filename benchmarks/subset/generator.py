"""An annotation file of COCO's size and statistics, made by code: `python benchmarks/subset/generator.py instances.json`.

As in instances_train2017.json: class frequencies, about 7.3 annotations an image with a heavy tail, 1 % of the images empty, objects of
a class in clumps and classes of a theme together, 41 / 34 / 25 % small, medium and large boxes with shares of their own for each class,
polygons of some 20 points, 1.2 % crowd regions as run lengths. Boxes lie anywhere: nothing here looks at where objects are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from classes import CLASSES
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

IMAGES, ANNOTATIONS = 118_000, 860_000
EMPTY, CROWD, TWO_PARTS = 0.009, 0.012, 0.08  # shares of the images, and of the annotations
THEME = 0.7  # share of the clumps that stand in an image of their theme
CLUMPS = {"person": 3.5, "book": 4.5, "banana": 4.0, "carrot": 4.0, "sheep": 5.0, "donut": 4.0, "car": 3.0, "chair": 2.8}
CLUMP = 1.5  # objects of one class at a time, on average, where not above
SHARES = (0.41, 0.34, 0.25)  # S, M, L
BOUNDS_PX2 = (60.0, 32.0**2, 96.0**2)
FORMATS = ((640, 480), (480, 640), (640, 427), (640, 640), (500, 375))
CHUNK = 20_000


def write(path: Path, *, images: int = IMAGES, annotations: int = ANNOTATIONS, seed: int = 0) -> None:
    """Write the file; the same numbers give the same bytes.

    Args:
        images: at least 20.
        annotations: at least 2 a class, 160.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    sizes = np.array(FORMATS)[rng.choice(len(FORMATS), images, p=[0.4, 0.2, 0.2, 0.1, 0.1])]
    ids = np.sort(rng.choice(np.arange(1, 5 * images), images, replace=False))
    of_class, image = _objects(images, annotations, rng)
    with path.open("wb") as file:
        file.write(b'{"info":{"description":"made by code","year":2017},"licenses":[{"id":1,"name":"none","url":""}],"images":')
        file.write(orjson.dumps([_image(int(id), int(w), int(h)) for id, (w, h) in zip(ids, sizes, strict=True)]))
        file.write(b',"annotations":[')
        for number, chunk in enumerate(_annotations(of_class, ids[image], sizes[image], rng)):
            file.write(b"," * (number > 0) + orjson.dumps(chunk)[1:-1])
        categories = [{"supercategory": kind.theme, "id": kind.id, "name": kind.name} for kind in CLASSES]
        file.write(b'],"categories":' + orjson.dumps(categories) + b"}")


def _image(id: int, width: int, height: int) -> dict[str, Any]:
    return {
        "license": 1,
        "file_name": f"{id:012}.jpg",
        "coco_url": f"http://images.example.org/train2017/{id:012}.jpg",
        "height": height,
        "width": width,
        "date_captured": "2013-11-14 11:18:45",
        "id": id,
    }


def _objects(images: int, annotations: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Class (its place in CLASSES) and image (its place) of each annotation, in an order of no meaning."""
    clump_class, clump_size = _clumps(annotations, rng)
    themes = sorted({kind.theme for kind in CLASSES})
    theme = np.array([themes.index(kind.theme) for kind in CLASSES])[clump_class]
    weight = rng.lognormal(0.0, 0.6, images)
    image_theme = rng.choice(theme, images)
    at = _drawn(weight, len(theme), rng)
    for number in range(len(themes)):
        own = np.flatnonzero((theme == number) & (rng.random(len(theme)) < THEME))
        at[own] = _drawn(np.where(image_theme == number, weight, 1e-12), len(own), rng)
    _fill(at, images, round(EMPTY * images), rng)
    order = rng.permutation(clump_size.sum())
    return np.repeat(clump_class, clump_size)[order], np.repeat(at, clump_size)[order]


def _clumps(annotations: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Class and size of each clump; sizes are geometric, and the classes have COCO's frequencies."""
    frequency = np.array([kind.annotations for kind in CLASSES])
    wanted = np.maximum(2, np.floor(frequency * annotations / frequency.sum())).astype(np.int64)
    wanted[0] += annotations - wanted.sum()
    kinds, sizes = [], []
    for number, kind in enumerate(CLASSES):
        drawn = rng.geometric(1 / CLUMPS.get(kind.name, CLUMP), wanted[number])
        last = int(np.searchsorted(drawn.cumsum(), wanted[number]))
        drawn = drawn[: last + 1]
        drawn[-1] -= drawn.sum() - wanted[number]
        kinds.append(np.full(len(drawn), number))
        sizes.append(drawn)
    return np.concatenate(kinds), np.concatenate(sizes)


def _drawn(weight: Floats, count: int, rng: np.random.Generator) -> Ints:
    edges = weight.cumsum()
    return np.searchsorted(edges, rng.random(count) * edges[-1]).astype(np.int64)


def _fill(at: Ints, images: int, empty: int, rng: np.random.Generator) -> None:
    """Move clumps from images with several to images with none until only `empty` have none."""
    while len(bare := np.flatnonzero(np.bincount(at, minlength=images) == 0)) > empty:
        order = rng.permutation(len(at))
        _, first, count = np.unique(at[order], return_index=True, return_counts=True)
        movable = order[first[count > 1]]
        bare = rng.permutation(bare)[: len(bare) - empty]
        moved = min(len(movable), len(bare))
        if moved == 0:
            break
        at[rng.permutation(movable)[:moved]] = bare[:moved]


def _annotations(of_class: Ints, image_ids: Ints, frames: Ints, rng: np.random.Generator) -> Iterator[list[dict[str, Any]]]:
    shares = rng.dirichlet(5 * np.array(SHARES), len(CLASSES))
    shares[0] = SHARES  # persons are so many that they decide the whole's shares
    shares = shares.cumsum(axis=1)
    category = np.array([kind.id for kind in CLASSES])[of_class]
    for begin in range(0, len(of_class), CHUNK):
        part = slice(begin, begin + CHUNK)
        boxes = _boxes(shares[of_class[part]], frames[part], rng)
        outlines, areas = _outlines(boxes, rng)
        crowd = rng.random(len(boxes)) < CROWD
        yield [
            {
                "segmentation": _run_lengths(int(w * h), int(h), int(w), rng) if is_crowd else outline,
                "area": area,
                "iscrowd": int(is_crowd),
                "image_id": image,
                "bbox": box,
                "category_id": kind,
                "id": 3 * number + 1,
            }
            for number, (outline, area, is_crowd, image, box, kind, (w, h)) in enumerate(
                zip(outlines, areas, crowd, image_ids[part].tolist(), boxes.tolist(), category[part].tolist(), frames[part], strict=True),
                start=begin,
            )
        ]


def _boxes(shares: Floats, frames: Ints, rng: np.random.Generator) -> Floats:
    """(A, 4) x, y, width, height in pixels, within the images."""
    size = (rng.random(len(shares))[:, None] > shares[:, :2]).sum(axis=1)
    low, high = np.array(BOUNDS_PX2)[size], np.where(size == 2, 0.8 * frames.prod(axis=1), np.array([*BOUNDS_PX2[1:], np.inf])[size])
    area = low * (high / low) ** rng.random(len(size))
    stretch = rng.lognormal(0.0, 0.3, len(size))
    sides = np.sqrt(area)[:, None] * np.stack([stretch, 1 / stretch], axis=1)
    sides = np.minimum(sides, 0.99 * frames)
    return np.concatenate([rng.random(sides.shape) * (frames - sides), sides], axis=1).round(2)


def _outlines(boxes: Floats, rng: np.random.Generator) -> tuple[list[list[list[float]]], list[float]]:
    """Star-shaped polygons in the boxes, some cut in two, and their areas."""
    points = rng.lognormal(3.05, 0.5, len(boxes)).astype(np.int64).clip(6, 150)
    owner = np.repeat(np.arange(len(boxes)), points)
    ends = points.cumsum()
    angle = 2 * np.pi * (np.arange(len(owner)) - (ends - points)[owner] + 0.7 * rng.random(len(owner))) / points[owner]
    radius = (0.6 + 0.4 * rng.random(len(owner))) / 2
    offset = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    xy = (boxes[owner, :2] + (0.5 + offset) * boxes[owner, 2:]).round(2)
    after = np.arange(1, len(owner) + 1)
    after[ends - 1] = ends - points
    twice = np.add.reduceat(xy[:, 0] * xy[after, 1] - xy[after, 0] * xy[:, 1], ends - points)
    flat, cut = xy.ravel().tolist(), rng.random(len(boxes)) < TWO_PARTS
    outlines = []
    for begin, end, parted in zip((2 * (ends - points)).tolist(), (2 * ends).tolist(), cut.tolist(), strict=True):
        middle = begin + (end - begin) // 4 * 2
        outlines.append([flat[begin:middle], flat[middle:end]] if parted else [flat[begin:end]])
    return outlines, abs(twice / 2).round(4).tolist()


def _run_lengths(pixels: int, height: int, width: int, rng: np.random.Generator) -> dict[str, Any]:
    cuts = np.unique(rng.integers(1, pixels, 200))
    return {"counts": np.diff(cuts, prepend=0, append=pixels).tolist(), "size": [height, width]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--annotations", type=int, default=ANNOTATIONS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.path, images=options.images, annotations=options.annotations, seed=options.seed)


if __name__ == "__main__":
    main()
