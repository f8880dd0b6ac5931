"""What KFP's driver hands to KFP's executor in each task: as captured on a live KFP 2.17.0, and as the driver of the rehearsal sends it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pod import RESULT, Pod, package

from images.rehearsal.driver import Driver, mounted
from images.rehearsal.graph import Graph

CAPTURED = Path(__file__).resolve().parents[3] / "shared" / "cases" / "kfp"
TASKS = {
    "subset": "subset", "evolve": "evolve-{knowledge}", "weights": "weights", "train": "train-baseline", "train-2": "train-distilled",
    "train-2_after_cached_weights": "train-distilled", "evaluate": "evaluate", "report": "report",
}  # fmt: skip
"""The task of the graph that does what the captured one did, by the file's name; the five evolve tasks say their knowledge."""
RENAMED = {"weights_study": "studies", "study": "studies"}
"""Artifacts that the captured tasks handed on one by one; today's weights task hands on all six studies as one."""
ARTIFACT = {
    "name": "78",
    "type": {"instanceSchema": ""},
    "uri": "minio://detkds/v2/artifacts/detkds-search/7bf2ab37-fe17-4f83-881d-bc9d25803124/weights/ec987f70-94e8-4d2f-b952-97f7bf1f838f/recipe",
    "metadata": {"display_name": "recipe", "study": "weights", "store_session_info": '{"Provider":"minio","Params":{}}'},
}
"""An artifact of another task as captured, its store's description shortened: for those who do not have the captured files."""


def captured() -> list[Any]:
    """The captured inputs; one that is skipped where there are none."""
    found = sorted(CAPTURED.glob("executor_input_*.json"))
    missing = pytest.param(
        Path("none"), marks=pytest.mark.skip(reason="needs the inputs captured on a live cluster in ../shared/cases/kfp")
    )
    return [pytest.param(path, id=path.stem.removeprefix("executor_input_")) for path in found] or [missing]


def as_captured(path: Path, disk: Path) -> tuple[str, str, dict[str, Any]]:
    """Pipeline, task and executor input of a captured file; the file system of its pod begins at `disk`."""
    name = path.stem.removeprefix("executor_input_")
    pipeline = "transfer" if name.startswith("transfer-") else "search"
    given = json.loads(path.read_text())
    given["outputs"]["outputFile"] = f"{disk}{given['outputs']['outputFile']}"
    name = "evolve" if name.startswith("evolve") else name.removeprefix("transfer-")
    return pipeline, TASKS[name].format_map(given["inputs"]["parameterValues"]), given


def of_today(given: dict[str, Any], component: Mapping[str, Any]) -> dict[str, Any]:
    """The captured input with the parameters and artifacts of today's component: what the form of an artifact is, is as captured."""
    values, empty = given["inputs"]["parameterValues"], {"STRING": "1", "STRUCT": {}}
    for name, described in component["inputDefinitions"]["parameters"].items():
        values.setdefault(name, described.get("defaultValue", empty.get(described["parameterType"], 1)))
    for side, defined in (("inputs", "inputDefinitions"), ("outputs", "outputDefinitions")):
        known = {*component[defined].get("artifacts", {}), "executor-logs"}
        found = {RENAMED.get(name, name) if name not in known else name: each for name, each in given[side].get("artifacts", {}).items()}
        if kept := {name: each for name, each in found.items() if name in known}:
            given[side]["artifacts"] = kept
    for name, each in given["outputs"]["artifacts"].items():
        (artifact,) = each["artifacts"]
        if artifact["name"] != name:
            artifact |= {"name": name, "uri": f"{artifact['uri'].rpartition('/')[0]}/{name}"}
    return given


def paths(given: Mapping[str, Any], disk: Path) -> set[Path]:
    """Where the launcher mounts the inputs."""
    return {Path(f"{disk}{mounted(each['artifacts'][0]['uri'])}") for each in given["inputs"].get("artifacts", {}).values()}


def check(said: Mapping[str, Any], given: Mapping[str, Any], pod: Pod) -> None:
    """The executor told of every output, the stage was called with every input, and what it told reached the outputs."""
    outputs = {name: each["artifacts"][0] for name, each in given["outputs"]["artifacts"].items()}
    assert {name: each["uri"] for name, each in said.items()} == {name: each["uri"] for name, each in outputs.items()}
    read = {parent for path in pod.paths for parent in (path, *path.parents)}
    assert paths(given, pod.disk) <= read
    for name, output in outputs.items():
        place = Path(f"{pod.disk}{mounted(output['uri'])}")
        if output["type"]["schemaTitle"] == "system.Metrics":
            assert said[name]["metadata"] == json.loads(place.read_text()) == {"student_steps": 12.0}
        elif output["type"]["schemaTitle"] == "system.Markdown":
            assert place.read_text() == RESULT.markdown
        elif name != "executor-logs":
            assert said[name]["metadata"] == RESULT.metadata
            assert place in pod.paths or place.is_dir() or place.read_text() == RESULT.page


