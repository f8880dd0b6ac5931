"""SearchSettings: presets and rules."""

from __future__ import annotations

import pytest

from detkds.errors import ConfigError
from detkds.search import SearchSettings


def test_both_readings_of_the_paper() -> None:
    assert SearchSettings.preset("paper") == SearchSettings(population=20, iterations=40, sample_ratio=0.9, top_k=5)
    assert SearchSettings.preset("paper-20") == SearchSettings(population=20, iterations=20, sample_ratio=0.9, top_k=5)
    with pytest.raises(ConfigError, match="unknown search preset 'fast': choose from paper, paper-20"):
        SearchSettings.preset("fast")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"top_k": 25}, "`top_k <= population` must hold, but got top_k=25, population=20,"),
        ({"top_k": 0}, "`top_k >= 1` must hold, but got top_k=0"),
        ({"sample_ratio": 0.0}, "`0 < sample_ratio <= 1` must hold"),
        ({"sample_ratio": 1.1}, "`0 < sample_ratio <= 1` must hold"),
        ({"sample_ratio": float("nan")}, "`0 < sample_ratio <= 1` must hold"),
        ({"iterations": -1}, "`iterations >= 0` must hold"),
        ({"iterations_at_once": 0}, "`iterations_at_once >= 1` must hold"),
        ({"population": 0}, "`population >= 1` and `top_k <= population` must hold"),
    ],
)
def test_rules(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SearchSettings(**changed)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_the_last_step_asks_the_iterations_that_are_left() -> None:
    asked = [SearchSettings(iterations=7, iterations_at_once=3).iterations_of(step) for step in range(1, 6)]
    assert asked == [3, 3, 1, 0, 0]


@pytest.mark.parametrize(("ratio", "members", "size"), [(0.9, 20, 18), (0.55, 20, 11), (0.9, 5, 5), (0.1, 3, 1), (1.0, 7, 7), (0.9, 1, 1)])
def test_the_pool_is_the_ceiling_of_r_times_p(ratio: float, members: int, size: int) -> None:
    assert SearchSettings(sample_ratio=ratio).pool_size(members) == size
