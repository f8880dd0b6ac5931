"""How far a task is: a file that others read, lines for logs, one live line on a terminal."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from detkds.genome import Knowledge
from detkds.pipeline import task_progress
from detkds.pipeline.kubeflow.package import compiled, task_titles
from detkds.pipeline.stage_line import StageLine, stage_row
from detkds.pipeline.stages import BASELINE, DISTILLED, numbered, stage_of, stages
from detkds.pipeline.task import RUN
from detkds.pipeline.task_progress import FOLDER, Progress, RunProgress, TaskProgress, begin
from detkds.pipeline.transcript import Transcript
from detkds.storage import FolderStore


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of this test alone."""
    return tmp_path / "home"


class Clock:
    """Time that only the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv(RUN, "demo")
    return Clock(monkeypatch)


def read(home: Path) -> RunProgress:
    return RunProgress.read(FolderStore(home / "work"), "demo")


def test_a_training_writes_its_file_at_once_and_a_line_every_30_seconds(
    clock: Clock, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """4 images a step, a step each 2 s: 2 images per second, and 100 - 30 steps take 140 s."""
    progress = Progress(DISTILLED, "step", images=4)
    for step in range(1, 101):
        clock.now += 2
        progress.tell(step, 100, note="loss 1.500", kept="the checkpoint of step 20" if step >= 20 else "")
        if step == 30:
            found = read(home).tasks[DISTILLED]
            assert (found.done, found.total, found.images_s, found.left_s) == (30, 100, 2.0, 140.0)
            assert found.kept == "the checkpoint of step 20"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[train distilled] step 15/100  loss 1.500  2.0 images/s  3 min left"
    assert [int(re.findall(r"step (\d+)/", line)[0]) for line in lines] == [15, 30, 45, 60, 75, 90, 100]
    assert lines[-1] == "[train distilled] step 100/100  loss 1.500  2.0 images/s"
    assert read(home).tasks[DISTILLED].finished


def test_a_resumed_search_has_what_it_replayed_in_its_file_when_the_next_candidate_begins(clock: Clock, home: Path) -> None:
    seen = Progress("evolve global", "candidate", work=str(home / "work"), lines=False)
    for done in (1, 2, 3, 4):  # from the journal, all at once
        seen.tell(done, 12, kept=f"{done} of 12 candidates")
    assert read(home).tasks["evolve global"].done == 1  # a file is not written more often than it is read
    seen.tell(4, 12, kept="4 of 12 candidates", waits=True)
    found = read(home).tasks["evolve global"]
    assert (found.done, found.kept) == (4, "4 of 12 candidates")


def test_a_resumed_training_takes_its_rate_from_its_own_steps(clock: Clock, home: Path) -> None:
    progress = Progress(BASELINE, "step", images=1)
    for step in (500, 501, 502):
        clock.now += 5
        progress.tell(step, 600)
    found = read(home).tasks[BASELINE]
    assert (found.images_s, found.left_s) == (0.2, 490.0)


def test_what_an_earlier_run_of_the_name_wrote_is_passed_over(clock: Clock, home: Path) -> None:
    Progress("train old", "step").tell(1, 1)
    clock.now += 1
    begin(stages(["logits"]))
    Progress(BASELINE, "step").tell(3, 4)
    found = read(home)
    assert set(found.tasks) == {BASELINE}
    assert found.stages == ("check", "subset", "evolve logits", "weights", BASELINE, DISTILLED, "evaluate", "report")


def test_a_run_without_a_name_writes_no_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN, raising=False)
    before = sorted((home / "work" / FOLDER).rglob("*"))
    Progress(BASELINE, "step").tell(1, 2)
    begin(stages([]))
    assert sorted((home / "work" / FOLDER).rglob("*")) == before


def test_a_place_that_cannot_be_written_stops_no_training(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Progress(BASELINE, "step", work=str(tmp_path / "file")).tell(1, 2)


def test_a_file_that_is_something_else_is_passed_over(clock: Clock, home: Path) -> None:
    Progress("train odd", "step").tell(1, 2)
    (home / "work" / FOLDER / "demo" / "broken.json").write_text('{"task": 3')
    assert "train odd" in read(home).tasks


def test_the_stages_are_the_tasks_of_the_compiled_pipelines() -> None:
    searched = list(map(str, Knowledge))
    assert set(stages(searched)) == set(task_titles(compiled("search")).values()) - {"search"}  # the box around the search
    assert set(stages([], recipe=True)) == set(task_titles(compiled("transfer")).values())
    assert stages([], recipe=True, teacher=True)[0] == "teacher"
    assert [stage_of(title) for title in ("known distillers", "race 2", "weights", DISTILLED)] == [*["weights"] * 3, DISTILLED]


def test_stages_of_one_kind_are_numbered_as_they_begin() -> None:
    """kfp.local starts the five evolutions in an order of its own, and answers some from its cache without a word."""
    titles = stages(["global", "fgbg", "logits"])
    assert [numbered(title, titles, ()) for title in ("check", "subset", "weights", "evaluate", "report")] == [1, 2, 6, 9, 10]
    begun = ("check", "subset", "evolve logits", "evolve global")
    assert [numbered(title, titles, begun) for title in ("evolve logits", "evolve global", "evolve fgbg")] == [3, 4, 5]
    assert numbered(DISTILLED, titles, (DISTILLED,)) == 7
    assert numbered(BASELINE, titles, (DISTILLED, BASELINE)) == 8


def test_what_kfp_says_it_starts_is_the_stage(tmp_path: Path) -> None:
    """A line of kfp 2.17's log, as it came out of a run."""
    begun: list[str] = []
    with Transcript(tmp_path / "run.log", lambda line: None, begun.append):
        print("02:11:08.418 - INFO - Executing task \x1b[96m'evolve-5'\x1b[0m")
    assert [task_titles(compiled("search"))[name] for name in begun] == ["evolve localization"]


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40])
def test_the_line_fits_the_terminal(width: int) -> None:
    task = TaskProgress(DISTILLED, 312, 1560, "step", "", "loss 1.234", 43.2, 130.0)
    out = io.StringIO()
    Console(file=out, width=width).print(stage_row("stage 8 of 10", task, width))
    (line,) = out.getvalue().splitlines()
    assert len(line.rstrip()) <= width
    assert "stage 8 of 10 train distilled" in line or width < 60
    if width >= 80:
        assert "━" in line
        assert "loss 1.234" in line
        assert "2 min left" in line
    assert ("43 images/s" in line) == (width >= 100)


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, highlight=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


