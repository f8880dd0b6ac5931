"""A run.yaml's resources in the package: whatever is asked, the rules for pods are kept."""

from __future__ import annotations

import pytest

from detkds.config import Resources
from detkds.kubeflow.nodes import job
from detkds.kubeflow.package import NODE, compiled, with_resources
from detkds.lint import Package, examine


@pytest.mark.parametrize(
    "resources",
    [
        Resources(),
        Resources(gpus=0, memory_gb=4),  # a laptop: 4 GB are less than the 16 that a task asks for and the 8 of its /dev/shm
        Resources(gpus=8, memory_gb=512, node_selector={"pool": "a100"}, queue="gpu"),
    ],
)
def test_any_resources_break_no_rule(resources: Resources) -> None:
    package = Package.parse(with_resources(compiled("transfer"), resources, iter(["coco"])))
    assert examine(package) == []


def test_a_small_limit_lowers_what_is_asked_for() -> None:
    package = Package.parse(with_resources(compiled("transfer"), Resources(memory_gb=4), iter([])))
    (task,) = [task for task in package.tasks() if task.name == "evaluate"]
    assert [task.resources[f"resourceMemory{end}"] for end in ("Request", "Limit")] == ["4G", "4G"]
    assert task.settings["emptyDirMounts"][0]["sizeLimit"] == "2000M"


@pytest.mark.parametrize("pipeline", ["search", "transfer"])
def test_the_tasks_of_a_training_on_several_nodes_ask_for_no_gpu_and_know_what_nodes_need(
    pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = Resources(gpus=8, memory_gb=128, node_selector={"pool": "a100"}, queue="gpu")
    package = Package.parse(with_resources(compiled(pipeline), resources, iter(["coco"]), train_nodes=2))
    assert examine(package) == []
    tasks = {task.name: task for task in package.tasks()}
    assert "accelerator" in tasks["evaluate"].resources
    for name in ("train-baseline", "train-distilled"):
        assert "accelerator" not in tasks[name].resources
        (value,) = [entry["value"] for entry in tasks[name].container["env"] if entry["name"] == NODE]
        monkeypatch.setenv(NODE, value)
        asked = job("name", "s3://detkds/work/name", nodes=2, gpus=8, image="image")
        assert (asked.node_selector, asked.claims, asked.queue) == ({"pool": "a100"}, ("coco",), "gpu")
        assert (asked.memory, asked.memory_limit, asked.shm) == ("128G", "128G", "32000M")
