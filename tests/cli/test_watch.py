"""`detkds watch`: what is seen of a search while it is conducted and after, read from its journals alone."""

from __future__ import annotations

import io
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from played import EXPECTED, SEARCHED, play
from rich.console import Console, ConsoleDimensions

from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline.searches import Searches, StudyView, awaited, is_finished
from detkds.pipeline.stages import BASELINE, DISTILLED, REPORT, stages
from detkds.pipeline.task import FILE, JOURNAL, TIMINGS, WEIGHTS, Task
from detkds.pipeline.task_progress import Progress, begin
from detkds.pipeline.watch import watch
from detkds.pipeline.workplace import Workplace
from detkds.search.lock import StudyLock
from detkds.search.trial import TrialState
from detkds.storage import FolderStore, open_store
from detkds.storage.server import EmbeddedServer


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The work place below DETKDS_HOME."""
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "work"


def seen(run: str = "", work: str = "", *, home: Path, once: bool = False, width: int = 100, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, highlight=False)
    watch(run, work, home, once=once, every_s=1, console=console)
    return out.getvalue()


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def read(folder: Path, run: str = "") -> dict[str, StudyView]:
    return {study.task.name: study for study in Searches(FolderStore(folder)).studies(run)}


def study_folder(work: Path, name: str) -> Path:
    (folder,) = work.glob(f"evolve-{name}-*")
    return folder


def test_a_search_with_a_final_race_ends_with_the_race(work: Path) -> None:
    play("demo", "", only=SEARCHED)
    place = Workplace("weights", {})
    race = ("known distillers", "race 1")
    tell_task(place, Task(WEIGHTS, finished=True, runs=("demo",), followed_by=race))
    studies = list(read(work, "demo").values())
    assert awaited(studies) == list(race)
    assert not is_finished(studies, alone=False)
    for name in race:
        tell_task(Workplace(name, {}), Task(name, finished=True, runs=("demo",)))
    studies = list(read(work, "demo").values())
    assert [study.task.name for study in studies][-3:] == [WEIGHTS, *race]
    assert is_finished(studies, alone=False)


def tell_task(place: Workplace, task: Task) -> None:
    (place.folder / FILE).write_text(task.dumps())
    (place.folder / JOURNAL).write_text("")


def test_a_finished_search_is_read_and_left_as_it_is(work: Path) -> None:
    play("demo", "")
    before = snapshot(work)
    studies = read(work, "demo")
    assert list(studies) == ["global", "logits", "localization", WEIGHTS]  # the order of Alg. 1
    for name, count in EXPECTED.items():
        study = studies[name]
        assert (len(study.trials), study.expected, study.task.finished) == (count, count, True)
        assert study.study.baseline == 0.2
        assert study.study.best is not None
        assert study.study.best.score == max(trial.score or 0 for trial in study.trials)
        assert sum(study.study.rejected.values()) == sum(trial.state is TrialState.REJECTED for trial in study.trials)
    assert any(study.study.rejected == {"too-large": sum(study.study.rejected.values())} for study in studies.values())
    assert studies["localization"].task.reason == "the student predicts no boxes"
    assert is_finished(list(studies.values()), alone=False)
    assert seen("demo", home=work.parent)
    assert snapshot(work) == before


def test_the_screen(work: Path) -> None:
    play("demo", "")
    screen = seen("demo", home=work.parent, once=True, width=80)
    lines = [line.rstrip() for line in screen.splitlines()]
    assert lines[0] == "search of demo"
    assert all(len(line) <= 80 for line in lines)
    best = max(trial.score or 0 for trial in read(work)["global"].trials)
    figures = rf"{100 * best:.1f} +\+{100 * (best - 0.2):.1f}"
    assert re.search(rf"^ global +━+ +11/11 +{figures} +\d+ +[\d,]* +finished *$", screen, re.MULTILINE)
    assert "localization left out  the student predicts no boxes" in screen
    assert "global best" in screen


def test_what_has_not_begun_is_awaited(work: Path) -> None:
    play("demo", "", only=("global",))
    studies = list(read(work, "demo").values())
    assert awaited(studies) == ["logits", "localization", WEIGHTS]
    assert not is_finished(studies, alone=False)
    assert is_finished(studies, alone=True)
    assert len(re.findall("not begun", seen("demo", home=work.parent, once=True))) == 3


def test_a_study_is_followed_line_by_line_until_its_search_ends(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records appear one by one, the last of them torn at every look, while another process holds the study."""
    play("demo", "")
    journal = study_folder(work, "global") / JOURNAL
    (task,) = journal.parent.glob("task.json")
    told, lines = task.read_bytes(), journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * 11
    task.write_bytes(told.replace(b'"finished": true', b'"finished": false'))
    shown = iter(range(0, len(lines) + 1))

    def grow(seconds: float = 1) -> None:
        assert seconds == 1
        number = next(shown)
        torn = lines[number][:40] if number < len(lines) else b""
        journal.write_bytes(b"".join(lines[:number]) + torn)
        if number == len(lines):
            task.write_bytes(told)

    grow()
    monkeypatch.setattr(time, "sleep", grow)
    lock = StudyLock(journal)
    try:
        out = [line for line in seen("demo", home=work.parent).splitlines() if line.startswith("[global]")]
    finally:
        lock.release()
    assert [line.split()[1] for line in out] == [f"{number}/11" for number in range(12)]
    assert out[0] == "[global] 0/11  no score yet  rejected none  "
    assert "best 20.0 (no distillation 20.0)" in out[1]


