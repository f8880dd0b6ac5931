"""The documented uses of the library in a notebook run as they are written, and stay short."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "notebooks"
LINES = 10
"""What a use may take, without imports and docstrings."""


def own_lines(path: Path) -> int:
    """Lines of code that are neither imports nor docstrings."""
    tree = ast.parse(path.read_text())
    lines: set[int] = set()
    for node in ast.walk(tree):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if isinstance(node, ast.stmt) and not is_docstring and not isinstance(node, ast.Import | ast.ImportFrom):
            lines.add(node.lineno)
    return len(lines)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_use_takes_ten_lines_at_most(path: Path) -> None:
    assert own_lines(path) <= LINES


def test_each_use_is_included_in_one_guide() -> None:
    """The line that includes a file is not Python, so a formatter of Python blocks must not change it."""
    pages = [page.read_text() for page in (ROOT / "docs" / "notebooks").glob("*.md")]
    included = [re.findall(r'^--8<-- "(.+)"$', page, re.MULTILINE) for page in pages]
    assert sorted(name for (name,) in included) == sorted(str(path.relative_to(ROOT)) for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", ["loss_on_tensors", "own_objective"])
def test_a_use_runs_as_it_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_the_search_of_the_example_resumes_from_its_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = runpy.run_path(str(FOLDER / "own_objective.py"))["found"]
    journal = (tmp_path / "direction.jsonl").read_bytes()
    again = runpy.run_path(str(FOLDER / "own_objective.py"))["found"]  # with other random features: every answer is the journal's
    assert again.trials == first.trials
    assert (tmp_path / "direction.jsonl").read_bytes() == journal


def run(name: str, folder: Path) -> list[str]:
    """What a use prints, in a process of its own: it registers words or heads."""
    found = subprocess.run([sys.executable, FOLDER / f"{name}.py"], cwd=folder, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def test_a_word_of_ones_own_has_a_gradient_and_is_searched(tmp_path: Path) -> None:
    value, *_, searched = run("own_words", tmp_path)
    assert "grad_fn" in value
    assert "pseudo_huber" in searched


def test_a_head_of_ones_own_is_read_after_it_is_registered(tmp_path: Path) -> None:
    before, after = run("own_head", tmp_path)
    assert before.startswith("scores and boxes of RetinaNet, the student, are not read")
    assert after == "None"
