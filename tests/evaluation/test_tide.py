"""TIDE's kinds of errors against tidecv and against cases by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from small_worlds import NOWHERE, A, B, coco_example, detection, matches, truth, world

from detkds.evaluation.matching import Matches
from detkds.evaluation.tide import TIDE, tide
from detkds.evaluation.truth import Kind

FROZEN: dict[Kind, dict[str, float]] = {
    "bbox": dict(zip(TIDE, (0.22246, 0.00228, 0.0, 0.00019, 0.0, 0.08524, 0.06822, 0.17685), strict=True)),
    "segm": dict(zip(TIDE, (0.16186, 0.11601, 0.01013, 0.0, 0.00268, 0.07779, 0.0866, 0.23746), strict=True)),
}
"""What tidecv 1.0.1 gives on the COCO API's example."""


@pytest.fixture
def tidecv(monkeypatch: pytest.MonkeyPatch) -> Any:
    """tidecv without its plots, which would need pandas, seaborn and another OpenCV, and without its folder for downloads."""
    monkeypatch.setitem(sys.modules, "tidecv.plotting", SimpleNamespace(Plotter=lambda *_, **__: None))  # type: ignore[arg-type]
    appdirs = ModuleType("appdirs")
    appdirs.user_data_dir = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "appdirs", appdirs)
    return pytest.importorskip("tidecv")


def by_tidecv(tidecv: Any, found: Matches, kind: Kind) -> dict[str, float]:
    """Its errors of the same columns, in [0, 1]."""
    objects, detections = tidecv.Data("truth"), tidecv.Data("found")
    for place, _ in enumerate(found.truth.image_ids):
        objects.add_image(place, str(place))
    for place, name in enumerate(found.truth.classes):
        objects.add_class(place, name)
    for columns, add in ((found.truth, objects.add_ground_truth), (found.found, detections.add_detection)):
        for row in range(len(columns.image)):
            shape = {"box": columns.box[row].tolist(), "mask": columns.masks[row] if columns.masks else None}
            score = {} if columns is found.truth else {"score": float(columns.score[row])}  # type: ignore[union-attr]
            crowd = columns is found.truth and bool(columns.crowd[row])  # type: ignore[union-attr]
            (objects.add_ignore_region if crowd else add)(int(columns.image[row]), int(columns.category[row]), **score, **shape)
    program = tidecv.TIDE()
    program.evaluate(objects, detections, mode=tidecv.TIDE.BOX if kind == "bbox" else tidecv.TIDE.MASK)
    errors = program.get_all_errors()
    return {name: value / 100 for part in errors.values() for name, value in part["found"].items()}


@pytest.mark.parametrize("kind", FROZEN)
def test_as_tidecv_on_the_example(shared_data: Path, tidecv: Any, kind: Kind) -> None:
    found = matches(*coco_example(shared_data, kind), kind)
    assert tide(found) == pytest.approx(by_tidecv(tidecv, found, kind), abs=1e-12)


@pytest.mark.parametrize("kind", FROZEN)
def test_frozen_figures(shared_data: Path, kind: Kind) -> None:
    assert tide(matches(*coco_example(shared_data, kind), kind)) == pytest.approx(FROZEN[kind], abs=5e-6)


@pytest.mark.parametrize("seed", range(30))
def test_as_tidecv_on_hostile_boxes(tidecv: Any, seed: int) -> None:
    # Crowds, boxes without width, several tries at one object and equal scores.
    found = matches(*world(seed))
    assert tide(found) == pytest.approx(by_tidecv(tidecv, found, "bbox"), abs=1e-12)


HALF = 51 / 101
"""AP of one object of two found: recall 1/2 covers the recalls 0, .01 … .5."""


@pytest.mark.parametrize(
    ("kind", "second"),
    [
        # 40 x 40 against 40 x 16 inside it: IoU .4
        ("Loc", detection(1, 1, [100.0, 100.0, 40.0, 16.0], 0.5)),
        ("Miss", None),
    ],
)
def test_an_object_not_found_costs_half_by_hand(kind: str, second: dict[str, Any] | None) -> None:
    # One of two objects is found; finding the other, or not having it, brings 1 - 51/101.
    detections = [detection(1, 1, A, 0.9), *([second] if second else [])]
    errors = tide(matches(truth([(1, 1, A), (1, 1, B)]), detections))
    assert errors == pytest.approx(dict.fromkeys(TIDE, 0.0) | {kind: 1 - HALF, "FalseNeg": 1 - HALF})


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("Bkg", detection(1, 1, NOWHERE, 0.9)),
        # Half of B's height and an IoU of .5 would still be Loc; here it is .6 with an object that a better detection has.
        ("Dupe", detection(1, 1, [100.0, 100.0, 40.0, 24.0], 0.8)),
        # A dog of IoU .4 where there is a cat: neither place nor class.
        ("Both", detection(1, 2, [100.0, 100.0, 40.0, 16.0], 0.9)),
    ],
)
def test_what_is_only_wrong_is_removed_by_hand(kind: str, wrong: dict[str, Any]) -> None:
    # Dog: one object, found with .5. Cat: B found with .85, A with .7. The wrong detection lowers what comes after it.
    ground_truth = truth([(1, 1, A), (1, 1, B), (1, 2, [50.0, 150.0, 40.0, 40.0])])
    right = [detection(1, 1, B, 0.85), detection(1, 1, A, 0.7), detection(1, 2, [50.0, 150.0, 40.0, 40.0], 0.5)]
    errors = tide(matches(ground_truth, [*right, wrong]))
    # Cat after Bkg at .9: precision 1/2, 2/3, so 2/3 everywhere. After Dupe at .8: 1, then 2/3: (51 + 50 · 2/3) / 101. Dog after Both: 1/2.
    loss = {"Bkg": 1 / 3, "Dupe": 50 / 101 / 3, "Both": 1 / 2}[kind] / 2  # mean of two classes
    assert errors == pytest.approx(dict.fromkeys(TIDE, 0.0) | {kind: loss, "FalsePos": loss})


def test_a_wrong_class_is_mended_into_the_right_one_by_hand() -> None:
    # Two cats, both seen as dogs; no dog exists. TIDE's mean counts dog, which has detections only, as 0, so AP is (0 + 0) / 2. Mended:
    # both are cats, and dog has neither object nor detection and leaves the mean: 1.
    errors = tide(matches(truth([(1, 1, A), (2, 1, B)]), [detection(1, 2, A, 0.9), detection(2, 2, B, 0.8)]))
    assert errors["Cls"] == pytest.approx(1)
    assert errors["Miss"] == 0


def test_nothing_at_all_is_nan() -> None:
    assert all(value != value for value in tide(matches(truth([]), [])).values())
