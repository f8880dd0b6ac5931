"""The compiled pipelines keep the rules of a cluster. `make check` finds out whether they are what the code compiles to."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from detkds.lint import Package
from detkds.pipeline.kubeflow.package import OPTIONAL_STORE_KEYS, STORE_KEYS

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = {
    "check": "kubeflow.plans", "subset": "subset", "evolve": "kubeflow.searching", "weights": "kubeflow.searching",
    "train": "kubeflow.training",
    "train_found": "kubeflow.training", "evaluate": "evaluate", "report": "report", "report_search": "report",
}  # fmt: skip
"""Which module of detkds.pipeline does the work of which component."""
TRAIN = ["check", "subset", "train-baseline", "train-distilled", "evaluate", "report"]
BOXES = {"search": [*TRAIN[:2], "search", *TRAIN[2:]], "transfer": TRAIN}
"""What the graph shows first."""
INSIDE = {f"evolve-{knowledge}" for knowledge in ("global", "fgbg", "instance", "logits", "localization")} | {"weights"}
TASKS = {"search": {*BOXES["search"], *INSIDE} - {"search"}, "transfer": set(TRAIN)}


def compiled(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    text = (files("detkds") / "compiled" / f"{name}.yaml").read_text()
    pipeline, platform = yaml.safe_load_all(text)
    return pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def tasks(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Every task with a container by its name."""
    return {task.name: task.spec for task in Package("", pipeline).tasks()}


def executors(name: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    pipeline, platform = compiled(name)
    for key, executor in pipeline["deploymentSpec"]["executors"].items():
        yield key, executor["container"], platform[key]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_name(name: str) -> None:
    assert set(tasks(compiled(name)[0])) == TASKS[name]


@pytest.mark.parametrize("name", TASKS)
def test_the_graph_opens_with_few_boxes_and_no_artifact_goes_round_them(name: str) -> None:
    """A box that needs another comes after it; of the search only what its readers need leaves its box."""
    root = compiled(name)[0]["root"]["dag"]["tasks"]
    assert {task["taskInfo"]["name"] for task in root.values()} == set(BOXES[name])
    readers = {before for task in root.values() for before in task.get("dependentTasks", ())}
    assert [task["taskInfo"]["name"] for key, task in root.items() if key not in readers] == ["report"], "the results come last"
    if name == "search":
        found = compiled(name)[0]["components"]["comp-search"]
        assert {task["taskInfo"]["name"] for task in found["dag"]["tasks"].values()} == INSIDE
        assert set(found["outputDefinitions"]["artifacts"]) == {"recipe", "studies"}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_retried_for_longer_than_it_may_run(name: str) -> None:
    _, platform = compiled(name)
    longest = max(int(settings["activeDeadlineSeconds"]) for settings in platform.values())
    for task in tasks(compiled(name)[0]).values():
        window = int(task["retryPolicy"]["backoffMaxDuration"].removesuffix("s"))
        assert window > (task["retryPolicy"]["maxRetryCount"]) * longest


@pytest.mark.parametrize("name", TASKS)
def test_gpu_tasks_have_shared_memory_and_no_task_runs_as_root_or_installs(name: str) -> None:
    for key, container, settings in executors(name):
        needs_gpu = "accelerator" in container.get("resources", {})
        assert needs_gpu == (key.removeprefix("exec-").rstrip("-0123456789") in ("evolve", "weights", "train", "train-found", "evaluate"))
        shm = [mount for mount in settings.get("emptyDirMounts", []) if mount["mountPath"] == "/dev/shm"]
        assert bool(shm) == needs_gpu
        assert settings["securityContext"]["runAsNonRoot"] is True
        assert "pip install" not in " ".join(container["command"] + container.get("args", []))


@pytest.mark.parametrize("name", TASKS)
def test_keys_of_the_store_come_from_a_secret_only(name: str) -> None:
    for _, container, settings in executors(name):
        assert not container.get("env")
        secrets = [secret for secret in settings["secretAsEnv"] if secret["secretName"] == "detkds-s3"]
        variables = {entry["envVar"] for secret in secrets for entry in secret["keyToEnv"]}
        assert variables == {*STORE_KEYS.values(), *OPTIONAL_STORE_KEYS.values()}
        optional = {entry["secretKey"] for secret in secrets if secret.get("optional") for entry in secret["keyToEnv"]}
        assert optional == {"sessiontoken", "region"}, "a Secret need not have them, and must have the others"


@pytest.mark.parametrize("name", TASKS)
def test_keys_of_loggers_reach_the_full_trainings_from_a_secret_that_need_not_exist(name: str) -> None:
    for key, _, settings in executors(name):
        secrets = [secret for secret in settings["secretAsEnv"] if secret["secretName"] == "detkds-loggers"]
        assert bool(secrets) == key.startswith("exec-train")
        for secret in secrets:
            assert secret["optional"] is True
            assert {entry["envVar"] for entry in secret["keyToEnv"]} >= {"WANDB_API_KEY", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN"}
            assert all(entry["envVar"] == entry["secretKey"] for entry in secret["keyToEnv"])


@pytest.mark.parametrize("name", TASKS)
def test_only_check_and_report_are_never_cached(name: str) -> None:
    for task_name, task in tasks(compiled(name)[0]).items():
        assert bool(task.get("cachingOptions", {}).get("enableCache")) == (task_name not in ("check", "report"))


@pytest.mark.parametrize("name", TASKS)
def test_every_parameter_is_described(name: str) -> None:
    parameters = compiled(name)[0]["root"]["inputDefinitions"]["parameters"]
    assert not [key for key, parameter in parameters.items() if not parameter.get("description")]


@pytest.mark.parametrize("name", TASKS)
def test_the_form_fills_exactly_the_parameters_of_the_pipeline(name: str) -> None:
    from detkds.pipeline.form import Form
    from detkds.pipeline.values import Values

    known = set(compiled(name)[0]["root"]["inputDefinitions"]["parameters"])
    filled = set(Form.of(Values()).parameters())
    assert known - {"image", "light_image"} == (filled if name == "search" else (filled - {"budget"}) | {"recipe"})
    assert len(known) <= 12, "a form that a person can fill in"


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_are_thin_shells(component: str) -> None:
    path = ROOT / "components" / component / "component.py"
    source = path.read_text()
    assert len(source.splitlines()) <= 60
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert names <= {"kfp", "typing"}


def test_every_component_is_looked_at() -> None:
    assert {path.parent.name for path in (ROOT / "components").glob("*/component.py")} == set(COMPONENTS)


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_call_their_stage_with_arguments_it_has(component: str) -> None:
    """The call inside a component runs in a pod only: its keywords are compared with the stage's signature here."""
    module = __import__(f"detkds.pipeline.{COMPONENTS[component]}", fromlist=["run"])
    tree = ast.parse((ROOT / "components" / component / "component.py").read_text())
    (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "stage.run"]
    inspect.signature(module.run).bind(*call.args, **{keyword.arg or "": keyword.value for keyword in call.keywords})
