"""Candidates that leave their training at a rung: scored as they would be kept, and unseen by their neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from mmengine.config import Config
from pictures import make_config, make_source
from small_families import FAMILIES, small
from torch import nn

from detkds.detectors import build_detector, predict, validation
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.training.batches import Source
from detkds.detectors.training.loop import TrainSettings
from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.objective import Forecast, Goal, Outcome, Rung

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
QUARTER, HALF, END = Fraction(1, 4), Fraction(1, 2), Fraction(1)
PKD, OTHER = (Recipe.parse(f"global: none > none > {words}") for words in ("norm_batch | l2", "none | l2 x 3"))
HOPELESS = Forecast(count=8, early=0.0, late=0.1, slope=0.5, deviation=0.0, spread=0.1, quantile=2.0)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    folder = tmp_path_factory.mktemp("data")
    return make_source(folder / "train", 7), make_source(folder / "val", 4, seed=1)


def build(
    sources: tuple[Source, Source], config: Config | None = None, teacher: nn.Module | None = None, epochs: int = 2
) -> ProxyObjective:
    settings = TrainSettings(epochs=epochs, batch_size=2, device="cpu")
    taught: Any = teacher or build_detector(make_config(12), seed=9)
    with torch.no_grad():
        if teacher is None:
            taught.bbox_head.retina_cls.bias.zero_()
    return ProxyObjective(config or make_config(), taught, *sources, settings, early_stop=False, loss_filter=False)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_rung_scores_the_student_that_would_be_kept_and_changes_nothing(
    few: tuple[Source, Source], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = build(few, small(name), build_detector(small(name), seed=9), epochs=4)
    scored: list[dict[str, Any]] = []
    look = predict.predict

    def watch(student: nn.Module, *rest: Any, **options: Any) -> Iterator[predict.Found]:
        scored.append({key: value.clone() for key, value in student.state_dict().items()})
        return look(student, *rest, **options)

    for place in (predict, validation):
        monkeypatch.setattr(place, "predict", watch)
    plain = objective(PKD, Goal())
    climbing = objective(PKD, Goal(rungs=(Rung(QUARTER), Rung(HALF), Rung(END))))
    assert list(climbing.rungs) == ["1/4", "1/2", "1"]
    assert climbing.rungs["1"] == climbing.score
    assert replace(climbing, rungs={}) == plain
    alone, quarter, _, end, kept = scored
    assert all(torch.equal(alone[key], end[key]) and torch.equal(alone[key], kept[key]) for key in alone)
    assert any(not torch.equal(quarter[key], end[key]) for key in alone)


def test_a_candidate_that_is_behind_leaves_and_its_neighbours_stay_what_they_are(sources: tuple[Source, Source]) -> None:
    objective = build(sources)
    hopeless = Goal(rungs=(Rung(QUARTER), Rung(HALF, HOPELESS, floor=0.9)))
    jobs = [(PKD, Goal()), (OTHER, hopeless), (Recipe(), Goal(rungs=(Rung(HALF, HOPELESS, floor=0.01),)))]
    together = objective.together(jobs)
    assert together == [objective.together([job])[0] for job in jobs]
    first, left, other = together
    assert isinstance(left, Outcome)
    assert (left.left, list(left.rungs), left.student_steps) == ("1/2", ["1/4", "1/2"], 3)  # of 6 steps
    assert left.score == HOPELESS.expected(left.rungs["1/2"])
    assert left.details["loss"] > 0
    for answer in (first, other):
        assert isinstance(answer, Outcome)
        assert (answer.left, answer.student_steps) == ("", 6)


def test_infinite_boxes_reject_a_candidate_at_the_end_and_hit_nothing_at_a_rung(
    sources: tuple[Source, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = build(sources)
    look = predict.predict

    def wild(*args: Any, **options: Any) -> Iterator[predict.Found]:
        for found in look(*args, **options):
            box = {"image_id": found.image_ids[0], "category_id": 7, "bbox": [-math.inf, 0.0, math.inf, 4.0], "score": 1.0}
            yield replace(found, detections=(*found.detections, box))

    expected = objective(PKD, Goal(rungs=(Rung(END),)))
    monkeypatch.setattr(predict, "predict", wild)
    assert objective(PKD, Goal(rungs=(Rung(END),))) == expected
    monkeypatch.setattr(validation, "predict", wild)
    with pytest.raises(Rejected, match="infinite: a box of the trained student has no finite side") as caught:
        objective(PKD, Goal())
    assert caught.value.student_steps == 6
