"""`detkds pull` against a real store: what it lists, brings and refuses."""

from __future__ import annotations

import hashlib
import io
import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline import export_onnx
from detkds.pipeline import publish as results
from detkds.pipeline.pull import list_runs, pull
from detkds.storage import Store, open_store, publishing
from detkds.storage.server import EmbeddedServer


class Shelf:
    """A bucket with runs, and the verb as a user has it."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.store: Store = open_store(f"{address}/runs")

    def publish(self, run: str, student: bytes, ap: float | None = 0.5) -> str:
        """Publish a run; returns its id."""
        place = self.folder / secrets.token_hex(4)
        detectors = {"student": 0.25, "distilled": ap}
        figures = {name: {"kinds": {"bbox": {"figures": {"AP": value}}}} for name, value in detectors.items()}
        with publishing(place, kind=results.KIND) as inside:
            (inside / "student.pth").write_bytes(student)
            (inside / "results.json").write_text(json.dumps({"evaluation": {"detectors": figures}}))
        return results.publish(place, run, f"{self.address}/runs").rpartition("/")[2]

    def pull(self, run: str = "latest", *only: str, to: str = "out") -> str:
        said = io.StringIO()
        pull(run, self.address, self.folder / to, only, self.folder / "home", Console(file=said, width=200))
        return said.getvalue()

    def student(self, to: str = "out") -> bytes:
        return (self.folder / to / "student.pth").read_bytes()


@pytest.fixture
def shelf(s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shelf:
    for name, value in {**s3_server.environment(), "DETKDS_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    return Shelf(f"s3://shelf-{secrets.token_hex(6)}", tmp_path)


def test_the_latest_comes_with_sizes_and_sha256(shelf: Shelf) -> None:
    shelf.publish("one", b"weights of one")
    shelf.publish("two", b"weights of two")
    said = shelf.pull().splitlines()
    assert shelf.student() == b"weights of two"
    assert [line.split()[2].rpartition("/")[2] for line in said] == ["results.json", "student.pth"]
    assert said[1].split()[:2] == [hashlib.sha256(b"weights of two").hexdigest(), "14"]


def test_a_run_by_name_and_its_earlier_results_by_id(shelf: Shelf) -> None:
    first = shelf.publish("one", b"first")
    shelf.publish("one", b"second")
    shelf.publish("two", b"other")
    shelf.pull("one", to="newest")
    shelf.pull(f"one/{first}", to="first")
    assert (shelf.student("newest"), shelf.student("first")) == (b"second", b"first")


def test_pulled_again_nothing_is_moved_and_newer_results_replace_unaltered_ones(shelf: Shelf) -> None:
    shelf.publish("one", b"first")
    shelf.pull()
    before = (shelf.folder / "out" / "student.pth").stat().st_ino
    assert "holds them already, unaltered" in shelf.pull()
    assert (shelf.folder / "out" / "student.pth").stat().st_ino == before
    shelf.publish("one", b"second")
    shelf.pull()
    assert shelf.student() == b"second"
    (shelf.folder / "out" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"out exists and holds something else; name another folder with --to"):
        shelf.pull()
    assert (shelf.folder / "out" / "notes.txt").read_text() == "mine"


def test_one_file_alone(shelf: Shelf) -> None:
    shelf.publish("one", b"weights")
    assert shelf.pull("one", "student.pth").split()[:2] == [hashlib.sha256(b"weights").hexdigest(), "7"]
    assert [path.name for path in (shelf.folder / "out").iterdir()] == ["student.pth"]
    with pytest.raises(ConfigError, match=r"student\.pth exists and is not overwritten"):
        shelf.pull("one", "student.pth")
    with pytest.raises(ConfigError, match=r"has no file 'student\.onnx'; it has results\.json, student\.pth"):
        shelf.pull("one", "student.onnx", to="other")
    assert not (shelf.folder / "other").exists()


@pytest.mark.parametrize("only", [[], ["--only", "student.pth"]], ids=["all", "one"])
def test_a_damaged_object_is_refused_with_both_digests(shelf: Shelf, only: list[str]) -> None:
    identity = shelf.publish("one", b"weights")
    shelf.store.put_bytes(b"weighty", f"one/{identity}/student.pth")
    command = [sys.executable, "-c", "from detkds.cli import main; main()", "pull", "--store", shelf.address, *only]
    result = subprocess.run(command, cwd=shelf.folder, capture_output=True, text=True, timeout=60, check=False)
    wanted, got = (hashlib.sha256(data).hexdigest()[:12] for data in (b"weights", b"weighty"))
    assert result.returncode == 65
    assert result.stderr == (
        f"detkds: artifact {shelf.address}/runs/one/{identity}: file 'student.pth' must have 7 bytes with sha256 {wanted}, "
        f"got 7 bytes with {got}; it is damaged: delete it and produce or fetch it again.\n"
    )
    assert list(shelf.folder.rglob("student.pth")) == [shelf.folder / place.name / "student.pth" for place in artifacts(shelf)]


def artifacts(shelf: Shelf) -> list[Path]:
    """The folders that were published from."""
    return [path.parent for path in shelf.folder.rglob("manifest.json") if (path.parent / "student.pth").exists()]


def test_the_list_has_names_dates_and_figures(shelf: Shelf) -> None:
    first = shelf.publish("one", b"a", ap=0.375)
    second = shelf.publish("two", b"b", ap=None)
    damaged = shelf.publish("three", b"c")
    shelf.store.put_bytes(b"{}", f"three/{damaged}/results.json")
    said = io.StringIO()
    list_runs(shelf.address, shelf.folder / "home", Console(file=said, width=200))
    lines = {line.split()[1]: line for line in said.getvalue().splitlines() if line.startswith("│")}
    assert first in lines["one"]
    assert "37.5 │" in lines["one"]
    assert "25.0 │" in lines["one"]
    assert second in lines["two"]
    assert " - │" in lines["two"]
    assert "damaged" in lines["three"]


def test_runs_that_are_not_there(shelf: Shelf) -> None:
    shelf.store.ensure_bucket()
    said = io.StringIO()
    list_runs(shelf.address, shelf.folder / "home", Console(file=said, width=200))
    assert "no run was published in" in said.getvalue()
    with pytest.raises(ArtifactError, match="no run was published here yet"):
        shelf.pull()
    shelf.publish("one", b"a")
    with pytest.raises(ArtifactError, match="no run 'two' was published here; there are: one"):
        shelf.pull("two")
    with pytest.raises(ArtifactError, match=r"runs/one/none does not exist; detkds pull --list names those that do"):
        shelf.pull("one/none")


@pytest.mark.parametrize("run", ["../../up", "one/../..", "/etc"])
def test_a_name_that_leaves_its_place_is_refused(shelf: Shelf, run: str) -> None:
    shelf.publish("one", b"a")
    with pytest.raises(ArtifactError, match="a stored name must be a relative path"):
        shelf.pull(run)


def test_the_student_that_came_is_exported_beside_its_folder(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export itself, of a folder that holds what a run publishes: test_onnx_verb.py."""
    shelf.publish("one", b"weights")
    exported: list[tuple[bytes, Path]] = []
    monkeypatch.setattr(export_onnx, "export_student", lambda at, out, console: exported.append(((at / "student.pth").read_bytes(), out)))
    pull("one", shelf.address, shelf.folder / "mine", (), shelf.folder / "home", Console(quiet=True), onnx=True)
    assert exported == [(b"weights", shelf.folder / "mine.onnx")]


def test_an_export_needs_the_whole_student(shelf: Shelf) -> None:
    with pytest.raises(ConfigError, match="--onnx needs the whole student"):
        pull("latest", shelf.address, None, ["student.pth"], shelf.folder / "home", Console(), onnx=True)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB of which 64 KB are free."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system here")
    try:
        (disk / "other").write_bytes(bytes(2 * 2**20 - 64 * 2**10))
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_ends_in_one_line_and_leaves_no_half_of_a_file(shelf: Shelf, full_disk: Path) -> None:
    shelf.publish("one", bytes(2**20))
    words = [
        sys.executable,
        "-c",
        "from detkds.cli import main; main()",
        "pull",
        "one",
        "--store",
        shelf.address,
        "--home",
        str(full_disk / "home"),
        "--to",
        str(full_disk / "out"),
    ]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 75
    (line,) = ended.stderr.splitlines()
    assert re.search("no space is left on the disk", line)
    assert not list(full_disk.rglob("student.pth"))