def test_a_terminal_shows_the_table_anew_and_the_candidate_in_work(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("demo", "")
    folder = study_folder(work, "logits")
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:8]))  # header, three candidates, the start of the fourth
    told = (folder / "task.json").read_bytes()
    (folder / "task.json").write_bytes(told.replace(b'"finished": true', b'"finished": false'))
    monkeypatch.setattr(time, "sleep", lambda seconds: (folder / "task.json").write_bytes(told))
    screen = seen("demo", home=work.parent, terminal=True)
    running = read(work)["logits"].history.started[3].recipe
    assert re.search(r"logits now +", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen))
    assert str(running).removeprefix("logits: ") in screen
    assert screen.count("search of demo") >= 2


def test_ctrl_c_ends_the_looking_on(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("demo", "", only=("global",))

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert "[global] 11/11" in seen("demo", home=work.parent)
    assert "search of demo" in seen("demo", home=work.parent, terminal=True)


def test_pace_and_time_left_come_from_what_candidates_took(work: Path) -> None:
    """Four candidates took 60, 0 (answered), 30 and 30 s: 30 s a candidate, 120 an hour; the 7 of 11 left take 210 s."""
    play("demo", "")
    folder = study_folder(work, "global")
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:9]))
    (folder / "task.json").write_bytes((folder / "task.json").read_bytes().replace(b'"finished": true', b'"finished": false'))
    timings = (
        '{"number": 0, "seconds": 60}\n{"number": 2, "seconds": 99}\n{"number": 2, "seconds": 30}\n{"number": 3, "seconds": 30}\n{"numb'
    )
    (folder / TIMINGS).write_text(timings)
    study = read(work)["global"]
    assert (study.pace_s, study.left_s) == (30.0, 210.0)
    assert re.search(r"global .* 4/11 .* 120 +4 min", seen("demo", home=work.parent, once=True))

    long_ago = time.time() - 1000
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    assert "silent for 17 min" in seen("demo", home=work.parent, once=True)


def test_runs_are_told_apart_by_name_and_the_newest_is_the_default(work: Path) -> None:
    play("first", "", only=("global",), seed=1)
    play("second", "", seed=2)
    assert list(read(work, "first")) == ["global"]
    assert read(work, "first")["global"].place != read(work, "second")["global"].place
    assert len(read(work)) == 4
    with pytest.raises(ArtifactError, match=r"no run 'third' searched in .+; there are: first, second\."):
        seen("third", home=work.parent, once=True)


def test_runs_with_equal_inputs_share_their_studies(work: Path) -> None:
    """The name of a run decides nothing: the second run finds the first one's journal finished."""
    play("first", "", only=("global",))
    journal = (study_folder(work, "global") / JOURNAL).read_bytes()
    play("second", "", only=("global",))
    assert (study_folder(work, "global") / JOURNAL).read_bytes() == journal
    assert read(work, "first") == read(work, "second")
    assert read(work)["global"].task.runs == ("first", "second")


def test_a_folder_of_one_study_and_a_published_one_are_searches_too(work: Path, tmp_path: Path) -> None:
    play("demo", "", only=("logits",))
    folder = study_folder(work, "logits")
    assert "[logits] 11/11" in seen(str(folder), home=tmp_path / "nowhere")
    published = tmp_path / "study"
    published.mkdir()
    for name in (JOURNAL, TIMINGS):
        (published / name).write_bytes((folder / name).read_bytes())
    (published / "study.json").write_text("{}")
    assert "[logits] 11/11" in seen(str(published), home=tmp_path / "nowhere")


def test_a_search_in_the_bucket(tmp_path: Path, s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**s3_server.environment(), "DETKDS_HOME": str(tmp_path / "pod")}.items():
        monkeypatch.setenv(name, value)
    work = f"s3://watched/{secrets.token_hex(6)}"
    play("nightly run 7", work, only=("global", WEIGHTS))
    objects = open_store(work).list()
    for run, at in (("nightly run 7", work), ("nightly-run-7", work), (work, ""), ("", work)):
        assert "[weights] 8/8" in seen(run, at, home=tmp_path / "laptop")
    assert open_store(work).list() == objects
    assert not (tmp_path / "laptop" / "work").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda line: line.replace(b'"number":0', b'"number":1'), r"line 2: the record was altered"),
        (lambda line: b"", r"line 2: the record was altered"),
    ],
    ids=["flipped", "lost"],
)
def test_a_damaged_journal_is_named(work: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    play("demo", "", only=("global",))
    journal = study_folder(work, "global") / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], damage(lines[1]), *lines[2:]]))
    with pytest.raises(ArtifactError, match=re.escape(str(journal)) + f", {message}"):
        seen("demo", home=work.parent)


