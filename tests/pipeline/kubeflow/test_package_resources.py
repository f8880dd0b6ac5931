"""A run.yaml's resources in the package: whatever is asked, the rules for pods are kept."""

from __future__ import annotations

import json

import pytest

from detkds.lint import Package, examine
from detkds.lint.pods import CPUS_ANNOTATION, HOME, NODE_ANNOTATION
from detkds.pipeline.kubeflow.nodes import job
from detkds.pipeline.kubeflow.package import NODE, SEARCH, TRAIN, compiled
from detkds.pipeline.kubeflow.resources import node_of, with_resources
from detkds.pipeline.kubeflow.schema import unknown
from detkds.pipeline.run_config import Resources
from detkds.pipeline.task import RUN
from detkds.storage.image_cache import CACHE_GB


@pytest.mark.parametrize(
    "resources",
    [
        Resources(),
        Resources(gpus=0, memory_gb=4),  # a laptop: 4 GB are less than the 16 that a task asks for and the 8 of its /dev/shm
        Resources(gpus=8, memory_gb=512, cache_gb=200, node_selector={"pool": "a100"}, queue="gpu"),
    ],
)
def test_any_resources_break_no_rule(resources: Resources) -> None:
    package = Package.parse(with_resources(compiled("transfer"), resources, iter(["coco"]), run="blood"))
    assert examine(package) == []
    assert unknown(package) == []


def test_the_pods_of_a_named_run_tell_its_name_and_those_of_another_its_id() -> None:
    """By the pods' metadata alone: a task's inputs and variables are part of the key of KFP's cache."""
    plain = compiled("transfer")
    named = with_resources(plain, Resources(queue="gpu"), (), run="blood")
    pipelines = [Package.parse(text).pipeline for text in (plain, named)]
    assert pipelines[0] == pipelines[1]
    for text, path in ((plain, "metadata.labels['pipeline/runid']"), (named, "metadata.labels['detkds/run']")):
        for task in Package.parse(text).tasks():
            assert [entry["fieldPath"] for entry in task.settings["fieldPathAsEnv"] if entry["name"] == RUN] == [path]
    for task in Package.parse(named).tasks():
        assert task.settings["podMetadata"]["labels"] == {"detkds/run": "blood", "kueue.x-k8s.io/queue-name": "gpu"}


@pytest.mark.parametrize(("resources", "gb"), [(Resources(), (50, 60)), (Resources(cache_gb=200, memory_gb=8), (200, 210))])
def test_every_task_has_more_room_on_its_disk_than_images_to_keep(resources: Resources, gb: tuple[int, int]) -> None:
    for task in Package.parse(with_resources(compiled("transfer"), resources, ())).tasks():
        assert {"name": CACHE_GB, "fieldPath": "metadata.annotations['detkds/cache-gb']"} in task.settings["fieldPathAsEnv"]
        assert task.settings["podMetadata"]["annotations"]["detkds/cache-gb"] == str(gb[0])
        assert [mount["sizeLimit"] for mount in task.settings["emptyDirMounts"] if mount["mountPath"] == HOME] == [f"{gb[1]}G"]


def test_a_claim_that_the_package_mounts_already_is_mounted_once() -> None:
    once = with_resources(compiled("transfer"), Resources(), ["coco"])
    for task in Package.parse(with_resources(once, Resources(), ["coco", "more"])).tasks():
        assert [mount["mountPath"] for mount in task.settings["pvcMount"]] == ["/data/coco", "/data/more"]


def test_a_small_limit_lowers_what_is_asked_for() -> None:
    package = Package.parse(with_resources(compiled("transfer"), Resources(memory_gb=4), iter([])))
    (task,) = [task for task in package.tasks() if task.name == "evaluate"]
    assert [task.resources[f"resourceMemory{end}"] for end in ("Request", "Limit")] == ["4G", "4G"]
    assert task.settings["emptyDirMounts"][0]["sizeLimit"] == "2000M"


@pytest.mark.parametrize("pipeline", ["search", "transfer"])
def test_tasks_whose_work_is_done_on_several_nodes_ask_for_no_gpu_and_know_what_nodes_need(
    pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = Resources(gpus=8, memory_gb=128, node_selector={"pool": "a100"}, queue="gpu")
    package = Package.parse(with_resources(compiled(pipeline), resources, iter(["coco"]), nodes={TRAIN: 2, **dict.fromkeys(SEARCH, 3)}))
    assert examine(package) == []
    tasks = {task.name: task for task in package.tasks()}
    assert "accelerator" in tasks["evaluate"].resources
    searches = ["evolve-global", "weights"] if pipeline == "search" else []
    for name in ("train-baseline", "train-distilled", *searches):
        assert "accelerator" not in tasks[name].resources
        monkeypatch.setenv(NODE, tasks[name].settings["podMetadata"]["annotations"][NODE_ANNOTATION])
        monkeypatch.setenv(CACHE_GB, "200")
        asked = job("name", "s3://detkds/work/name", nodes=2, gpus=8, image="image")
        assert (asked.node_selector, asked.claims, asked.queue) == ({"pool": "a100"}, ("coco",), "gpu")
        assert (asked.cpu, asked.memory, asked.memory_limit, asked.shm) == ("4", "16G", "128G", "8Gi")  # as the package has them
        assert tasks[name].resources["resourceCpuRequest"] == "500m"  # it only follows
        assert (asked.disk, asked.home, asked.environment[CACHE_GB]) == ("210G", HOME, "200")


@pytest.mark.parametrize("pipeline", ["search", "transfer"])
def test_a_package_says_of_nodes_what_it_says_of_its_tasks(pipeline: str) -> None:
    """Also where `train_nodes` is filled in by hand: the annotation that is compiled is what would be read from the settings."""
    for task in Package.parse(compiled(pipeline)).tasks():
        if task.on_gpu:
            assert json.loads(task.settings["podMetadata"]["annotations"][NODE_ANNOTATION]) == node_of(task.resources, task.settings)
            assert {"name": NODE, "fieldPath": f"metadata.annotations['{NODE_ANNOTATION}']"} in task.settings["fieldPathAsEnv"]


def test_cpus_memory_and_shared_memory_of_a_run_reach_every_task() -> None:
    package = Package.parse(with_resources(compiled("search"), Resources(gpus=0, cpu=0.5, memory_gb=2, shm_gb=1), ()))
    assert examine(package) == []
    for task in package.tasks():
        asked = task.resources
        assert (asked["cpuRequest"], asked["resourceCpuRequest"]) == (0.5, "0.5")
        assert (asked["resourceMemoryRequest"], asked["resourceMemoryLimit"]) == ("2G", "2G")
        assert task.settings["podMetadata"]["annotations"][CPUS_ANNOTATION] == "0.5"
        sizes = {mount["mountPath"]: mount["sizeLimit"] for mount in task.settings["emptyDirMounts"]}
        assert sizes.get("/dev/shm", "1G") == "1G"


def test_a_task_without_a_gpu_asks_for_no_more_than_it_did() -> None:
    package = Package.parse(with_resources(compiled("transfer"), Resources(cpu=16, memory_gb=256), ()))
    asked = {task.name: task.resources for task in package.tasks()}
    assert (asked["subset"]["resourceCpuRequest"], asked["subset"]["resourceMemoryLimit"]) == ("2", "16G")
    assert (asked["evaluate"]["resourceCpuRequest"], asked["evaluate"]["resourceMemoryLimit"]) == ("16", "256G")