@pytest.mark.parametrize("path", captured())
def test_every_captured_input_passes_through_kfps_executor(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, task, given = as_captured(path, tmp_path)
    pod = Pod(package(pipeline), tmp_path, monkeypatch)
    name = pod.names[task]
    given = of_today(given, pod.graph.component(name))
    assert given["inputs"].get("artifacts", {}).keys() == pod.graph.component(name)["inputDefinitions"].get("artifacts", {}).keys()
    check(outputs(pod.run(name, given)), given, pod)


@pytest.mark.skipif(not CAPTURED.is_dir(), reason="needs the inputs captured on a live cluster in ../shared/cases/kfp")
def test_every_task_of_both_pipelines_was_captured(tmp_path: Path) -> None:
    found = {as_captured(path, tmp_path)[:2] for path in CAPTURED.glob("executor_input_*.json")}
    graphs = {pipeline: Graph(package(pipeline)) for pipeline in ("search", "transfer")}
    names = {(pipeline, graph.task(name)["taskInfo"]["name"]) for pipeline, graph in graphs.items() for name in graph.tasks()}
    assert found == names - {("search", "check"), ("transfer", "check")}, "the check came after the capture"


def sent(pod: Pod) -> dict[str, dict[str, Any]]:
    """What the rehearsal's driver sends to each task of a pipeline whose tasks end well, by the name that the UI shows."""
    filled = dict.fromkeys(pod.package["root"]["inputDefinitions"]["parameters"], "pkd")  # a text that also is a recipe
    filled |= {"epochs": 1, "gpus": 1, "settings": {}}
    driver, inputs = Driver(pod.package, filled, "minio://detkds/v2/artifacts"), {}
    for name in driver.tasks():
        execution = driver.execution(name, str(pod.disk))
        given = json.loads(execution.command[execution.command.index("--executor_input") + 1])
        said = pod.run(name, given)
        check(outputs(said), given, pod)
        driver.ended(name, execution, said)
        inputs[pod.graph.task(name)["taskInfo"]["name"]] = given
    return inputs


def outputs(said: Mapping[str, Any]) -> dict[str, Any]:
    """The output artifacts by name."""
    return {name: each["artifacts"][0] for name, each in said["artifacts"].items()}


@pytest.mark.parametrize("pipeline", ["search", "transfer"])
def test_what_the_rehearsals_driver_sends_passes_and_has_the_captured_form(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod(package(pipeline), tmp_path, monkeypatch)
    inputs = sent(pod)
    artifacts = [each["artifacts"][0] for given in inputs.values() for each in given["inputs"].get("artifacts", {}).values()]
    assert artifacts
    for artifact in artifacts:
        assert form(artifact) == form(ARTIFACT)
    for path in CAPTURED.glob("executor_input_*.json"):
        of, task, given = as_captured(path, tmp_path)
        if of == pipeline:
            assert {form(each["artifacts"][0]) for each in given["inputs"].get("artifacts", {}).values()} <= {form(ARTIFACT)}
            assert shape(inputs[task]) == shape(of_today(given, pod.graph.component(pod.names[task])))


def form(artifact: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the executor could read from an input artifact beside its address."""
    about = artifact["metadata"]
    session = json.loads(about["store_session_info"])
    return (
        tuple(sorted(artifact)), json.dumps(artifact["type"]), artifact["name"].isdigit(),
        about["display_name"] == artifact["uri"].rpartition("/")[2], tuple(session), session["Provider"],
    )  # fmt: skip


def shape(given: Mapping[str, Any]) -> dict[str, Any]:
    """An executor input without what differs from run to run: addresses, values, numbers and the stages' own metadata."""
    inputs, outputs = given["inputs"], given["outputs"]["artifacts"]
    return {
        "keys": (sorted(given), sorted(inputs), sorted(given["outputs"])),
        "inputs": {name: (list(each), len(each["artifacts"])) for name, each in inputs.get("artifacts", {}).items()},
        "outputs": {name: each["artifacts"][0] | {"uri": unnumbered(each["artifacts"][0]["uri"])} for name, each in outputs.items()},
        "file": Path(given["outputs"]["outputFile"]).name,
        "one folder": len({Path(each["artifacts"][0]["uri"]).parent for each in outputs.values()}) == 1,
        "added": {
            name.rpartition("-")[2] for name in inputs["parameterValues"] if name.startswith("pipelinechannel--") or name == "base_image"
        }
        - {"one_gpu"},  # of the evaluation, which asked for one whatever was filled in when the inputs were captured
    }


def unnumbered(uri: str) -> str:
    """The last part of an address; the logs' ends with the number of the attempt, which is not part of the form."""
    return re.sub(r"^(executor-logs)-\d+$", r"\1", Path(uri).name)


def test_an_optional_artifact_fails_on_what_the_driver_sends(tmp_path: Path) -> None:
    """The fault that no fake showed before: the class of the artifact is not named, and the annotation is none (docs/adr/0014)."""
    from typing import Optional

    from kfp import dsl
    from kfp.dsl.executor import Executor

    def train(recipe: Any = None) -> None:
        pass

    train.__annotations__ = {"recipe": Optional[dsl.Input[dsl.Artifact]], "return": None}  # noqa: UP045 - kfp reads this only
    given = {"inputs": {"artifacts": {"recipe": {"artifacts": [ARTIFACT]}}}, "outputs": {"outputFile": str(tmp_path / "said.json")}}
    with pytest.raises(TypeError, match=r"Cannot instantiate typing\.Union"):
        Executor(given, train)
