"""Workplaces: equal inputs give the same folder wherever the data lies; and the description beside a journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, ConfigError, StudyHeldError
from detkds.objective import Outcome
from detkds.pipeline import proxy, studies
from detkds.pipeline import workplace as module
from detkds.pipeline.saved import CHECKPOINT, LOG, Saved
from detkds.pipeline.settings import Schedule
from detkds.pipeline.task import FILE, RUN, Task, run_name
from detkds.pipeline.workplace import Workplace, digest, home


def test_the_same_inputs_are_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"schedule": Schedule(1), "subset": "abc"}
    place = Workplace("train", inputs)
    assert place.folder.parent == home() / "work"
    assert Workplace("train", dict(reversed(inputs.items()))).folder == place.folder
    others = [Workplace("train", {**inputs, "schedule": Schedule(2)}), Workplace("evolve", inputs)]
    monkeypatch.setattr(module, "__version__", "another")
    others.append(Workplace("train", inputs))
    assert len({place.folder, *(other.folder for other in others)}) == 4
    assert Workplace("train", inputs, str(tmp_path / "volume")).folder.parent == tmp_path / "volume"


def test_a_folder_needs_no_store_and_keeps_everything(tmp_path: Path) -> None:
    with Workplace("train", {}, str(tmp_path)) as place:
        place.fetch("journal").write_text("one\n")
        place.put("journal")
        place.fetch_checkpoint("big").write_bytes(b"step 1")
        place.put_checkpoint("big")
    again = Workplace("train", {}, str(tmp_path))
    assert again.fetch("journal").read_text() == "one\n"
    assert again.fetch_checkpoint("big").read_bytes() == b"step 1"
    again.retire("big")
    assert [path.name for path in again.folder.iterdir()] == ["journal"]


def test_an_address_without_its_keys_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    with pytest.raises(ConfigError, match="an s3:// address needs DETKDS_S3_ENDPOINT"):
        Workplace("train", {}, "s3://detkds/work")


def test_a_log_reads_as_if_the_training_had_run_in_one_go(tmp_path: Path) -> None:
    first = Saved(Workplace("train", {}, str(tmp_path)))
    for step in (10, 20, 30):
        first.note(step, {"loss": 1.0 / step})
    again = Saved(Workplace("train", {}, str(tmp_path)))  # its checkpoint was of step 15
    for step in (20, 30, 40):
        again.note(step, {"loss": 1.0 / step})
    assert [json.loads(line)["step"] for line in again.log.read_text().splitlines()] == [10, 20, 30, 40]
    assert again.log.name == LOG
    again.checkpoint.write_bytes(b"x")
    again.retire()
    assert not again.log.exists()
    assert not (again.log.parent / CHECKPOINT).exists()


def test_runs_join_a_study_and_damage_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Workplace("evolve", {}, str(tmp_path))
    for run in ("one", "two", "one", ""):
        monkeypatch.setenv(RUN, run)
        written = studies.tell(place, Task("global", 11, ("global",)))
    assert written.runs == ("two", "one")
    assert Task.loads((place.folder / FILE).read_bytes(), "x") == written
    (place.folder / FILE).write_bytes(b"{")
    monkeypatch.setenv(RUN, "three")
    assert studies.tell(place, Task("global")).runs == ("three",)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"name": "global", "searched": [], "runs": [], "more": 1}'])
def test_what_is_no_task_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"place/task\.json is not what a stage writes"):
        Task.loads(data, "place/task.json")


@pytest.mark.parametrize(
    ("text", "name"), [("demo", "demo"), ("Run of detkds (a 1/2)", "Run-of-detkds-a-1-2"), ("../../x", "..-..-x"), ("  ", ""), ("é", "")]
)
def test_names_of_runs(text: str, name: str) -> None:
    assert run_name(text) == name


def test_an_altered_outcome_is_refused(tmp_path: Path) -> None:
    stored = {"score": 0.25, "student_steps": 3, "details": {"AP50": 0.5}}
    path = tmp_path / "outcome.json"
    path.write_text(json.dumps({**stored, "sha256": digest(stored)}))
    assert proxy._read(path) == Outcome(0.25, 3, details={"AP50": 0.5})
    path.write_text(path.read_text().replace("0.25", "0.26"))
    with pytest.raises(ArtifactError, match=r"outcome\.json was altered"):
        proxy._read(path)


def test_who_comes_second_waits_says_so_once_and_how_far_the_first_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    counts = iter(["3 records in its journal", "3 records in its journal", "", "4 records in its journal"])
    asked: list[int] = []

    def enter() -> str:
        asked.append(1)
        if len(asked) < 5:
            raise StudyHeldError("s3://detkds/work/evolve-global is held by process 7 on pod-1; wait for it to end, or stop it.")
        return "mine"

    assert module.patiently(enter, "evolve global", lambda: next(counts)) == "mine"
    assert capsys.readouterr().out.splitlines() == [
        "[evolve global] s3://detkds/work/evolve-global is held by process 7 on pod-1; waits for it and takes what it found",
        "[evolve global] waits: 3 records in its journal",
        "[evolve global] waits: 4 records in its journal",
    ]
