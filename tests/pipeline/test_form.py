"""The form of the pipelines: what a person fills in becomes what the stages are told, and every fault is said at once."""

from __future__ import annotations

import io
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detkds.errors import ConfigError
from detkds.lint import Package
from detkds.pipeline.form import FIELDS, Form
from detkds.pipeline.kubeflow import plans
from detkds.pipeline.kubeflow.package import compiled
from detkds.pipeline.run import parameters
from detkds.pipeline.run_config import RunConfig, load
from detkds.pipeline.values import Values
from detkds.storage import open_store
from detkds.storage.server import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]
FORM = Form("blood", "s3://detkds/data", "retinanet_r101_fpn_1x_coco", "s3://detkds/t.pth", "retinanet_r50_fpn_1x_coco", "s3://detkds/runs")


def filled(**given: Any) -> Values:
    return replace(FORM, **given).values()


@pytest.mark.parametrize("name", ["coco", "bccd", "bccd-few", "bccd-unlabelled", "masks"])
def test_a_run_yaml_goes_through_the_form_and_comes_back_the_same(name: str) -> None:
    path = ROOT / "examples" / f"{name}.yaml"
    try:
        config = load(path)
    except ConfigError as error:
        pytest.skip(f"the example names files that are not here: {str(error).splitlines()[0]}")
    values = Values.read(parameters(config, "teacher", "s3://detkds/t.pth", "student", "s3://detkds/runs", version="1"))
    sent = json.loads(json.dumps(Form.of(values).parameters()), parse_int=float)  # KFP's structures know no whole numbers
    sent |= {"epochs": int(sent["epochs"]), "gpus": int(sent["gpus"])}
    assert Form(**sent).values() == values


def test_every_value_has_a_place_in_run_yaml_and_a_stage() -> None:
    for each in fields(Values):
        assert each.metadata["stages"], each.name
        node: Any = RunConfig
        for step in each.metadata["place"].split(".") if each.metadata["place"] else ():
            node = node.model_fields[step].annotation
            node = next((kind for kind in getattr(node, "__args__", ()) if hasattr(kind, "model_fields")), node)
    assert {each.name for each in fields(Values)} >= set(FIELDS)


@pytest.mark.parametrize(
    ("budget", "settings", "population", "iterations", "weights"),
    [
        ("paper-20", {}, 20, 20, 40),
        ("paper-40", {}, 20, 40, 40),
        ("paper-20", {"search": {"iterations": 3, "weights": {"iterations": 1}}}, 20, 3, 1),
        ('{"population": 6, "iterations": 2}', {}, 6, 2, 40),
    ],
)
def test_a_budget_is_a_word_or_numbers_and_the_settings_go_over_it(
    budget: str, settings: dict[str, Any], population: int, iterations: int, weights: int
) -> None:
    values = filled(budget=budget, settings=settings)
    assert (values.population, values.iterations, values.weights_iterations) == (population, iterations, weights)


def test_unfinished_work_lies_beside_the_results_unless_the_settings_say_otherwise() -> None:
    assert filled().work == "s3://detkds/work"
    assert filled(results="out").work == ""
    assert filled(settings={"store": {"work": "s3://other/work"}}).work == "s3://other/work"


def test_every_fault_is_one_line_with_the_name_of_its_field() -> None:
    settings = {
        "search": {"top_k": 0, "populaton": 3}, "resources": {"memory_gb": 8}, "teacher": {}, "data": {"root": "x"}, "serach": {},
        "store": {"bucket": "b"},
    }  # fmt: skip
    with pytest.raises(ConfigError) as error:
        filled(run_name="Blood Cells", epochs=0, budget="quik", settings=settings)
    lines = str(error.value).splitlines()
    for words in (
        "budget: ",
        "run_name: ",
        "epochs: ",
        "settings.search.top_k: ",
        "settings.search.populaton: unknown key 'populaton': did you mean population?",
        "settings.resources: KFP fixes what a task asks for when a package is compiled: compile one",
        "settings.teacher: has parameters of its own",
        "settings.data.root: is the parameter dataset; leave out one of the two",
        "settings.store.bucket: is the parameter results; leave out one of the two",
        "settings.serach: unknown key 'serach': did you mean search?",
    ):
        assert [line for line in lines if line.startswith(words)], f"{words!r} is not in {lines}"


def test_a_number_of_trainings_is_planned_and_a_time_is_not() -> None:
    assert filled(budget="200 trainings").population > filled(budget="60 trainings").population
    with pytest.raises(ConfigError, match="budget: 2 h is a time, and no training was measured yet"):
        filled(budget="2 h")


def test_the_check_says_what_is_not_in_the_store_and_divides_the_values(
    s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    store = open_store("s3://form")
    store.ensure_bucket()
    form = replace(FORM, dataset="s3://form/data", teacher_checkpoint="s3://form/t.pth", gpus=4)
    store.put_bytes(b"", "data/annotations/instances_train2017.json")
    with pytest.raises(ConfigError) as error:
        plans.run(form)
    assert [line.partition(" does not exist")[0] for line in str(error.value).splitlines()] == [
        "dataset: s3://form/data/annotations/instances_val2017.json", "teacher_checkpoint: s3://form/t.pth",
    ]  # fmt: skip
    for name in ("train", "val"):
        image = {"id": 1, "file_name": f"{name}.png", "width": 8, "height": 8}
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}
        data = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "cell"}]}
        store.put_bytes(json.dumps(data).encode(), f"data/annotations/instances_{name}2017.json")
        store.put_bytes(b"a picture", f"data/{name}2017/{name}.png")
    store.put_bytes(b"", "t.pth")
    with pytest.raises(ConfigError, match=r"^teacher: the checkpoint .* is not plain weights: it is empty; save it again"):
        plans.run(form)
    weights = io.BytesIO()
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(1), "bbox_head.gfl_cls.weight": torch.zeros(80, 1, 3, 3)}}, weights)
    store.put_bytes(weights.getvalue(), "t.pth")
    with pytest.raises(
        ConfigError, match=r"the teacher checkpoint s3://form/t\.pth distinguishes 80 classes, the data set has 1; give weights"
    ):
        plans.run(form)
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(1)}}, weights := io.BytesIO())
    store.put_bytes(weights.getvalue(), "t.pth")
    found = plans.run(form)
    assert "[check] blood: the parameters are valid, and data and checkpoints were found" in capsys.readouterr().out
    assert (found.gpus, found.one_gpu) == ("4", "1")
    told = {"run_name": "blood", "results": "s3://detkds/runs", "teacher_checkpoint": "s3://form/t.pth", "plugins": ""}
    assert found.report == {**told, "work": "s3://detkds/work"}
    assert "epochs" not in found.subset | found.evolve, "another number of epochs draws and searches nothing anew"


def test_without_gpus_no_task_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation asked for one whatever the form said, and waited for ever on a cluster without GPUs."""
    for pipeline in ("search", "transfer"):
        tasks = {task.name: task for task in Package.parse(compiled(pipeline)).tasks()}
        counts = {name: task.resources["accelerator"]["resourceCount"] for name, task in tasks.items() if task.on_gpu}
        assert counts.pop("evaluate") == "{{$.inputs.parameters['pipelinechannel--check-one_gpu']}}"
        assert all("gpus']}}" in count for count in counts.values())
    monkeypatch.setattr("detkds.pipeline.stored_inputs.faults", lambda values: [])
    assert plans.run(replace(FORM, gpus=0))[:2] == ("0", "0")
    assert plans.run(replace(FORM, gpus=8))[:2] == ("8", "1")
