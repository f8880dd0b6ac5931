"""Tables of comparisons and searches, and correlations, from figures made by hand."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from detkds.errors import ConfigError
from detkds.evaluation.engine import FIGURES
from detkds.evaluation.repeated import Repeat, gap
from detkds.experiments import fidelity
from detkds.experiments.comparison import Comparison, Difference, Row
from detkds.experiments.comparison_page import page
from detkds.experiments.comparison_table import markdown, show
from detkds.experiments.searches_table import quarters

RECIPE = "global: none > none > norm_batch | l2 x 5"


def repeats(*values: float) -> dict[int, Repeat]:
    flat = np.array([0.0, 0.0])
    return {seed: Repeat(dict.fromkeys(FIGURES, value), {"AP": flat}) for seed, value in enumerate(values)}


@pytest.fixture
def comparison() -> Comparison:
    """none .30 .32 .34; pkd .40 .42 .44: the difference is .1 at every seed."""
    none, pkd = repeats(0.30, 0.32, 0.34), repeats(0.40, 0.42, 0.44)
    rows = (
        Row("none", dict.fromkeys(range(3), "no distillation"), False, {"bbox": none}, {}),
        Row("pkd", dict.fromkeys(range(3), RECIPE), True, {"bbox": pkd}, {3: "nan: the loss"}),
    )
    difference = Difference("pkd", "none", "bbox", "AP", gap(list(pkd.values()), list(none.values())))
    return Comparison("tiny", 4, 1, rows, (difference,), {"bbox": dict.fromkeys(FIGURES, 0.5)}, {"cwd": "no common stride"})


def test_markdown_has_means_spreads_differences_and_recipes(comparison: Comparison) -> None:
    """Spread of .40 .42 .44: √((.0004 + .0004) / 2) = .02."""
    text = markdown(comparison)
    assert "| pkd | 42.0 ± 2.0 | 42.0 | 42.0 | 42.0 | 42.0 | 42.0 | 3 |" in text
    assert "| teacher | 50.0 |" in text
    assert "| pkd | +10.0 (+10.0 to +10.0) * |" in text
    assert "* pkd, seed 3, could not be trained: nan: the loss" in text
    assert "* cwd was left out: no common stride" in text
    assert f"* pkd: `{RECIPE}`, inheriting" in text


def test_the_terminal_shows_whole_names_on_80_columns(comparison: Comparison) -> None:
    file = io.StringIO()
    show(comparison, Console(file=file, width=80))
    lines = file.getvalue().splitlines()
    assert any(line.split()[:4] == ["pkd", "42.0", "±", "2.0"] for line in lines)
    assert any("+10.0 (+10.0 to +10.0) *" in line for line in lines)
    assert f"pkd: {RECIPE}, inheriting" in lines
    assert max(map(len, lines)) <= 80


def test_quarters_of_a_curve() -> None:
    """Ends at 400 steps: at 100 .1, at 200 .3, at 300 still .3, at 400 .4; nothing before 50 would be a dash."""
    assert quarters([(50, 0.1), (200, 0.3), (390, 0.4), (400, 0.4)]) == ["10.0", "30.0", "30.0", "40.0"]
    assert quarters([(200, 0.3), (400, 0.3)])[0] == "-"


def test_orders_that_agree_and_disagree() -> None:
    up = [(0.1, 0.2), (0.2, 0.3), (0.3, 0.5), (0.4, 0.6), (0.5, 0.9)]
    found = fidelity.conclude(up)
    assert (found["kendall"], found["spearman"]) == (pytest.approx(1), pytest.approx(1))
    assert found["intervals"]["kendall"] == pytest.approx([1, 1])
    down = fidelity.conclude([(proxy, -longer) for proxy, longer in up])
    assert down["kendall"] == pytest.approx(-1)


def test_an_interval_over_genomes_holds_the_figure_and_its_doubt() -> None:
    """Kendall's τ of (1 2 3 4) and (1 3 2 4): 5 pairs agree, 1 does not: 4 / 6."""
    found = fidelity.conclude([(0.1, 0.1), (0.2, 0.3), (0.3, 0.2), (0.4, 0.4)])
    assert found["kendall"] == pytest.approx(4 / 6)
    low, high = found["intervals"]["kendall"]
    assert low < 0.5 < 4 / 6 < high <= 1
    assert found == fidelity.conclude([(0.1, 0.1), (0.2, 0.3), (0.3, 0.2), (0.4, 0.4)])


def test_scores_that_are_all_equal_have_no_correlation() -> None:
    found = fidelity.conclude([(0.1, 0.2), (0.1, 0.3), (0.1, 0.4)])
    assert found["kendall"] is None
    assert found["intervals"]["kendall"] is None
    result = {**found, "score": "ap", "epochs": {"proxy": 1, "longer": 12}, "pairs": [{"candidate": RECIPE, "proxy": 0.1, "longer": 0.4}]}
    assert "* kendall   not defined" in fidelity.markdown(result)
    assert f"| `{RECIPE}` | 10.0 | 40.0 |".replace("| l2", "\\| l2") in fidelity.markdown(result)


def test_two_genomes_are_no_order() -> None:
    from pathlib import Path

    from detkds.experiments.prepared_run import Effort

    with pytest.raises(ConfigError, match="3 genomes or more, got 2"):
        fidelity.fidelity(Path("run.yaml"), 2, Effort(), home=Path(), trust=False, console=Console(), out=None)


def test_the_page_shows_the_gains_and_says_who_leads(comparison: Comparison) -> None:
    html = page(comparison)
    assert "pkd has the highest mean: 42.0 AP over 3 seeds, +10.0 points over no distillation (+10.0 to +10.0)." in html
    assert "pkd: AP 42.0, 3 seeds" in html  # under the pointer
    assert "95 % intervals over seeds and test images." in html
    assert '<td class="number">42.0 ± 2.0</td>' in html
    assert "cwd was left out: no common stride" in html
    assert f"<code>{RECIPE}, inheriting</code>" in html.replace("&gt;", ">")


def test_a_gain_that_may_be_none_is_called_so(comparison: Comparison) -> None:
    unsure = dataclasses.replace(comparison.differences[0].gap, low=-0.01)
    doubtful = dataclasses.replace(comparison, differences=(dataclasses.replace(comparison.differences[0], gap=unsure),))
    assert "an interval that contains 0: no gain is shown" in page(doubtful)