def test_a_terminal_shows_the_stage_it_is_in_and_keeps_no_line_for_a_count(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN, "shown")
    monkeypatch.setattr(task_progress, "FILE_S", 0.0)
    console, titles = terminal(), stages(["global"])
    with StageLine(console, titles, home / "work", "shown") as line:
        for text in ("[subset] search-train 3 images", "[evolve global] 1/5  20.0  best 20.0", "[evolve global] 5/5  21.0  best 21.0"):
            line.show(text)
        Progress(BASELINE, "step", images=2, lines=False).tell(3, 9, note="loss 0.5", kept="the checkpoint of step 2")
        assert line.now()[0] == BASELINE
        out = io.StringIO()
        Console(file=out, width=80).print(line.render())
        assert "stage 5 of 8 train baseline" in out.getvalue()
        assert "step 3/9  loss 0.5" in out.getvalue()
        told = line.interrupted().splitlines()
    assert told == [
        "interrupted in stage 5 of 8 (train baseline) at step 3/9",
        "kept: stages 1 to 4; the checkpoint of step 2",
        "start the same command again: it resumes from there, with the same result",
    ]
    shown = text_of(console)
    assert "search-train 3 images" in shown
    assert "5/5  21.0" in shown
    assert "1/5  20.0" not in shown


def test_the_live_line_stays_out_of_the_transcript(home: Path, tmp_path: Path) -> None:
    console = terminal()
    with StageLine(console, stages([]), home / "work", "demo") as line, Transcript(tmp_path / "run.log", line.show):
        print("[subset] drawn")
        time.sleep(0.6)  # the line is drawn several times meanwhile
    assert (tmp_path / "run.log").read_text() == "[subset] drawn\n"
    assert "drawn" in text_of(console)


@pytest.mark.parametrize("way", ["no terminal", "quiet", "json"])
def test_elsewhere_there_is_no_live_line(way: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "json":
        monkeypatch.setenv("DETKDS_LOG", "json")
    console = Console(file=io.StringIO(), force_terminal=way != "no terminal", quiet=way == "quiet", highlight=False)
    with StageLine(console, stages([]), home / "work", "demo") as line:
        line.show('{"task": "subset", "text": "drawn"}' if way == "json" else "[train baseline] step 1/9  loss 0.5")
        time.sleep(0.3)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "\x1b[?25l" not in shown
    if way == "json":
        assert json.loads(shown)["text"] == "drawn"
    else:
        assert ("step 1/9" in shown) == (way == "no terminal")


def test_a_run_inside_a_run_has_the_terminal_alone(home: Path) -> None:
    """rich refuses a second live display of one console, and two consoles would write over each other."""
    console = terminal()
    with StageLine(console, stages([]), home / "work", "outer") as outer:
        with outer.paused():
            assert outer._live is None
            with StageLine(console, stages([]), home / "work", "inner") as inner:
                assert inner._live is not None
        assert outer._live is not None
