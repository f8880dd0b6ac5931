"""Packages with resources of one's own: `python -m pipelines.compile --out …`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from detkds.lint import ImagePolicy, Package, examine
from detkds.lint.pods import HOME
from detkds.pipeline.kubeflow.resources import node_of

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "registry.example.org/team/detkds@sha256:" + "1" * 64
OPTIONS = {
    "image": IMAGE, "light-image": IMAGE, "gpus": "4", "gpu-product": "NVIDIA-H100-80GB-HBM3", "memory-limit": "128Gi", "shm": "32Gi",
    "cache-gb": "100",
    "timeout-h": "24", "retries": "4", "user": "2000", "store-secret": "team-s3", "data-volume": "coco", 
    "pull-secret": "registry", "queue": "gpu",
}  # fmt: skip


def compiling(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipelines.compile", *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("mine")
    result = compiling("--out", str(folder), *[word for name, value in OPTIONS.items() for word in (f"--{name}", value)])
    assert result.returncode == 0, result.stderr
    return Package.parse((folder / "transfer.yaml").read_text())


def settings(package: Package, name: str) -> dict[str, Any]:
    found: dict[str, Any] = package.platform[f"exec-{name}"]
    return found


def test_what_was_chosen_breaks_no_rule(package: Package) -> None:
    assert examine(package, images=ImagePolicy(digest=True)) == []


def test_images_and_gpus_are_defaults_of_the_form(package: Package) -> None:
    assert [package.parameters[name]["defaultValue"] for name in ("image", "light_image", "gpus")] == [IMAGE, IMAGE, 4]


def test_a_task_with_a_gpu_gets_all_of_it(package: Package) -> None:
    found = settings(package, "train")
    assert found["nodeSelector"] == {"labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}
    assert found["podMetadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "gpu"}
    assert [(mount["mountPath"], mount["sizeLimit"]) for mount in found["emptyDirMounts"]] == [("/dev/shm", "32Gi"), (HOME, "110G")]
    annotations = found["podMetadata"]["annotations"]
    assert (annotations["detkds/cache-gb"], annotations["detkds/cpus"]) == ("100", "4")
    assert json.loads(annotations["detkds/node"]) == node_of(
        package.pipeline["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"], found
    )
    assert found["pvcMount"][0]["mountPath"] == "/data/coco"
    assert found["pvcMount"][0]["constant"] == "coco"
    assert found["imagePullSecret"][0]["secretName"] == "registry"
    assert found["secretAsEnv"][0]["secretName"] == "team-s3"
    assert found["securityContext"] == {"runAsUser": "2000", "runAsGroup": "2000", "runAsNonRoot": True}
    assert found["activeDeadlineSeconds"] == str(24 * 3600)
    (task,) = [task for task in package.tasks() if task.name == "train-distilled"]
    assert task.resources["accelerator"]["resourceCount"] == "{{$.inputs.parameters['pipelinechannel--check-gpus']}}"
    assert task.resources["resourceMemoryLimit"] == "128Gi"
    # five attempts of a day, and a day of waiting
    assert task.spec["retryPolicy"]["maxRetryCount"] == 4
    assert task.spec["retryPolicy"]["backoffMaxDuration"] == f"{6 * 24 * 3600}s"


def test_a_task_without_a_gpu_gets_the_volume_and_waits_in_no_queue(package: Package) -> None:
    found = settings(package, "subset")
    assert "pvcMount" in found
    assert not {"nodeSelector", "tolerations"} & found.keys()
    assert "labels" not in found["podMetadata"]
    assert [mount["mountPath"] for mount in found["emptyDirMounts"]] == [HOME]


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.light"])
def test_the_images_keep_their_files_where_tasks_have_room(name: str) -> None:
    assert f"DETKDS_HOME={HOME} " in (ROOT / "images" / name).read_text()


def test_every_field_is_an_option_with_its_description() -> None:
    from pipelines.resources import Resources

    shown = compiling("--help").stdout
    for field in fields(Resources):
        assert f"--{field.name.replace('_', '-')} " in shown


@pytest.mark.parametrize("arguments", [("--gpu-product", "A100"), ("--check", "--shm", "1Gi"), ("--check", "--out", "x", "--shm", "1Gi")])
def test_the_committed_packages_hold_the_defaults_only(arguments: tuple[str, ...]) -> None:
    result = compiling(*arguments)
    assert result.returncode == 1
    assert "--out" in result.stderr
