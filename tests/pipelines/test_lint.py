"""The lint of compiled pipelines: silent on ours, and each rule catches a package that breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from detkds.errors import ConfigError
from detkds.lint import ImagePolicy, Package, examine
from detkds.lint.limits import workflow_bytes
from detkds.lint.pods import quantity

DIGEST = "registry.example.org/team/detkds@sha256:" + "0" * 64
Documents = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def original() -> Documents:
    text = (files("detkds") / "compiled" / "transfer.yaml").read_text()
    pipeline, platform = yaml.safe_load_all(text)
    return pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@pytest.fixture
def package(original: Documents) -> Package:
    pipeline, executors = copy.deepcopy(original)
    return Package("", pipeline, executors)


def task(package: Package, name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [entry for entry in package.pipeline["root"]["dag"]["tasks"].values() if entry["taskInfo"]["name"] == name]
    return found


def container(package: Package) -> dict[str, Any]:
    """The container of the task evaluate, which asks for a GPU."""
    found: dict[str, Any] = package.pipeline["deploymentSpec"]["executors"]["exec-evaluate"]["container"]
    return found


def settings(package: Package) -> dict[str, Any]:
    found: dict[str, Any] = package.platform["exec-evaluate"]
    return found


def parameters(package: Package) -> dict[str, Any]:
    found: dict[str, Any] = package.pipeline["root"]["inputDefinitions"]["parameters"]
    return found


def parameter(package: Package, name: str) -> dict[str, Any]:
    found: dict[str, Any] = parameters(package)[name]
    return found


def artifact(package: Package, component: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = package.pipeline["components"][component]["inputDefinitions"]["artifacts"][name]
    return found


def rules(package: Package, **options: Any) -> set[str]:
    return {finding.rule for finding in examine(package, **options)}


@pytest.mark.parametrize("name", ["search", "transfer"])
def test_our_pipelines_break_no_rule(name: str) -> None:
    assert examine(Package.parse((files("detkds") / "compiled" / f"{name}.yaml").read_text())) == []


def in_a_loop(package: Package) -> None:
    """The task evaluate, with its retries, inside a ParallelFor."""
    tasks = package.pipeline["root"]["dag"]["tasks"]
    container(package)["resources"]["accelerator"]["resourceCount"] = "1"  # what check makes is outside of the loop
    package.pipeline["components"]["comp-for-loop-1"] = {"dag": {"tasks": {"evaluate": tasks.pop("evaluate")}}}
    tasks["for-loop-1"] = {
        "componentRef": {"name": "comp-for-loop-1"},
        "inputs": {"parameters": {"image": {"componentInputParameter": "image"}}},
        "parameterIterator": {"itemInput": "x", "items": {"raw": "[1]"}},
    }


def gpus_as_number(package: Package) -> None:
    """The number of GPUs as the task check could hand it on."""
    package.pipeline["components"]["comp-check"]["outputDefinitions"]["parameters"]["gpus"]["parameterType"] = "NUMBER_INTEGER"


def gpus_of_the_form(package: Package) -> None:
    """The number of GPUs as it is filled in, which is a number."""
    inputs = task(package, "train-baseline")["inputs"]["parameters"]
    inputs["pipelinechannel--check-gpus"] = {"componentInputParameter": "gpus"}


def optional_of_the_pipeline(package: Package) -> None:
    described = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}, "isOptional": True}
    package.pipeline["root"]["inputDefinitions"]["artifacts"] = {"study": described}


def many_tasks(package: Package) -> None:
    training = task(package, "train-baseline")
    package.pipeline["root"]["dag"]["tasks"] |= {f"train-{number}": training for number in range(150)}


BREAKS: dict[str, tuple[str, Callable[[Package], Any]]] = {
    "image without a tag": ("image", lambda p: container(p).update(image="detkds")),
    "image that moves": ("image", lambda p: container(p).update(image="registry.example.org:5000/detkds:latest")),
    "image parameter without a tag": ("image", lambda p: parameter(p, "image").update(defaultValue="detkds")),
    "image parameter without a default": ("image", lambda p: parameter(p, "image").pop("defaultValue")),
    "gpus as a number": ("placeholder", gpus_as_number),
    "gpus of the form": ("placeholder", gpus_of_the_form),
    "image as a number": ("placeholder", lambda p: parameter(p, "image").update(parameterType="NUMBER_INTEGER")),
    "pip at run time": ("install", lambda p: container(p)["command"].insert(0, "python3 -m pip install kfp==2.17.0 --no-deps")),
    "apt at run time": ("install", lambda p: container(p).update(args=["apt-get install -y git"])),
    "own cache key": ("cache-key", lambda p: task(p, "evaluate")["cachingOptions"].update(cacheKey="mine")),
    "retry in a loop": ("loop", in_a_loop),
    "artifact put elsewhere": ("artifact", lambda p: container(p)["command"].append("model.uri = 's3://elsewhere/model'")),
    "secret named by a parameter": (
        "secret-name",
        lambda p: settings(p)["secretAsEnv"][0].update(secretNameParameter={"componentInputParameter": "secret"}),
    ),
    "optional artifact": ("optional-artifact", lambda p: artifact(p, "comp-train", "subset").update(isOptional=True)),
    "optional artifact of the pipeline": ("optional-artifact", optional_of_the_pipeline),
    "no memory limit": ("resources", lambda p: container(p)["resources"].pop("resourceMemoryLimit")),
    "request above the limit": ("resources", lambda p: container(p)["resources"].update(resourceMemoryRequest="65G")),
    "accelerator of old backends only": ("resources", lambda p: container(p)["resources"]["accelerator"].pop("resourceCount")),
    "no shared memory": ("shared-memory", lambda p: settings(p)["emptyDirMounts"].pop(0)),
    "shared memory on disk": ("shared-memory", lambda p: settings(p)["emptyDirMounts"][0].pop("medium")),
    "shared memory without a limit": ("shared-memory", lambda p: settings(p)["emptyDirMounts"][0].pop("sizeLimit")),
    "shared memory beyond the limit": ("shared-memory", lambda p: settings(p)["emptyDirMounts"][0].update(sizeLimit="64Gi")),
    "no folder on the disk": ("disk", lambda p: settings(p)["emptyDirMounts"].pop(1)),
    "folder without a limit": ("disk", lambda p: settings(p)["emptyDirMounts"][1].pop("sizeLimit")),
    "images without a bound": ("disk", lambda p: settings(p).pop("podMetadata")),
    "images beyond the limit": ("disk", lambda p: settings(p)["podMetadata"]["annotations"].update({"detkds/cache-gb": "60"})),
    "no toleration": ("toleration", lambda p: settings(p).pop("tolerations")),
    "no deadline": ("timeout", lambda p: settings(p).pop("activeDeadlineSeconds")),
    "no retry": ("retry", lambda p: task(p, "evaluate").pop("retryPolicy")),
    "window of an hour": ("retry", lambda p: task(p, "evaluate")["retryPolicy"].pop("backoffMaxDuration")),
    "window of two attempts": ("retry", lambda p: task(p, "evaluate")["retryPolicy"].update(backoffMaxDuration=f"{2 * 72 * 3600}s")),
    "broken factor": ("retry", lambda p: task(p, "evaluate")["retryPolicy"].update(backoffFactor=1.5)),
    "root": ("identity", lambda p: settings(p)["securityContext"].update(runAsUser="0")),
    "any user": ("identity", lambda p: settings(p).pop("securityContext")),
    "undescribed parameter": ("described", lambda p: parameter(p, "epochs").pop("description")),
    "secret in the environment": ("secret", lambda p: container(p).update(env=[{"name": "S3_SECRET_KEY", "value": "x"}])),
    "secret as a default": (
        "secret",
        lambda p: parameters(p).update(token={"description": "a token", "defaultValue": "x", "parameterType": "STRING"}),
    ),
    "heavy default": ("size", lambda p: parameter(p, "recipe").update(defaultValue="x" * 10_001)),
    "heavy package": ("size", lambda p: container(p)["command"].append("x" * 256_001)),
    "too many tasks": ("size", many_tasks),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_rule_catches_what_breaks_it_and_nothing_else_does(name: str, package: Package) -> None:
    rule, breaking = BREAKS[name]
    breaking(package)
    assert rules(package) == {rule}


def test_every_rule_is_shown_to_catch_something() -> None:
    from detkds.lint.pods import PODS
    from detkds.lint.rules import TASKS

    assert {rule for rule, _ in BREAKS.values()} >= {
        *TASKS,
        *PODS,
        "image",
        "placeholder",
        "described",
        "optional-artifact",
        "secret",
        "size",
    }


def test_what_the_dsl_compiles_an_optional_artifact_to_is_refused(tmp_path: Path) -> None:
    """The rule reads what kfp writes, not what this file believes that it writes."""
    from kfp import compiler
    from optional_artifact import pipeline

    compiler.Compiler().compile(pipeline, str(tmp_path / "late.yaml"))
    found = [each for each in examine(Package.parse((tmp_path / "late.yaml").read_text())) if each.rule == "optional-artifact"]
    assert [(each.where, "the artifact study may not be optional" in each.message) for each in found] == [("component late", True)]


CANARIES = {
    "a private key": "-----BEGIN RSA PRIVATE KEY-----",
    "an access key of AWS": "AKIA" + "A" * 16,
    "a token of GitHub": "ghp_" + "a" * 36,
    "a token of GitLab": "glpat-" + "a" * 20,
    "a JSON web token": "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.abcdefghijk",
    "a key of a service account": '"type": "service_account"',
    "a password in an address": "s3://user:word@store/bucket",
    "the well-known key of MinIO": "minio123",
}


@pytest.mark.parametrize("kind", CANARIES)
def test_secrets_are_found_in_the_text_with_their_line_and_are_not_repeated(kind: str, package: Package) -> None:
    found = examine(Package(f"a: 1\nb: {CANARIES[kind]}\n", package.pipeline, package.platform))
    assert [(finding.rule, finding.where) for finding in found] == [("secret", "package")]
    assert f"line 2 holds what looks like {kind}" in found[0].message
    assert CANARIES[kind] not in str(found[0])


def test_secrets_are_found_in_the_arguments_of_a_run(package: Package) -> None:
    (finding,) = examine(package, {"dataset": "https://user:word@example.org/coco"})
    assert (finding.rule, finding.where) == ("secret", "argument dataset")


def test_a_digest_is_demanded_where_the_policy_says_so(package: Package) -> None:
    strict = ImagePolicy(digest=True)
    assert rules(package, images=strict) == {"image"}
    assert rules(package, images=strict, arguments={"image": DIGEST}) == {"image"}, "light_image is named by its version"
    assert rules(package, images=strict, arguments={"image": DIGEST, "light_image": DIGEST}) == set()


def test_the_arguments_of_a_run_count_towards_the_limit(package: Package) -> None:
    (finding,) = examine(package, {"recipe": "x" * 10_000})
    assert (finding.rule, finding.where) == ("size", "arguments")


def test_the_size_of_a_workflow_counts_every_task_twice() -> None:
    container = {"command": ["sh"]}
    pipeline = {
        "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp"}}}}},
        "components": {"comp": {"executorLabel": "exec"}},
        "deploymentSpec": {"executors": {"exec": {"container": container}}},
    }
    # two copies of [{"componentRef": {"name": "comp"}}, {"command": ["sh"]}, {}]: 34 + 19 + 2, two times ", " and brackets
    assert workflow_bytes(Package("", pipeline)) == 2 * (34 + 19 + 2 + 4 + 2)


@pytest.mark.parametrize(
    ("text", "number"), [("8Gi", 8 * 2**30), ("64G", 64e9), ("1.5Mi", 1.5 * 2**20), ("100", 100), ("1.2.3G", 0), ("{{$.x}}", 0), ("", 0)]
)
def test_quantities_of_kubernetes(text: str, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("", "got 0 documents"),
        ("- 1", "got 1 documents"),
        ("a: 1\n---\nb: 1\n---\nc: 1", "got 3"),
        ("a: 1", "root"),
    ],
)
def test_what_is_no_package_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        Package.parse(text)
    assert "\n" not in str(error.value)
