"""The rules for every task of a package, each a trap that somebody fell into; the reasons are with the rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from detkds.lint.limits import limits
from detkds.lint.package import Finding, Package, Task
from detkds.lint.pods import PODS
from detkds.lint.secrets import secrets

_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_INSTALL = re.compile(r"\bpip3?\s+install\b|\b(?:apt-get|apt|conda|uv pip|mamba)\s+install\b")
_MOVED = re.compile(r"\.uri\s*=[^=]")


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """How exactly an image must be named: by a version tag at least, or by its digest."""

    digest: bool = False


def examine(package: Package, arguments: Mapping[str, Any] | None = None, images: ImagePolicy | None = None) -> list[Finding]:
    """Every broken rule of a package.

    Args:
        package: the compiled pipeline.
        arguments: the arguments of the run by parameter; defaults fill what is missing.
        images: how exactly images must be named; by version where not given.
    """
    given, policy = arguments or {}, images or ImagePolicy()
    found = [*limits(package, given), *secrets(package, given), *_descriptions(package), *_optional(package)]
    for task in package.tasks():
        found += [*_image(package, task, given, policy), *_placeholders(task)]
        found += [Finding(rule, f"task {task.name}", message) for rule, check in {**TASKS, **PODS}.items() for message in check(task)]
    return found


def _image(package: Package, task: Task, arguments: Mapping[str, Any], policy: ImagePolicy) -> Iterator[Finding]:
    """The cache's key holds the image's name and not its content: under a name that moves, old results are taken for new ones."""
    image = package.resolved(task, str(task.container.get("image", "")), arguments)
    where = f"task {task.name}"
    tag = image.rpartition("/")[2].partition(":")[2]
    if policy.digest and not _DIGEST.fullmatch(image):
        yield Finding(
            "image", where, f"the image must be named by its digest, got {image!r}; give NAME@sha256:… as the registry reports it."
        )
    elif not _DIGEST.fullmatch(image) and tag in ("", "latest", "main", "master", "dev", "nightly"):
        yield Finding("image", where, f"the image must have a version tag or a digest, got {image!r}; name the version.")


def _placeholders(task: Task) -> Iterator[Finding]:
    """The driver reads the image and the resources of a pod as text: a parameter that is a number arrives there as the empty text."""
    accelerator = task.resources.get("accelerator", {})
    values = [task.container.get("image"), *task.resources.values(), *accelerator.values()]
    for value in values:
        parameter = task.given(value)
        if parameter and parameter.kind != "STRING":
            yield Finding("placeholder", f"task {task.name}", f"{value} sets the pod and must be a text parameter; declare it as str.")


def _descriptions(package: Package) -> Iterator[Finding]:
    """What a person sees in the form of the UI is a parameter's name, its type and its description."""
    for name, parameter in package.parameters.items():
        if not parameter.get("description"):
            yield Finding("described", f"parameter {name}", "a parameter must be described; add it to the docstring's Args.")


def _optional(package: Package) -> Iterator[Finding]:
    """The driver names no class for an artifact of another task, and KFP's executor cannot make one of `Optional[…]` (docs/adr/0014)."""
    for name, component in package.components.items():
        for artifact, described in component.get("inputDefinitions", {}).get("artifacts", {}).items():
            if described.get("isOptional"):
                message = f"the artifact {artifact} may not be optional, KFP's executor fails on it; make a component without it."
                yield Finding("optional-artifact", f"component {name.removeprefix('comp-')}", message)


def _no_install(task: Task) -> Iterator[str]:
    """What is installed when a pod starts is another thing every day, and fails without a network."""
    text = "\n".join(map(str, [*task.container.get("command", []), *task.container.get("args", [])]))
    if found := _INSTALL.search(text):
        yield f"nothing may be installed at run time, but the command has {found.group()!r}; put it into the image."


def _loops(task: Task) -> Iterator[str]:
    """KFP drops the retry policy of a task inside ParallelFor (kubeflow/pipelines#12389, #13897)."""
    if task.in_loop and "retryPolicy" in task.spec:
        yield "set_retry has no effect inside dsl.ParallelFor; unroll the loop in Python."


def _cache(task: Task) -> Iterator[str]:
    """The backend of 2.17 ignores a cache key of one's own."""
    if task.spec.get("cachingOptions", {}).get("cacheKey"):
        yield "a cache key is ignored by the backend of KFP 2.17; make its meaning a parameter of the task."


def _moved_artifact(task: Task) -> Iterator[str]:
    """An artifact put elsewhere by its component works on a laptop; the launcher on a cluster refuses addresses outside the run's root."""
    if _MOVED.search("\n".join(map(str, task.container.get("command", [])))):
        yield "a component may not assign an artifact's uri; write to its path."


def _secret_name(task: Task) -> Iterator[str]:
    """The name of a Secret taken from a parameter is lost on backends before 2.17 (kubeflow/pipelines#13128)."""
    sources = [*task.settings.get("secretAsEnv", []), *task.settings.get("secretAsVolume", [])]
    if any(name and "runtimeValue" not in name for name in (source.get("secretNameParameter") for source in sources)):
        yield "the name of a Secret must be fixed when the pipeline is compiled; give it as a text."


TASKS: Mapping[str, Callable[[Task], Iterator[str]]] = {
    "install": _no_install,
    "loop": _loops,
    "cache-key": _cache,
    "artifact": _moved_artifact,
    "secret-name": _secret_name,
}
