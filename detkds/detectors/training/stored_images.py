"""Images as a pipeline needs them, kept between its visits in one bounded file that all processes of a training share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import mmcv
import numpy as np
import numpy.typing as npt
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import Resize
from mmdet.registry import TRANSFORMS

from detkds.errors import DatasetError

CACHE_BYTES = 2 * 2**30
"""Of one data set's images, on the disk of temporary files; the operating system keeps as much of it in memory as there is room."""

Step = dict[str, Any]
Pixels = npt.NDArray[np.uint8]


class ImageStore:
    """Pixels (H, W, 3) uint8 by the path of an image, in a file without a name that goes when its last process does.

    A place is reserved for the first images that fit. Processes made by fork share the file; two that fill a place write the same pixels.

    Args:
        shapes: height and width of each image to keep, by path.
        limit: bytes at most.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], limit: int = CACHE_BYTES) -> None:
        self._places: dict[str, tuple[int, int, tuple[int, int]]] = {}
        end = 0
        for number, (path, shape) in enumerate(shapes.items()):
            size = 3 * shape[0] * shape[1]
            if end + size > limit:
                break
            self._places[path] = (number, end, shape)
            end += size
        memory = _reserve(end + len(self._places))
        if memory is None:
            self._places = {}
            return
        self._filled, self._pixels = memory[: len(self._places)], memory[len(self._places) :]

    def get(self, path: str) -> Pixels | None:
        """A copy of an image's pixels, which may be written into; None where there are none."""
        place = self._places.get(path)
        if place is None or not self._filled[place[0]]:
            return None
        return np.array(self._view(place))

    def put(self, path: str, pixels: Pixels) -> None:
        """Keep an image's pixels, if it has a place and they are as large as was said."""
        place = self._places.get(path)
        if place is not None and pixels.dtype == np.uint8 and pixels.shape == (*place[2], 3):
            self._view(place)[...] = pixels
            self._filled[place[0]] = 1

    def _view(self, place: tuple[int, int, tuple[int, int]]) -> Pixels:
        _, begin, (height, width) = place
        return self._pixels[begin : begin + 3 * height * width].reshape(height, width, 3)


def _reserve(size: int) -> Pixels | None:
    """So many bytes of a file; None where the disk has no room, since a page without one would end the process."""
    with tempfile.TemporaryFile() as file:  # the mapping outlives the name and the handle
        try:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        except OSError:
            return None
        return np.memmap(file, np.uint8, "r+")


@TRANSFORMS.register_module()
class StoredImage(LoadImageFromFile):  # type: ignore[misc]
    """mmcv's image loader, which takes an image from a store where it is kept, resized already if `StoredResize` follows.

    Args:
        store: where images are kept.
        resized: whether they are kept as the Resize that follows makes them.
    """

    def __init__(self, store: ImageStore, resized: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._store, self._resized = store, resized

    def transform(self, results: dict[str, Any]) -> Any:
        """Add img (H, W, 3), img_shape and ori_shape for img_path. A file that is not an image is a DatasetError."""
        path = results["img_path"]
        kept = self._store.get(path)
        if kept is not None:
            shape = (results["height"], results["width"]) if self._resized else kept.shape[:2]
            return {**results, "img": kept, "img_shape": shape, "ori_shape": shape, "stored": self._resized}
        try:
            super().transform(results)
        except (OSError, AssertionError) as error:  # mmcv asserts that the bytes decoded
            raise DatasetError(f"image {path} cannot be read as an image: {error or type(error).__name__}") from error
        if not self._resized:
            self._store.put(path, results["img"])
        return results


@TRANSFORMS.register_module()
class StoredResize(Resize):  # type: ignore[misc]
    """mmdet's Resize to one fixed scale, which finds its work done in images that a StoredImage took from the store."""

    def __init__(self, store: ImageStore, **options: Any) -> None:
        super().__init__(**options)
        self._store = store

    def _resize_img(self, results: dict[str, Any]) -> None:
        if results.pop("stored", False):
            (height, width), shape = results["ori_shape"], results["img"].shape[:2]
            results.update(img_shape=shape, scale_factor=(shape[1] / width, shape[0] / height), keep_ratio=self.keep_ratio)
            return
        true = results["img"].shape[:2]
        super()._resize_img(results)
        if true == (results["height"], results["width"]):  # else what was kept could not say how large the image was
            self._store.put(results["img_path"], results["img"])


def storing(pipeline: Sequence[Step], sizes: Mapping[str, tuple[int, int]]) -> list[Step]:
    """A pipeline that keeps its images: resized where its Resize comes before anything random, else as decoded.

    Args:
        pipeline: its first step loads an image.
        sizes: height and width of every image in pixels, by path.
    """
    if not pipeline or _name(pipeline[0]) != "LoadImageFromFile" or pipeline[0].get("to_float32"):
        return list(pipeline)
    place = next((at for at, step in enumerate(pipeline) if at and _name(step) != "LoadAnnotations"), None)
    resize = pipeline[place] if place is not None and _fixed(pipeline[place]) else None
    keep_ratio = bool(resize and resize.get("keep_ratio"))
    shapes = {path: _resized(size, resize["scale"], keep_ratio) if resize else size for path, size in sizes.items()}
    store = ImageStore(shapes)
    steps = [{**pipeline[0], "type": "StoredImage", "store": store, "resized": resize is not None}, *pipeline[1:]]
    if resize is not None and place is not None:
        steps[place] = {**resize, "type": "StoredResize", "store": store}
    return steps


def _fixed(step: Step) -> bool:
    scale = step.get("scale")
    return _name(step) == "Resize" and isinstance(scale, tuple) and len(scale) == 2 and not step.get("scale_factor")


def _resized(size: tuple[int, int], scale: tuple[int, int], keep_ratio: bool) -> tuple[int, int]:
    """Height and width after mmcv's Resize."""
    height, width = size
    new_width, new_height = mmcv.rescale_size((width, height), scale) if keep_ratio else scale
    return int(new_height), int(new_width)


def _name(step: Step) -> str:
    return str(step["type"]).rpartition(".")[2]
