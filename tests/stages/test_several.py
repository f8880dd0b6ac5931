"""The stages with several processes, for real: one journal whatever the number of workers, one student whatever shares a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from detkds.stages import evolve, studies, train
from detkds.stages.plans import Pair, Schedule, SearchPlan
from detkds.storage import verify

PRESET = "global: none > none > norm_batch | l2 x 1"


def test_a_search_by_two_workers_and_a_student_of_two_processes(
    pair: Pair, plan: SearchPlan, schedule: Schedule, subset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workers in (1, 2):
        monkeypatch.setenv("DETKDS_HOME", str(tmp_path / f"home-{workers}"))
        evolve.run("global", pair, plan, schedule, searched="global", subset=subset, out=tmp_path / f"study-{workers}", workers=workers)
    journals = [(tmp_path / f"study-{workers}" / studies.JOURNAL).read_bytes() for workers in (1, 2)]
    assert journals[0] == journals[1]

    result = train.run(pair, schedule, train.parse_recipe(PRESET, "paper"), subset=subset, out=tmp_path / "model", processes=2)
    assert result.metrics["student_steps"] == verify(tmp_path / "model").meta["student_steps"] > 0
    state = torch.load(tmp_path / "model" / train.CHECKPOINT, weights_only=True)["state_dict"]
    assert all(bool(tensor.isfinite().all()) for tensor in state.values())
