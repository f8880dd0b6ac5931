"""The documented uses of the library in a notebook run as they are written, and stay short."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "notebooks"
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
