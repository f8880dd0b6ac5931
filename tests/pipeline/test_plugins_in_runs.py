"""plugins: of a run.yaml: trusted or refused, loaded before the run's words are read, handed to every task of a cluster."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_run
import yaml
from rich.console import Console

from detkds import plugins
from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe
from detkds.lint import ImagePolicy, Package, examine
from detkds.pipeline.data_check import Options, data_check
from detkds.pipeline.form import Form
from detkds.pipeline.kubeflow import plans
from detkds.pipeline.kubeflow.package import compiled
from detkds.pipeline.kubeflow.resources import with_plugins
from detkds.pipeline.run import Run
from detkds.pipeline.run_config import load
from detkds.pipeline.settings import Pair
from detkds.pipeline.submit import Images
from detkds.search import Evolution, SearchSettings, SearchSpace

pytestmark = pytest.mark.usefixtures("own_words")
PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(autouse=True)
def _robust(own_words: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DETKDS_S3_ENDPOINT", "DETKDS_S3_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.syspath_prepend(PLUGIN)
    sys.modules.pop("detkds_robust", None)
    yield
    sys.modules.pop("detkds_robust", None)


@pytest.fixture
def run_yaml(pair: Pair, pictures: Path, tmp_path: Path) -> Path:
    search, train = {**tiny_run.SEARCH, "population": 2}, {"epochs": 1, "batch_size": 4}
    content = tiny_run.content(pictures, pair, plugins=["detkds_robust"], search=search, train=train)
    return tiny_run.written(tmp_path / "run.yaml", content)


def opened(path: Path, tmp_path: Path, *, trust: bool) -> Run:
    return Run.open(path, home=tmp_path / "home", trust=trust, console=Console(file=io.StringIO(), width=200))


def test_plugins_are_refused_unless_they_are_trusted(run_yaml: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"plugins: detkds_robust is Python code that would run here; read it, and add --trust-config"):
        opened(run_yaml, tmp_path, trust=False)
    assert "detkds_robust" not in sys.modules


def test_a_name_that_is_no_module_is_refused_with_its_place(run_yaml: Path) -> None:
    run_yaml.write_text(run_yaml.read_text().replace("- detkds_robust", "- ./detkds_robust.py"))
    with pytest.raises(ConfigError, match=r"run\.yaml: plugins\.0: must be the name of a Python module, such as my_package\.words"):
        load(run_yaml)


def test_a_module_that_is_not_there_is_refused_before_anything_runs(run_yaml: Path, tmp_path: Path) -> None:
    run_yaml.write_text(run_yaml.read_text().replace("- detkds_robust", "- no_such.words"))
    with pytest.raises(ConfigError, match=r"the plugin no_such\.words cannot be imported: there is no module no_such; install its package"):
        opened(run_yaml, tmp_path, trust=True)
    assert not (tmp_path / "home").exists()


def test_data_check_of_a_run_loads_its_plugins(run_yaml: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"images": None, "options": Options(), "report": tmp_path / "faults.jsonl", "fix": None}
    with pytest.raises(ConfigError, match="detkds_robust is Python code that would run here"):
        data_check(run_yaml, **given, console=Console(quiet=True))
    assert data_check(run_yaml, **given, console=Console(quiet=True), trust=True)
    assert "detkds_robust" in sys.modules


def test_a_student_is_trained_with_a_plugins_words(run_yaml: Path, tmp_path: Path) -> None:
    with opened(run_yaml, tmp_path, trust=True) as run:
        version = run.values["data_version"]
        student = run.train("global: none > none > signed_root | pseudo_huber")
    assert str(student.recipe) == "global: none > none > signed_root | pseudo_huber x 1"
    plain = yaml.safe_load(run_yaml.read_text())
    del plain["plugins"]
    run_yaml.write_text(yaml.safe_dump(plain))
    with plugins.forgotten(), opened(run_yaml, tmp_path, trust=False) as run:
        assert run.values["data_version"] != version


def test_a_search_draws_a_plugins_words(run_yaml: Path, tmp_path: Path) -> None:
    """The first candidate of this seed has a word of the plugin; the journal names the plugin with its digest."""
    plugins.load("detkds_robust")
    loaded, space = plugins.loaded(), SearchSpace.preset()
    draws = ((seed, Evolution(space, Knowledge.GLOBAL, SearchSettings(1, 0, 0.9, 1), seed).ask()) for seed in range(100))
    seed, asked = next((seed, str(asked[0])) for seed, asked in draws if "signed_root" in str(asked[0]))
    content = yaml.safe_load(run_yaml.read_text())
    content |= {"seed": seed, "search": {**content["search"], "population": 1}}
    run_yaml.write_text(yaml.safe_dump(content))
    with opened(run_yaml, tmp_path, trust=True) as run:
        study = run.search("global")
    assert str(study.trials[1].recipe) == asked
    journals = [path.read_text() for path in (tmp_path / "home").rglob("journal.jsonl")]
    assert any(loaded in journal and "signed_root" in journal for journal in journals)


def test_a_cluster_task_is_told_what_to_load() -> None:
    assert with_plugins(compiled("search"), "") == compiled("search")
    plugins.load("detkds_robust")
    text = with_plugins(compiled("search"), plugins.loaded())
    executors = next(iter(yaml.safe_load_all(text)))["deploymentSpec"]["executors"]
    assert executors
    for executor in executors.values():
        assert {"name": "DETKDS_PLUGINS", "value": plugins.loaded()} in executor["container"]["env"]
    values = Images("registry.example.org/detkds@sha256:" + "a" * 64).with_torch().parameters()
    assert values["image"] == values["light_image"]
    assert examine(Package.parse(text), values, ImagePolicy(digest=True)) == examine(
        Package.parse(compiled("search")), values, ImagePolicy(digest=True)
    )


def test_a_job_of_several_nodes_carries_its_plugins() -> None:
    from detkds.pipeline.rank import Job
    from detkds.pipeline.settings import Schedule

    plugins.load("detkds_robust")
    recipe = Recipe.parse("global: none > none > signed_root | pseudo_huber")
    job = Job(Pair("a", "b", "c"), Schedule(1), recipe, "", plugins.loaded())
    assert Job.loads(job.dumps(), "job.json") == job
    with pytest.raises(ConfigError, match=r"has the sources .* here and 0000000000000000 where the run was started"):
        Job.loads(job.dumps().replace(plugins.loaded(), "detkds_robust@0000000000000000"), "job.json")


def test_plugins_named_in_a_form_reach_every_task_that_may_need_them(pair: Pair, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that a person fills in has no run.yaml, and its pods no DETKDS_PLUGINS."""
    monkeypatch.setattr("detkds.pipeline.stored_inputs.faults", lambda values: [])
    settings = {"plugins": ["detkds_robust"]}
    form = Form("tiny", "s3://detkds/data", pair.teacher_config, pair.teacher_checkpoint, pair.student_config, settings=settings)
    recipe = "global: none > none > signed_root | pseudo_huber"
    told = plans.run(form, recipe=recipe)
    assert {name for name, plan in told._asdict().items() if isinstance(plan, dict) and plan.get("plugins") == "detkds_robust"} == {
        "evolve", "weights", "train", "evaluate", "report",
    }  # fmt: skip
    asked: list[str] = []
    monkeypatch.setattr(plugins, "load", asked.append)
    plans.read(told.train)
    assert asked[-1] == "detkds_robust"
