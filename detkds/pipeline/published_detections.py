"""What the detectors found in the test images, as a run publishes it: for `detkds export --fiftyone`, and for whoever wants the boxes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detkds.pipeline.subset import Part

FOLDER, TRUTH = "detections", "truth"
"""In results: NAME.json.gz of each detector, a list of COCO results, and truth.json.gz, the annotations of the test images."""
ROOT, IMAGES = "test_root", "test_images"
"""Where the images are, in the manifest: the data set's address, and their folder in it."""


def write(folder: Path, test: Part, evaluation: Path) -> None:
    """Write truth and detections below the folder of results.

    Args:
        folder: of the results.
        test: the test images.
        evaluation: artifact with detections_NAME.json.
    """
    (folder / FOLDER).mkdir()
    _compress(test.annotations, folder / FOLDER / f"{TRUTH}.json.gz")
    for path in sorted(evaluation.glob("detections_*.json")):
        _compress(path, folder / FOLDER / f"{path.stem.removeprefix('detections_')}.json.gz")


def place_of(test: Part) -> dict[str, str]:
    """What the manifest says of the images."""
    return {ROOT: test.root, IMAGES: test.folder}


def read(folder: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The truth, a COCO object, and the COCO results of each detector by its name."""
    found = dict(_contents(folder / FOLDER))
    truth = found.pop(TRUTH)
    return truth, found


def _contents(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.glob("*.json.gz")):
        yield path.name.removesuffix(".json.gz"), json.loads(gzip.decompress(path.read_bytes()))


def _compress(source: Path, target: Path) -> None:
    target.write_bytes(gzip.compress(source.read_bytes(), mtime=0))  # without a time, so that equal content is equal bytes


def address(meta: Mapping[str, Any]) -> tuple[str, str] | None:
    """The data set's address and the folder of the test images, from a manifest; None where it does not say."""
    return (str(meta[ROOT]), str(meta[IMAGES])) if ROOT in meta and IMAGES in meta else None
