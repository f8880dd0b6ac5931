"""Published results: fixed keys in the store, so that anyone finds a run's student without knowing the pipeline's own addresses.

`runs/NAME/ID/` is an artifact of one run of that name; `runs/NAME/latest` and `runs/latest` are texts that name the newest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from detkds.errors import ArtifactError
from detkds.storage.artifacts import read_manifest
from detkds.storage.store import Store
from detkds.storage.uri import open_store

KIND = "results"
LATEST = "latest"


def publish(folder: Path, run: str, results: str) -> str:
    """Store a results artifact and name it the newest; returns its address."""
    store = open_store(results)
    store.ensure_bucket()
    identity = read_manifest(folder, f"artifact {folder}").digest[:12]
    store.put_folder(folder, f"{run}/{identity}")
    store.put_bytes(identity.encode(), f"{run}/{LATEST}")
    store.put_bytes(run.encode(), LATEST)
    return store.uri(f"{run}/{identity}")


def fetch(run: str, results: str, folder: Path) -> tuple[str, Path]:
    """Bring the newest results of a run (or of the latest run) to `folder`/NAME, verified.

    Returns:
        The run's name and the folder.

    Raises:
        ArtifactError: there is no such run; the message names those that there are.
    """
    store = open_store(results)
    name = _text(store, LATEST, "no run was published here yet; `detkds run` publishes one") if run == LATEST else run
    identity = _text(store, f"{name}/{LATEST}", f"no run {name!r} was published here; there are: {', '.join(_names(store)) or 'none'}")
    place = folder / name
    store.get_folder(f"{name}/{identity}", place, KIND)
    return name, place


def show(run: str, *, results: str, home: Path, console: Console) -> None:
    """Print what a run found: the AP table, the recipe, the page and how to fetch the student."""
    name, place = fetch(run, results, home / "runs")
    content = json.loads((place / "results.json").read_text())
    console.print(ap_table(content))
    console.print("recipe found", style="bold")
    console.print((place / "recipe.txt").read_text().strip(), markup=False)
    console.print()
    console.print(f"report   {place / 'report.html'}", markup=False)
    console.print(f"student  detkds pull {name} --to student    (from {results}/{name})", markup=False)


def ap_table(content: Mapping[str, Any]) -> Table:
    """AP figures of teacher, student without distillation and distilled student, in percent."""
    table = Table(title="COCO AP on the test images, in percent", title_style="bold")
    figures = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    table.add_column("detector")
    for figure in figures:
        table.add_column(figure, justify="right")
    for row in content["detectors"]:
        values = (row["figures"].get(figure) for figure in figures)
        table.add_row(row["role"], *("-" if value is None else f"{100 * value:.1f}" for value in values))
    return table


def _text(store: Store, key: str, otherwise: str) -> str:
    if not store.exists(key):
        raise ArtifactError(otherwise + ".")
    return store.get_bytes(key).decode()


def _names(store: Store) -> list[str]:
    return sorted({entry.key.split("/")[-2] for entry in store.list() if entry.key.endswith(f"/{LATEST}") and entry.key.count("/")})
