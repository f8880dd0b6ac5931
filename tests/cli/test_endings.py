"""How commands end: one line, the exit code of docs/exit-codes.md, and output that a program can read."""

from __future__ import annotations

import errno
import json
import re
import sys
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
import typer
from rich.table import Table

from detkds import errors
from detkds.cli.console import PlainConsole
from detkds.errors import ExitCode

application = import_module("detkds.cli.app")  # the package has the application itself under this name
PAGE = Path(__file__).resolve().parents[2] / "docs" / "exit-codes.md"

ENDINGS = [
    (errors.RunFailed("a task failed"), 1, "a task failed"),
    (errors.Rejected("nan", "loss is nan"), 1, "nan: loss is nan"),
    (errors.ConfigError("two\nfaults"), 2, "two\ndetkds: faults"),
    (errors.GenomeError("no such word"), 2, "no such word"),
    (PermissionError(errno.EACCES, "Permission denied", "/out"), 2, "/out: Permission denied; give a place that can be written"),
    (OSError(errno.EROFS, "Read-only file system", "/out"), 2, "/out: Read-only file system"),
    (errors.DatasetError("bad"), 65, "bad"),
    (errors.ArtifactError("damaged"), 65, "damaged"),
    (ZeroDivisionError("division by zero"), 70, "a fault of ours: ZeroDivisionError: division by zero"),
    (errors.StoreError("away"), 75, "away"),
    (OSError(errno.ENOSPC, "No space left on device", "/out"), 75, "no space is left on the disk of /out"),
    (KeyboardInterrupt(), 130, "interrupted; what was finished is kept, and the same command resumes from there"),
    (typer.Abort(), 130, "interrupted"),
]


@pytest.mark.parametrize(("error", "code", "words"), ENDINGS, ids=lambda value: type(value).__name__)
def test_an_error_is_one_line_and_its_code(
    error: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ending(**options: object) -> None:
        raise error

    monkeypatch.setattr(application, "app", ending)
    with pytest.raises(SystemExit) as ended:
        application.main()
    said = capsys.readouterr().err
    assert ended.value.code == code
    assert f"detkds: {words}" in said
    assert ("Traceback" in said) == (code == 70)


def test_the_page_lists_the_codes() -> None:
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)]
    assert listed == sorted(map(int, ExitCode))


def test_codes_of_submit_are_those_of_the_page() -> None:
    from detkds.pipeline.kubeflow.remote import Outcome

    assert {outcome.name: int(outcome) for outcome in Outcome} == {"SUCCEEDED": 0, "FAILED": 1, "CANCELED": 4, "TIMED_OUT": 3}


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["serach"], 2), (["space", "--samples", "2"], 2), (["space", "--sample", "-1"], 2)]
)
def test_usage(arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["detkds", *arguments])
    with pytest.raises(SystemExit) as ended:
        application.main()
    assert ended.value.code == code
    said = capsys.readouterr()
    assert said.out.startswith("detkds 0.") if code == 0 else said.err
    assert not re.search("[\u2500-\u257f\x1b]", said.out + said.err)


@pytest.mark.parametrize("verb", [["pairs"], ["space"], ["space", "global: none > none > norm_HW | l2 x 6"]], ids=lambda verb: verb[-1][:8])
def test_json_is_all_that_is_printed(verb: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["detkds", verb[0], "--json", *verb[1:]])
    with pytest.raises(SystemExit) as ended:
        application.main()
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)


def test_a_page_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["detkds", "report", "one", "--out", str(tmp_path / "page.html")])
    with pytest.raises(SystemExit) as ended:
        application.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def table() -> Table:
    made = Table(title="runs")
    made.add_column("name", style="bold red")
    made.add_row("one")
    return made


def test_no_frames_and_no_colours_where_there_is_no_terminal() -> None:
    plain, drawn = PlainConsole(file=StringIO()), PlainConsole(file=StringIO(), force_terminal=True, width=80)
    for console in (plain, drawn):
        console.print(table(), style="green")
    assert not re.search("[\u2500-\u257f\x1b]", plain.file.getvalue())  # type: ignore[attr-defined]
    assert re.search("[\u2500-\u257f]", drawn.file.getvalue())  # type: ignore[attr-defined]


def test_nothing_is_cut_or_wrapped_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    line, column = "word " * 80 + "end", "x" * 90
    console = PlainConsole(file=StringIO())
    table = Table("first", "second")
    table.add_row(column, column)
    console.print(line, markup=False)
    console.print(table)
    printed = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert printed[0] == line
    assert printed[-1].split() == [column, column]


def test_lines_are_objects_where_logs_are_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from detkds.pipeline.progress import say, shown

    monkeypatch.setenv("DETKDS_LOG", "json")
    console = PlainConsole(file=StringIO())
    console.print("embedded object store", style="dim")
    console.print(table())
    say("evolve global", "3/12")
    shown(console)(capsys.readouterr().out.strip())
    found = [json.loads(line) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert [line["text"].strip() for line in found] == ["embedded object store", "runs", "name", "one", "3/12"]
    assert found[-1]["task"] == "evolve global"
    assert all(line["time"] > 0 for line in found)
