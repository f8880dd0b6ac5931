"""The test images of a run with their objects and what each detector found, as FiftyOne imports them.

The layout is FiftyOne's COCODetectionDataset (its user guide, "Importing data"): the images below `data/`, the objects in `labels.json`.
Beside it stands one more labels file for each detector, NAME.json, which is merged into the same samples by the path of the image.
`score` of an annotation becomes FiftyOne's confidence.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds.data.checking.paths import plain_parts
from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline import publish as results
from detkds.pipeline import published_detections
from detkds.pipeline.data_set import data_set
from detkds.pipeline.pull import runs_of
from detkds.storage.artifacts import read_manifest

DATA, LABELS = "data", "labels.json"


def check(to: Path) -> None:
    """Refuse a folder that something is in.

    Raises:
        ConfigError: it is not empty, or no folder.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"--fiftyone {to} is not an empty folder; name another one.")


def export(run: str, store: str, to: Path, images: Path | None, home: Path, console: Console, *, embedded_s3: bool = False) -> None:
    """Write a folder that FiftyOne imports.

    Args:
        run: NAME, NAME/ID or latest, of a published run; empty: latest.
        store: the bucket's address, as of `pull`.
        to: the folder; it must not be there, or be empty.
        images: folder of the test images; None takes them from where the run took them.
        home: as of `pull`.
        console: says how the folder is loaded.
        embedded_s3: as of `pull`.

    Raises:
        ConfigError: the folder is not empty, or an image is not where it should be.
        ArtifactError: there is no such run, it has no detections, or a file is damaged.
    """
    check(to)
    with runs_of(store, home, console, embedded_s3) as address:
        name, folder = results.fetch(run or results.LATEST, address, home / "runs")
        if not (folder / published_detections.FOLDER).is_dir():
            raise ArtifactError(f"the results of {name} hold no detections, an older version published them; run it again.")
        truth, found = published_detections.read(folder)
        files = [str(image["file_name"]) for image in truth["images"]]
        source = images or _images(folder, files)
        for file in files:
            _place(source / Path(*plain_parts(file)), to / DATA / Path(*plain_parts(file)))
    shared = {key: truth[key] for key in ("images", "categories")}
    (to / LABELS).write_text(json.dumps({**shared, "annotations": truth["annotations"]}))
    for detector, detections in found.items():
        (to / f"{detector}.json").write_text(json.dumps({**shared, "annotations": _annotations(detections)}))
    console.print(f"{to}  {len(files)} images, with the boxes of {', '.join(found)}", markup=False, soft_wrap=True)
    console.print(f"load it in Python:\n{loading(to, list(found))}", markup=False, soft_wrap=True)


def _images(folder: Path, files: Sequence[str]) -> Path:
    """The test images where the run took them; those of a store are fetched.

    Raises:
        ConfigError: they are on a volume of a cluster.
        DetKDSError: see `DataSet.images`.
    """
    place = published_detections.address(read_manifest(folder, f"artifact {folder}").meta)
    if place is None or place[0].startswith("pvc://"):
        raise ConfigError("the test images are not where this machine can read them; name their folder with --images.")
    return data_set(place[0]).images(place[1], files)


def _place(source: Path, target: Path) -> None:
    """One file in two places where the disk allows that, else a copy.

    Raises:
        ConfigError: it is not there.
    """
    if not source.is_file():
        raise ConfigError(f"image {source} does not exist; name the folder of the test images with --images.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy(source, target)


def _annotations(detections: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """COCO results as annotations: each with an id and the area of its box."""
    return [{"id": number, "iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3], **one} for number, one in enumerate(detections, 1)]


def loading(folder: Path, detectors: Sequence[str]) -> str:
    """The lines of Python that load the folder. Without `label_types` FiftyOne would also make fields of masks and keypoints, and put the
    kind of the labels behind the name of each field."""
    names = ", ".join(f'"{name}"' for name in detectors)
    return "\n".join(
        [
            "  import fiftyone as fo",
            f'  folder, kind = "{folder.resolve()}", dict(dataset_type=fo.types.COCODetectionDataset, label_types="detections")',
            '  dataset = fo.Dataset.from_dir(dataset_dir=folder, label_field="truth", **kind)',
            f"  for name in ({names},):",
            '      dataset.merge_dir(dataset_dir=folder, labels_path=f"{name}.json", label_field=name, **kind)',
        ]
    )
