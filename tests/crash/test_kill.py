"""R1, R2, R11: however a search dies, started again it ends with the journal and the recipe of a search that did not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parents[1])}
KINDS = ("evolution", "weights", "random")
DIED = 9


def python(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def outcome(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "journal.jsonl").read_bytes(), (folder / "recipe.json").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, bytes]]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    for seed, kind in enumerate(KINDS):
        python(HERE / "victim.py", folder / kind, kind, seed)
    return {kind: outcome(folder / kind) for kind in KINDS}


@pytest.mark.parametrize(("signal", "kills"), [("SIGKILL", 200), ("SIGTERM", 20), ("SIGINT", 20)])
def test_killed_at_random_moments(tmp_path: Path, signal: str, kills: int) -> None:
    done = json.loads(python(HERE / "killer.py", tmp_path, kills, signal))
    assert sum(done) >= kills
    for study, killed in enumerate(done):
        python(HERE / "victim.py", tmp_path / "whole" / str(study), KINDS[study % 3], study)
        assert outcome(tmp_path / "killed" / str(study)) == outcome(tmp_path / "whole" / str(study)), f"killed {killed} times"


@pytest.mark.parametrize(
    ("point", "number"),
    [
        ("ask", 1), ("ask", 6), ("ask", 12),
        ("tell", 1), ("tell", 7),
        ("identify", 1), ("identify", 15),
        ("before-objective", 1), ("before-objective", 2), ("before-objective", 9),
        ("after-objective", 1), ("after-objective", 5),
        ("half-append", 1), ("half-append", 2), ("half-append", 3), ("half-append", 30),
        ("after-append", 1), ("after-append", 2), ("after-append", 3), ("after-append", 30),
        ("progress", 1), ("progress", 20),
    ],
)  # fmt: skip
def test_dead_at_a_named_point(tmp_path: Path, uninterrupted: dict[str, tuple[bytes, bytes]], point: str, number: int) -> None:
    seed = (number + len(point)) % 3
    kind = KINDS[seed]
    python(HERE / "victim.py", tmp_path, kind, seed, point, number, code=DIED)
    assert not (tmp_path / "recipe.json").exists()
    python(HERE / "victim.py", tmp_path, kind, seed)
    assert outcome(tmp_path) == uninterrupted[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_study_has_something_to_lose(uninterrupted: dict[str, tuple[bytes, bytes]], kind: str) -> None:
    """The victim's study takes every path: rejected, answered, stopped early, complete."""
    ends = [json.loads(line) for line in uninterrupted[kind][0].decode().splitlines()]
    ends = [record for record in ends if record["kind"] == "end"]
    assert {record["state"] for record in ends} == {"complete", "rejected"}
    assert any(record["answered_by"] is not None for record in ends)
    assert any(record["partial"] for record in ends)


def test_the_search_needs_no_heavy_library() -> None:
    loaded = python("-c", "import sys, detkds.search; print(*sys.modules)").split()
    assert not {"torch", "numpy", "mmdet", "mmengine", "pydantic", "kfp", "minio"} & set(loaded)
