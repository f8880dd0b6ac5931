"""`detkds space GENOME --run run.yaml` on a tiny pair."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from tiny_run import content, written

from detkds.errors import ConfigError, DetKDSError
from detkds.genome import Recipe
from detkds.genome.presets import preset
from detkds.objective import Goal
from detkds.pipeline.diagnosis import show
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.settings import Pair, Schedule


@pytest.fixture(scope="module")
def proxy(pair: Pair, schedule: Schedule, subset: Path, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    return Proxy(pair, schedule, subset, early_stop=False, work=str(tmp_path_factory.mktemp("work")))


def test_a_weight_multiplies_value_and_gradient_and_moves_no_share(proxy: Proxy) -> None:
    once, twenty = (proxy.diagnose(preset(name), 0) for name in ("pkd x 1", "pkd x 20"))
    assert twenty.value == pytest.approx(20 * once.value, rel=1e-4)
    assert twenty.ratio == pytest.approx(20 * once.ratio, rel=1e-3)
    assert twenty.levels == pytest.approx(once.levels, abs=1e-4)
    assert sum(once.levels.values()) == pytest.approx(1)
    assert once.padding == 0  # pictures of 64 pixels fill their batch


def test_losses_of_heads_have_strides_too(proxy: Proxy) -> None:
    found = proxy.diagnose(Recipe.parse("logits: none | l2"), 0)
    assert set(found.levels) == set(proxy.diagnose(preset("fitnets"), 0).levels)
    assert found.value > 0


def test_looking_leaves_no_trace_in_what_candidates_reach(proxy: Proxy) -> None:
    before = proxy(preset("pkd"), Goal())
    grown = proxy.diagnose(preset("pkd"), 1)
    assert grown != proxy.diagnose(preset("pkd"), 0)
    assert proxy(preset("pkd"), Goal()) == before


def test_a_person_reads_a_row_for_each_loss(pair: Pair, pictures: Path, tmp_path: Path) -> None:
    run_yaml = written(tmp_path / "run.yaml", content(pictures, pair))
    out = io.StringIO()
    console = Console(file=out, width=140)
    show(["pkd x 20", "logits: none | l2", "localization: none | kl"], run_yaml, "paper", 0, home=tmp_path, trust=False, console=console)
    lines = out.getvalue().splitlines()
    assert "1  pkd x 20" in lines
    assert any(line.startswith("localization: none | kl:") for line in lines)  # no head of these predicts bins
    assert all(word in out.getvalue() for word in ("÷ own", " 8 ", "padding"))
    with pytest.raises(ConfigError, match="has no loss to look at"):
        show(["logits: none | l2 x 0"], run_yaml, "paper", 0, home=tmp_path, trust=False, console=console)


def test_genomes_are_read_in_the_semantics_of_the_run(pair: Pair, pictures: Path, tmp_path: Path) -> None:
    raw = content(pictures, pair)
    raw["search"]["semantics"] = "released"  # which has no kl
    path = written(tmp_path / "run.yaml", raw)
    with pytest.raises(DetKDSError, match="released"):
        show(["global: none > none > none | kl"], path, "", 0, home=tmp_path, trust=False, console=Console(quiet=True))
