"""What a stage tells KFP: no number that JSON does not know, on which KFP's launcher fails."""

from __future__ import annotations

import json

from detkds.pipeline.settings import Result


def test_numbers_that_are_not_finite_reach_no_metadata_and_no_metric() -> None:
    result = Result(
        {"AP": float("nan"), "per_class": [0.5, float("inf")], "deep": {"worst": float("-inf")}, "name": "x"},
        {"AP": float("nan"), "AR": 0.5},
    )
    assert result.metrics == {"AR": 0.5}
    assert json.loads(json.dumps(dict(result.metadata), allow_nan=False)) == {
        "AP": "nan", "per_class": [0.5, "inf"], "deep": {"worst": "-inf"}, "name": "x",
    }  # fmt: skip
