"""A data set of another format as COCO annotation files beside its images."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from detkds.data import write_coco
from detkds.data.coco import inspect, summary
from detkds.data.convert import Kind, converted
from detkds.errors import ConfigError, DatasetError
from detkds.pipeline.data_screen import say


def data_convert(folder: Path, to: Path | None, kind: Kind | None, console: Console) -> list[Path]:
    """Convert every split of a folder, write `SPLIT.json`, check it, and say what is in it; returns the files.

    Args:
        folder: of the set; `file_name` of the annotations is relative to it.
        to: where annotation files go; None is `annotations` in the folder.
        kind: the format; None recognises it.
        console: where the outcome is shown.

    Raises:
        ConfigError: a file would be overwritten.
        DatasetError: the folder breaks the rules of its format, or what came out has faults; what was written stays for `data check`.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} must be a folder with a data set, but is none; correct the path.")
    found = converted(folder, kind)
    target = to or folder / "annotations"
    paths = [target / f"{split}.json" for split in found]
    if there := [path for path in paths if path.exists()]:
        raise ConfigError(f"{there[0]} exists already; name another folder with --to, or remove it.")
    target.mkdir(parents=True, exist_ok=True)
    faulty = []
    for path, coco in zip(paths, found.values(), strict=True):
        write_coco(path, coco)
        inspection = inspect(path, folder)
        counts = f"{len(coco['images']):,} images, {len(coco['annotations']):,} objects, {len(coco['categories'])} classes"
        say(console, f"{path}: {counts}; image folder {folder}")
        if not inspection.findings.sound:
            faulty.append(summary(inspection.findings))
    if faulty:
        raise DatasetError("\n".join(faulty))
    return paths
