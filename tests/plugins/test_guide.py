"""The guide of docs/genome.md runs, and the plugin of examples/ is shown by the space, drawn by a search and drawn in the report."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import detkds
from detkds import plugins
from detkds.genome import SLOTS, Genome, Knowledge, Recipe
from detkds.genome.formula import tex
from detkds.report.mathml import prose

pytestmark = pytest.mark.usefixtures("own_words")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def _robust(own_words: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(ROOT / "examples" / "plugin")
    sys.modules.pop("detkds_robust", None)
    plugins.load("detkds_robust")
    yield
    sys.modules.pop("detkds_robust", None)


def test_the_guides_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "genome.md").read_text()
    guide = page[page.index("## Add a word of your own") :]
    found = re.search(r"```python\n(.*?)```", guide, re.DOTALL)
    assert found is not None
    exec(compile(found[1], "<the guide of docs/genome.md>", "exec"), {"__name__": "guide"})
    assert capsys.readouterr().out == "2.0\n"


@pytest.mark.usefixtures("_robust")
def test_the_examples_words_are_searched_with_an_objective_of_ones_own() -> None:
    def likes_the_plugin(recipe: Recipe) -> float:
        return sum(0.4 * (genome.distance == "pseudo_huber") + 0.4 * (genome.slots["norm"] == "signed_root") for genome in recipe.active)

    found = detkds.study("global", likes_the_plugin, population=20, iterations=40, seed=1)
    assert found.best is not None
    (genome,) = found.best.recipe.genomes
    assert (genome.distance, genome.slots["norm"]) == ("pseudo_huber", "signed_root")


@pytest.mark.usefixtures("_robust")
def test_the_report_draws_the_examples_formulas() -> None:
    lines = tex(Genome.parse("global: none > none > signed_root | pseudo_huber x 2"))
    drawn = "".join(map(prose, lines))
    assert drawn.count("<msqrt>") == 2
    assert 'alttext="sign(f) · (√(|f| + 1) − 1)"' in drawn
    assert SLOTS[Knowledge.FGBG]["norm"][-1] == "signed_root"


def test_the_examples_own_tests_pass() -> None:
    folder = ROOT / "examples" / "plugin"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
