"""Sizes that a cluster refuses, or that make it slow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from detkds.lint.package import Finding, Package

PARAMETER_BYTES = 10_000
"""The API server's MAX_PARAMETER_BYTES, for all arguments of a run (kubeflow/pipelines#12510)."""
PACKAGE_BYTES = 256_000
"""Above it runs of single pipelines were refused (kubeflow/pipelines#9837, #10968)."""
WORKFLOW_BYTES = 1_000_000
"""etcd refuses objects of 1.5 MB; the workflow grows while it runs."""


def limits(package: Package, arguments: Mapping[str, Any]) -> Iterator[Finding]:
    """Sizes of the arguments, the package and the workflow that comes of it."""
    defaults = {name: parameter["defaultValue"] for name, parameter in package.parameters.items() if "defaultValue" in parameter}
    size = len(json.dumps({**defaults, **arguments}).encode())
    if size > PARAMETER_BYTES:
        yield _too_large("arguments", size, PARAMETER_BYTES, "pass heavy values as artifacts")
    size = len(json.dumps(package.pipeline, separators=(",", ":")).encode())
    if size > PACKAGE_BYTES:
        yield _too_large("package", size, PACKAGE_BYTES, "make fewer tasks, or shorter components")
    size = workflow_bytes(package)
    if size > WORKFLOW_BYTES:
        yield _too_large("workflow", size, WORKFLOW_BYTES, "make fewer tasks, or shorter components")


def workflow_bytes(package: Package) -> int:
    """About how large the Workflow object becomes: specification, settings and, for each task, a driver and an executor node.

    A node of the status holds the task's resolved inputs and the patch of its pod, which repeats the component's command.
    """
    size = len(package.text.encode())
    for task in package.tasks():
        size += 2 * len(json.dumps([task.spec, task.container, task.settings], default=str).encode())
    return size


def _too_large(what: str, size: int, limit: int, remedy: str) -> Finding:
    return Finding("size", what, f"must be at most {limit} bytes, got {size}; {remedy}.")
