"""The stages with several processes, for real: one journal whatever the number of workers, one student whatever shares a batch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from detkds.pipeline import evolve, studies, teacher, train
from detkds.pipeline.recipes import parse_recipe
from detkds.pipeline.settings import Pair, Schedule, SearchPlan
from detkds.storage import verify

TEACHER = Path(__file__).resolve().parents[2] / "examples" / "configs" / "demo_teacher.yaml"
PRESET = "global: none > none > norm_batch | l2 x 1"


def test_a_search_by_two_workers_and_a_student_of_two_processes(
    pair: Pair, plan: SearchPlan, schedule: Schedule, subset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workers in (1, 2):
        monkeypatch.setenv("DETKDS_HOME", str(tmp_path / f"home-{workers}"))
        evolve.run("global", pair, plan, schedule, searched="global", subset=subset, out=tmp_path / f"study-{workers}", workers=workers)
    journals = [(tmp_path / f"study-{workers}" / studies.JOURNAL).read_bytes() for workers in (1, 2)]
    assert journals[0] == journals[1]

    result = train.run(pair, schedule, parse_recipe(PRESET, "paper"), subset=subset, out=tmp_path / "model", processes=2)
    assert result.metrics["student_steps"] == verify(tmp_path / "model").meta["student_steps"] > 0
    state = torch.load(tmp_path / "model" / train.CHECKPOINT, weights_only=True)["state_dict"]
    assert all(bool(tensor.isfinite().all()) for tensor in state.values())


@pytest.fixture
def fcos(tmp_path: Path) -> Path:
    """The demo's teacher as an FCOS, which divides its losses by means over all processes. Group norms look at one image only; plain SGD
    magnifies no rounding."""
    config = yaml.safe_load(TEACHER.read_text())
    model, head = config["model"], config["model"]["bbox_head"]
    model["type"], model["backbone"]["norm_cfg"] = "FCOS", {"type": "GN", "num_groups": 4}
    model["bbox_head"] = {
        "type": "FCOSHead", "num_classes": 4, "in_channels": 48, "feat_channels": 48, "stacked_convs": 1, "strides": [8, 16, 32, 64],
        "regress_ranges": [[-1, 16], [16, 32], [32, 64], [64, 1000]], "norm_cfg": {"type": "GN", "num_groups": 4},
        "loss_cls": head["loss_cls"], "loss_bbox": {"type": "GIoULoss", "loss_weight": 1.0},
        "loss_centerness": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
    }  # fmt: skip
    del model["train_cfg"]
    config["optim_wrapper"]["optimizer"] = {"type": "SGD", "lr": 0.02, "momentum": 0.9}
    path = tmp_path / "fcos.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_teacher_of_two_processes_is_that_of_one(
    fcos: Path, pictures: Path, schedule: Schedule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []
    for count in (1, 2):
        home = tmp_path / f"home-{count}"
        monkeypatch.setenv("DETKDS_HOME", str(home))
        lines: list[str] = []
        checkpoint = teacher.run(
            Pair("", "", str(fcos), inherit=False), schedule, root=str(pictures), annotations="annotations/teacher.json", images="teacher",
            home=home, show=lines.append, processes=count,
        )  # fmt: skip
        verify(checkpoint.parent, train.KIND)
        assert [line for line in lines if line.startswith("[teacher] step 4/4")]
        losses = [json.loads(line)["loss"] for line in (checkpoint.parent / "training.jsonl").read_text().splitlines()]
        assert losses[-1] < losses[0] - 0.1
        states.append(torch.load(checkpoint, weights_only=True)["state_dict"])
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=0, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
