"""How long a training takes here: measured once, kept, and about right."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from detkds.genome.presets import preset
from detkds.objective import Goal
from detkds.pipeline import pace
from detkds.pipeline.proxy import Proxy
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


def test_longer_trainings_and_more_images_take_longer(pair: Pair, source: Source, tmp_path: Path) -> None:
    def of(epochs: int, train: float) -> float:
        return pace.training_s(pair, Schedule(epochs, batch_size=2), source, train, 0.5, tmp_path, print)

    assert of(40, 0.5) > of(4, 0.1)
