"""Fetch what a run published, and list what there is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline import publish as results
from detkds.pipeline.local_store import local_store
from detkds.pipeline.publish import Published
from detkds.storage.artifacts import verify
from detkds.storage.manifest import FileEntry, file_sha256
from detkds.storage.uri import ENDPOINT, open_store


def pull(
    run: str,
    store: str,
    to: Path | None,
    only: Sequence[str],
    home: Path,
    console: Console,
    *,
    onnx: bool = False,
    embedded_s3: bool = False,
) -> dict[str, str]:
    """Fetch the results of a run, each file verified, and list them with sizes and sha256.

    Args:
        run: NAME, NAME/ID or latest.
        store: the bucket's address; runs are published in its `runs`.
        to: folder for the files; None takes the run's name. Unmodified results of another run are replaced in one step.
        only: names of single files; none for all.
        home: the folder of the store, where DETKDS_S3_ENDPOINT names none.
        embedded_s3: read the embedded server instead.
        console: where the list goes.
        onnx: also write the student as FOLDER.onnx beside the folder, checked against mmdet.

    Returns:
        sha256 of the files by their paths.

    Raises:
        ArtifactError: there is no such run, or a file is damaged; nothing is left of it then.
        ConfigError: the folder holds something else, or a student is to be exported of which only files were asked for.
    """
    if onnx and only:
        raise ConfigError("--onnx needs the whole student; leave out --only.")
    with runs_of(store, home, console, embedded_s3) as address:
        found = results.find(run, address)
        target = to or Path(found.name)
        if only:
            listed = {path: FileEntry(path.stat().st_size, file_sha256(path)) for path in found.bring(only, target)}
        else:
            listed = _all(found, target, console)
    for path, entry in listed.items():
        console.print(f"{entry.sha256}  {entry.size:>12,}  {path}", markup=False, soft_wrap=True)
    if onnx:
        from detkds.pipeline.export_onnx import export_student

        export_student(target, target.parent / f"{target.name}.onnx", console)
    return {str(path): entry.sha256 for path, entry in listed.items()}


def list_runs(store: str, home: Path, console: Console, *, embedded_s3: bool = False) -> list[dict[str, Any]]:
    """Print the published runs, the newest first: name, id, date, AP of the distilled student and what distillation gained; and give them
    back as plain values."""
    listed: list[dict[str, Any]] = []
    with runs_of(store, home, console, embedded_s3) as address:
        table = Table(title=f"runs in {address}", title_style="bold")
        for column in ("run", "id", "published", "AP", "without distillation"):
            table.add_column(column, justify="right" if "AP" in column or "without" in column else "left", overflow="fold")
        for found in results.published(address):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.when))
            figures = _figures(found)
            table.add_row(found.name, found.identity, when, *figures)
            listed.append({"run": found.name, "id": found.identity, "published": found.when, "AP": figures[0], "without": figures[1]})
    if table.row_count:
        console.print(table)
        console.print("fetch one: detkds pull RUN, or RUN/ID for one that is not its newest", markup=False)
    else:
        console.print(f"no run was published in {address}", markup=False)
    return listed


@contextmanager
def runs_of(store: str, home: Path, console: Console, embedded_s3: bool) -> Iterator[str]:
    """The address where runs are published, with the store at hand."""
    with local_store(home, console, embedded=embedded_s3) as kind:
        folder = Path(open_store(store).uri())
        if kind == "folder" and not folder.is_dir():
            other = "; the embedded server has data here: add --embedded-s3" if (home / "s3").is_dir() else ""
            raise ArtifactError(f"no run was published yet in {folder}, which is used in place of {store} without {ENDPOINT}{other}.")
        yield f"{store}/runs"


def _figures(found: Published) -> tuple[str, str]:
    try:
        figures = found.average_precision()
    except ArtifactError:
        return "damaged", ""
    known = (figures.get(name) for name in ("distilled", "student"))
    one, other = ("-" if value is None else f"{100 * value:.1f}" for value in known)
    return one, other


def _all(found: Published, target: Path, console: Console) -> dict[Path, FileEntry]:
    manifest = found.manifest()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        held = _held(target)
        if held == manifest.digest:
            console.print(f"{target} holds them already, unaltered", markup=False, soft_wrap=True)
            return {target / name: entry for name, entry in manifest.files.items()}
    found.store.get_folder(found.key, target, results.KIND)
    return {target / name: entry for name, entry in manifest.files.items()}


def _held(target: Path) -> str:
    """Digest of the results that a folder holds, where they may be replaced: unaltered, and nothing else beside them."""
    try:
        return verify(target, results.KIND).digest
    except (ArtifactError, NotADirectoryError):
        raise ConfigError(f"{target} exists and holds something else; name another folder with --to.") from None
