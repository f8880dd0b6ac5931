"""What a local run shows of what its tasks print."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.errors import ArtifactError, DatasetError, Interrupted, Rejected
from detkds.pipeline.progress import parse_fault, report_errors, say
from detkds.pipeline.transcript import Transcript


def test_progress_is_shown_and_everything_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Transcript(tmp_path / "logs" / "run.log", lambda line: print(f"shown {line}")):
        print("    [KFP Executor 2026 INFO]: Looking for component")
        print("\x1b[95mnoise\x1b[0m")
        say("evolve global", "1/9  23.3")
        print("outside, a task without its end", end="")
    print("after")
    assert capsys.readouterr().out == "shown [evolve global] 1/9  23.3\nafter\n"
    kept = (tmp_path / "logs" / "run.log").read_text().splitlines()
    assert kept == [
        "    [KFP Executor 2026 INFO]: Looking for component",
        "noise",
        "[evolve global] 1/9  23.3",
        "outside, a task without its end",
    ]


@pytest.mark.parametrize("task", ["subset", "evolve global", "known distillers", "race 1", "evolve global nodes"])
def test_the_lines_of_each_task_are_shown(task: str, tmp_path: Path) -> None:
    seen: list[str] = []
    with Transcript(tmp_path / "run.log", seen.append):
        say(task, "1/4  23.3")
    assert seen == [f"[{task}] 1/4  23.3"]


@pytest.mark.parametrize(
    "error",
    [ArtifactError("study is altered"), DatasetError("image 3 is missing"), Interrupted("stopped"), Rejected("nan", "loss is nan")],
)
def test_a_tasks_fault_comes_back_as_itself(error: Exception, tmp_path: Path) -> None:
    @report_errors
    def fail() -> None:
        raise error

    with Transcript(tmp_path / "run.log", print) as output, pytest.raises(type(error)):
        fail()
    assert "detkds-fault" not in (tmp_path / "run.log").read_text()
    assert type(output.fault) is type(error)
    assert str(output.fault) == str(error)


def test_an_error_of_another_version_is_still_ours() -> None:
    fault = parse_fault('detkds-fault {"type": "NoSuchError", "message": "something new"}')
    assert str(fault) == "something new"
    assert fault.__class__.__name__ == "DetKDSError"