def test_what_is_not_there(work: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="work does not exist: start a search"):
        seen(home=work.parent)
    work.mkdir(parents=True)
    with pytest.raises(ArtifactError, match="no search has begun in"):
        seen(home=work.parent, once=True)
    with pytest.raises(ConfigError, match="--every must be a number of seconds above 0, got 0"):
        watch("", "", tmp_path, once=True, every_s=0, console=Console(file=io.StringIO()))


def test_every_knowledge_of_the_run_is_known_to_each_study(work: Path) -> None:
    play("demo", "", only=("global",))
    assert read(work)["global"].task.searched == SEARCHED


def test_the_last_candidates_are_listed_on_80_columns(work: Path) -> None:
    play("demo", "")
    out = io.StringIO()
    watch("demo", "", work.parent, once=True, every_s=1, console=Console(file=out, width=80, highlight=False), trials=3)
    lines = out.getvalue().splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    view = read(work)["global"]
    for trial in view.trials[-3:]:
        score = "" if trial.score is None else f"{100 * trial.score:.1f}"
        assert any(line.split()[:1] == [str(trial.number)] and score in line for line in lines), trial


def test_a_search_that_has_not_begun_is_waited_for(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("other", "")
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            play("demo", "", seed=1)

    monkeypatch.setattr("detkds.pipeline.watch.time.sleep", sleep)
    lines = seen("demo", home=work.parent).splitlines()
    assert lines[0].startswith("waiting: no run 'demo' searched in ")
    assert "there are: other" in lines[0]
    assert sum(line.startswith("waiting") for line in lines) == 1
    assert any("[weights] 8/8" in line for line in lines)
    with pytest.raises(ArtifactError, match="no run 'absent' searched"):
        seen("absent", home=work.parent, once=True)


def follow_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole run of the name demo whose distilled training is at work."""
    monkeypatch.setenv("DETKDS_RUN", "demo")
    begin(stages(SEARCHED))
    Progress(BASELINE, "step", lines=False).tell(40, 40, note="loss 0.512")
    Progress(DISTILLED, "step", images=2, lines=False).tell(12, 40, note="loss 1.234", left_s=70.0)


def test_trainings_and_the_evaluation_are_seen_on_80_columns(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("demo", "")
    follow_tasks(monkeypatch)
    lines = [line.rstrip() for line in seen("demo", home=work.parent, once=True, width=80).splitlines()]
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert re.search(r"train baseline +━+ +step 40/40 +0\.512 +finished", text)
    assert re.search(r"train distilled +━+ +step 12/40 +1\.234 +70 s", text)
    assert re.search(r"evaluate +not begun", text)


def test_what_a_run_took_from_an_earlier_one_is_not_called_not_begun(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETKDS_RUN", "demo")
    begin(stages(SEARCHED))
    Progress(DISTILLED, "step", lines=False).tell(40, 40)
    Progress(REPORT, "page", lines=False).tell(1, 1)
    text = seen("demo", home=work.parent, once=True)
    assert re.search(r"train baseline +from an earlier run", text)
    assert "not begun" not in text


def test_a_whole_run_is_followed_to_its_report(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("demo", "")
    follow_tasks(monkeypatch)
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        assert len(naps) < 5
        if len(naps) == 2:
            Progress(DISTILLED, "step", lines=False).tell(40, 40, note="loss 1.0")
        if len(naps) == 3:
            Progress(REPORT, "page", lines=False).tell(1, 1)

    monkeypatch.setattr(time, "sleep", sleep)
    lines = [line for line in seen("demo", home=work.parent).splitlines() if line.startswith("[train distilled]")]
    assert lines[0].startswith("[train distilled] step 12/40  loss 1.234")
    assert lines[1:] == ["[train distilled] step 40/40  loss 1.0"]
    assert len(naps) == 3


def test_a_teacher_in_training_is_seen_before_the_search_begins(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETKDS_RUN", "demo")
    Progress("teacher", "step", lines=False).tell(3, 9, note="loss 2.5")
    assert re.search(r"teacher +━+ +step 3/9 +2\.5", seen("demo", home=work.parent, once=True))


def test_the_screen_is_drawn_anew_in_the_size_that_the_terminal_has_then(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("demo", "")
    follow_tasks(monkeypatch)
    columns = [80]

    class Resized(Console):
        @property
        def size(self) -> ConsoleDimensions:
            return ConsoleDimensions(columns[-1], 40)

    def sleep(seconds: float) -> None:
        columns.append(60)
        threading.Event().wait(0.8)
        Progress(REPORT, "page", lines=False).tell(1, 1)

    out = io.StringIO()
    monkeypatch.setattr(time, "sleep", sleep)
    watch("demo", "", work.parent, once=False, every_s=1, console=Resized(file=out, force_terminal=True, highlight=False))
    screens = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen) for screen in re.split(r"\x1b\[H", out.getvalue())]
    widths = [{len(line) for line in screen.splitlines()} for screen in screens]
    assert {80} in widths
    assert {60} in widths
    assert widths.index({60}) > widths.index({80})
