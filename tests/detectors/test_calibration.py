"""Calibrated weights: a weight is the loss's share of the detection loss's gradient. The second look of the loss filter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pictures import make_config, make_source

from detkds.detectors import build_detector, calibration
from detkds.detectors.calibration import look_step, reject_exploded, unit
from detkds.detectors.diagnosis import Diagnosis
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.training.loop import TrainSettings
from detkds.errors import Rejected
from detkds.genome import Genome, Recipe
from detkds.genome.genome import MAX_UNIT
from detkds.objective import Goal

LOSSES = (
    "global: none > none > none | l2",
    "global: catt > scale_2 > norm_N | l1",
    "fgbg: none > local_4 > norm_HW | l1",
    "logits: none | l2",
)


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> ProxyObjective:
    folder = tmp_path_factory.mktemp("data")
    settings = TrainSettings(epochs=2, batch_size=2, device="cpu")
    sources = make_source(folder / "train", 7), make_source(folder / "val", 9, seed=1)
    teacher: Any = build_detector(make_config(12), seed=9)
    with torch.no_grad():
        teacher.bbox_head.retina_cls.bias.zero_()  # scores around 1/2, far from the student's
    return ProxyObjective(make_config(), teacher, *sources, settings, digests={"subset": "s"})


@pytest.mark.parametrize("text", LOSSES)
@pytest.mark.parametrize("share", [0.5, 2.0])
def test_a_calibrated_weight_is_the_share_of_the_detection_gradient(objective: ProxyObjective, text: str, share: float) -> None:
    genome = Genome.parse(text)
    measured = genome.with_weight(share).with_unit(objective.unit(genome, "paper"))
    assert objective.diagnose(Recipe((measured,))).ratio == pytest.approx(share, rel=0.006)  # units have three digits


def test_the_weight_of_what_is_measured_does_not_matter(objective: ProxyObjective) -> None:
    genome = Genome.parse(LOSSES[0])
    assert objective.unit(genome.with_weight(5).with_unit(3), "paper") == objective.unit(genome, "paper")


def test_measuring_leaves_no_trace(objective: ProxyObjective) -> None:
    recipe = Recipe.parse(LOSSES[1])
    before = objective(recipe, Goal())
    objective.unit(recipe.genomes[0], "paper")
    assert objective(recipe, Goal()) == before
    objective.loss_filter = False
    assert objective(recipe, Goal()) == before  # the second look in the middle of a training does not change it
    objective.loss_filter = True


def test_a_loss_that_does_next_to_nothing_is_rejected(objective: ProxyObjective) -> None:
    idle = Genome.parse(LOSSES[0]).with_unit(unit(Diagnosis(1.0, 1e-9)))
    assert idle.unit == MAX_UNIT
    with pytest.raises(Rejected, match=r"zero-gradient.* is 1e-06 of the detection loss's, or less"):
        objective(Recipe((idle,)), Goal())


def test_a_unit_is_the_inverse_of_the_ratio() -> None:
    assert unit(Diagnosis(1.0, 0.02)) == 50
    assert unit(Diagnosis(1.0, 228.0)) == 0.00439
    assert unit(Diagnosis(0.0, 0.0)) == unit(Diagnosis(1.0, float("nan"))) == unit(Diagnosis(1.0, float("inf"))) == 1


def test_a_loss_that_the_pair_cannot_share_has_no_unit(objective: ProxyObjective) -> None:
    assert objective.unit(Genome.parse("localization: none | kl"), "paper") == 1  # bins, which RetinaNet has not


def test_only_what_explodes_is_rejected() -> None:
    recipe = Recipe.parse("global: catt > none > none | l2")
    with pytest.raises(Rejected) as rejected:
        reject_exploded(recipe, Diagnosis(1.0, 4.0), Diagnosis(1.0, 228.0), 60)
    assert rejected.value.kind == "exploding"
    assert rejected.value.student_steps == 60
    assert "228 times the detection loss's after 60 steps, 4 times before" in rejected.value.detail
    reject_exploded(recipe, Diagnosis(1.0, 4.0), Diagnosis(1.0, 99.0), 60)
    reject_exploded(recipe, Diagnosis(1.0, 30.0), Diagnosis(1.0, 228.0), 60)  # strong from the start: its score is meaningful


def test_a_candidate_is_looked_at_again_in_its_training(objective: ProxyObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "OVERWHELMING", 0.0)
    monkeypatch.setattr(calibration, "GROWTH", 0.0)
    with pytest.raises(Rejected, match="exploding") as rejected:
        objective(Recipe.parse(LOSSES[0]), Goal())
    assert rejected.value.student_steps == look_step(6) == 2
    assert objective(Recipe(), Goal()).student_steps == 6


def test_the_second_look_uses_the_batch_and_the_draws_of_the_first(objective: ProxyObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    monkeypatch.setattr("detkds.detectors.probe.reject_exploded", lambda *found: looks.append(found))
    objective(Recipe.parse(LOSSES[0]), Goal())
    ((recipe, first, now, step),) = looks
    assert step == 2
    assert first.value == pytest.approx(objective.probe.look(_untrained(objective, recipe)).value)
    assert now.value != first.value


def _untrained(objective: ProxyObjective, recipe: Recipe) -> Any:
    from copy import deepcopy

    from detkds.detectors.distiller import DistilledDetector

    return DistilledDetector(deepcopy(objective.task.student), objective.task.teacher, recipe)
