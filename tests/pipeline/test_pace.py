"""How long a training takes here: measured once, kept, and about right."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_run
from rich.console import Console

from detkds.errors import ConfigError
from detkds.genome.presets import preset
from detkds.objective import Goal
from detkds.pipeline import pace
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.run import Run
from detkds.pipeline.settings import Pair, Schedule, Source


def test_a_training_is_measured_once_and_takes_about_as_long(pair: Pair, source: Source, subset: Path, tmp_path: Path) -> None:
    schedule, lines = Schedule(epochs=6, batch_size=2), []
    found = pace.training_s(pair, schedule, source, 0.5, 0.5, tmp_path, lines.append)
    assert pace.training_s(pair, schedule, source, 0.5, 0.5, tmp_path, lines.append) == found
    assert lines[0] == lines[1]
    proxy = Proxy(pair, schedule, subset, early_stop=False, work=str(tmp_path / "work"))
    began = time.monotonic()
    proxy(preset("fitnets"), Goal())
    assert found == pytest.approx(time.monotonic() - began, rel=2)  # a loaded machine is a third, or three times, as fast


def test_a_teacher_that_is_not_trained_yet_is_measured_with_its_first_weights(pair: Pair, source: Source, tmp_path: Path) -> None:
    """And about as fast as with weights, by which nothing is computed more often."""
    untrained = replace(pair, teacher_checkpoint="")
    found = pace.training_s(untrained, Schedule(4, batch_size=2), source, 0.5, 0.5, tmp_path, print)
    assert found == pytest.approx(pace.training_s(pair, Schedule(4, batch_size=2), source, 0.5, 0.5, tmp_path, print), rel=2)


def test_a_time_that_is_too_short_is_refused_before_the_teacher_is_trained(
    pair: Pair, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    monkeypatch.setattr("detkds.pipeline.teacher.run", lambda *args, **how: pytest.fail("the teacher is trained"))
    teacher = {"config": pair.teacher_config, "train": {"epochs": 1}, "min_ap": 0}
    search = {"knowledge": ["global"], "subset": 0.5, "search_val": 0.5, "budget": "0.001 min"}
    path = tiny_run.written(tmp_path / "run.yaml", tiny_run.content(pictures, pair, teacher=teacher, search=search))
    refused = pytest.raises(ConfigError, match=r"search\.budget: 0\.001 min, at .* s a training 0 trainings, is less than the least search")
    with Run.open(path, home=tmp_path / "home", console=Console(quiet=True)) as run, refused:
        run.execute()


def test_a_recipe_needs_no_plan_of_a_search(pair: Pair, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    monkeypatch.setattr(pace, "training_s", lambda *args: pytest.fail("no search is planned, so no pace is measured"))
    monkeypatch.setattr("detkds.pipeline.kubeflow.local.run_local", lambda pipeline, values, **how: sent.append((pipeline, values)))
    monkeypatch.setattr(Run, "_show_results", lambda run: None)
    sent: list[tuple[str, dict[str, Any]]] = []
    search = {"knowledge": ["global"], "subset": 0.5, "search_val": 0.5, "budget": "0.001 min"}
    path = tiny_run.written(tmp_path / "run.yaml", tiny_run.content(pictures, pair, search=search))
    with Run.open(path, home=tmp_path / "home", console=Console(quiet=True)) as run:
        run.execute("pkd")
    assert [(pipeline, values["recipe"]) for pipeline, values in sent] == [("transfer", "pkd")]


def test_longer_trainings_and_more_images_take_longer(pair: Pair, source: Source, tmp_path: Path) -> None:
    def of(epochs: int, train: float) -> float:
        return pace.training_s(pair, Schedule(epochs, batch_size=2), source, train, 0.5, tmp_path, print)

    assert of(40, 0.5) > of(4, 0.1)
