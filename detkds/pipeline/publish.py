"""Published results: fixed keys in the store, so that anyone finds a run's student without knowing the pipeline's own addresses.

`runs/NAME/ID/` is an artifact of one run of that name; `runs/NAME/latest` and `runs/latest` are texts that name the newest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from detkds.errors import ArtifactError, ConfigError
from detkds.report.series import long_title
from detkds.storage.artifacts import read_manifest
from detkds.storage.manifest import MANIFEST, Manifest
from detkds.storage.store import Store
from detkds.storage.uri import open_store

KIND = "results"
LATEST = "latest"
FIGURES = "results.json"


@dataclass(frozen=True)
class Published:
    """One run's results in a store.

    Args:
        store: where runs are published.
        name: of the run.
        identity: of its results; a run that was done again has others.
        when: they were published, in Unix time; 0 where that was not asked for.
    """

    store: Store
    name: str
    identity: str
    when: float = 0.0

    @property
    def key(self) -> str:
        """Of the artifact in the store."""
        return f"{self.name}/{self.identity}"

    def manifest(self) -> Manifest:
        """The checked manifest.

        Raises:
            ArtifactError: there are no such results, or the manifest is damaged.
        """
        found = self.store.manifest(self.key)
        if found is None:
            raise ArtifactError(f"artifact {self.store.uri(self.key)} does not exist; detkds pull --list names those that do.")
        return found

    def average_precision(self) -> dict[str, float | None]:
        """AP in [0, 1] of each detector, by its name.

        Raises:
            ArtifactError: the results are damaged.
        """
        entry = self.manifest().files.get(FIGURES)
        try:
            detectors = json.loads(self.store.get_bytes(f"{self.key}/{FIGURES}", entry.size if entry else 0))["evaluation"]["detectors"]
            return {name: detector["kinds"]["bbox"]["figures"]["AP"] for name, detector in detectors.items()}
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ArtifactError(f"{self.store.uri(self.key)}/{FIGURES} is damaged; publish the run again.") from None

    def bring(self, names: Sequence[str], folder: Path) -> Iterator[Path]:
        """Bring single files into a folder, each verified before it appears; yields their paths.

        Raises:
            ConfigError: the results have no such file, or another one is in its place.
            ArtifactError: a file is damaged.
        """
        manifest, artifact = self.manifest(), f"artifact {self.store.uri(self.key)}"
        for name in names:
            if name not in manifest.files:
                raise ConfigError(f"{artifact} has no file {name!r}; it has {', '.join(manifest.files)}.")
            if (folder / name).exists():
                raise ConfigError(f"{folder / name} exists and is not overwritten; name another folder with --to.")
        for name in names:
            draft = folder / f".{Path(name).name}.pulled"
            try:
                self.store.get_file(f"{self.key}/{name}", draft)
                manifest.check_file(name, draft, artifact)
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                draft.replace(folder / name)
            finally:
                draft.unlink(missing_ok=True)
            yield folder / name


def publish(folder: Path, run: str, results: str) -> str:
    """Store a results artifact and name it the newest; returns its address."""
    store = open_store(results)
    store.ensure_bucket()
    identity = read_manifest(folder, f"artifact {folder}").digest[:12]
    store.put_folder(folder, f"{run}/{identity}")
    store.put_bytes(identity.encode(), f"{run}/{LATEST}")
    store.put_bytes(run.encode(), LATEST)
    return store.uri(f"{run}/{identity}")


def find(run: str, results: str) -> Published:
    """The results of a run.

    Args:
        run: NAME for its newest, NAME/ID for others, or "latest" for those of the run that was published last.
        results: where runs are published.

    Raises:
        ArtifactError: there is no such run; the message names those that there are.
    """
    store = open_store(results)
    name = _text(store, LATEST, "no run was published here yet; `detkds run` publishes one") if run == LATEST else run
    name, _, identity = name.partition("/")
    known = f"no run {name!r} was published here; there are: {', '.join(_names(store)) or 'none'}"
    return Published(store, name, identity or _text(store, f"{name}/{LATEST}", known))


def published(results: str) -> list[Published]:
    """All results in a store, the newest first."""
    store = open_store(results)
    found = []
    for entry in store.list():
        parts = entry.key.split("/")
        if len(parts) == 3 and parts[2] == MANIFEST:
            found.append(Published(store, parts[0], parts[1], entry.modified))
    return sorted(found, key=lambda one: -one.when)


def fetch(run: str, results: str, folder: Path) -> tuple[str, Path]:
    """Bring the results of a run (see `find`) to `folder`/NAME, verified; returns the run's name and the folder.

    Raises:
        ArtifactError: there is no such run, or its results are damaged.
    """
    found = find(run, results)
    found.store.get_folder(found.key, folder / found.name, KIND)
    return found.name, folder / found.name


def show(run: str, *, results: str, home: Path, console: Console, option: str = "") -> None:
    """Print what a run found: the AP table, whether the gain is one, the recipe, the page and how to fetch the student.

    Args:
        run: its name, or as `find` takes it.
        results: where runs are published.
        home: the results are fetched to its folder `runs`.
        console: gets it all.
        option: what `detkds pull` needs to find the same store.
    """
    name, place = fetch(run, results, home / "runs")
    content = json.loads((place / "results.json").read_text())
    console.print(ap_table(content))
    console.print(content["verdict"], markup=False)
    console.print("recipe found", style="bold")
    console.print((place / "recipe.txt").read_text().strip(), markup=False)
    console.print()
    console.print(f"report   {place / 'report.html'}", markup=False)
    console.print(f"student  detkds pull {name} --to student{option}    (from {open_store(results).uri(name)})", markup=False)


def ap_table(content: Mapping[str, Any]) -> Table:
    """AP figures of teacher, student without distillation and distilled student, in percent."""
    table = Table(title="COCO AP on the test images, in percent", title_style="bold")
    figures = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    table.add_column("detector")
    for figure in figures:
        table.add_column(figure, justify="right")
    for name, detector in content["evaluation"]["detectors"].items():
        values = (detector["kinds"]["bbox"]["figures"].get(figure) for figure in figures)
        table.add_row(long_title(name), *("-" if value is None else f"{100 * value:.1f}" for value in values))
    return table


def _text(store: Store, key: str, otherwise: str) -> str:
    if not store.exists(key):
        raise ArtifactError(otherwise + ".")
    return store.get_bytes(key).decode()


def _names(store: Store) -> list[str]:
    return sorted({entry.key.split("/")[-2] for entry in store.list() if entry.key.endswith(f"/{LATEST}") and entry.key.count("/")})
