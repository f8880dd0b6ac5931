"""`make kind`: a sound script, whose lines are those of docs/install.md, most of them seen to work on a live cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from detkds.lint import Package, examine
from detkds.pipeline.kubeflow.package import compiled
from detkds.pipeline.kubeflow.resources import with_resources
from detkds.pipeline.run_config import Resources
from manifests.check import FOLDER, documents, pods, render

SCRIPT = FOLDER / "kind.sh"
INSTALL = (FOLDER.parent / "docs" / "install.md").read_text()


def test_the_script_is_sound() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    found = subprocess.run([shellcheck, SCRIPT], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert os.access(SCRIPT, os.X_OK)


def lines(word: str) -> list[str]:
    """Commands of the script that begin with a word, without what only a script needs."""
    found = [line.strip() for line in SCRIPT.read_text().splitlines() if line.strip().startswith(f"{word} ")]
    return [re.sub(r" >/dev/null &$", " &", line.replace('"', "")) for line in found]


@pytest.mark.parametrize("line", lines("kubectl") + [line for line in lines("kind") if not line.startswith("kind get")])
def test_each_line_is_one_of_the_installation(line: str) -> None:
    told = re.sub(r" {2,}#.*", "", INSTALL.replace('"', ""))
    assert line.removesuffix(" &").replace("-k $overlay", "-k manifests/overlays/kind") in told


def test_the_patch_of_the_engine_retries_what_fails_and_multiplies_nothing() -> None:
    """As `detkds doctor --cluster` wants it."""
    patch: dict[str, Any] = yaml.safe_load((FOLDER / "retries.yaml").read_text())
    assert yaml.safe_load(patch["data"]["workflowDefaults"]) == {
        "spec": {"templateDefaults": {"retryStrategy": {"limit": "0", "retryPolicy": "Always"}}}
    }


def test_a_run_fits_a_laptop_with_4_cpus_and_12_gib() -> None:
    """Six tasks at once at their limits, beside 3.3 GB for Kubernetes, KFP and both stores; their requests leave a CPU to those."""
    asked = yaml.safe_load((FOLDER / "overlays" / "kind" / "resources.yaml").read_text())["resources"]
    package = Package.parse(with_resources(compiled("search"), Resources(**asked), ()))
    assert examine(package) == []
    searching = [task for task in package.tasks() if task.name.startswith(("evolve", "train-baseline"))]
    assert len(searching) == 6
    assert sum(task.resources["cpuRequest"] for task in searching) <= 3
    assert max(task.resources["memoryLimit"] for task in searching) <= 2
    assert not any(task.on_gpu for task in package.tasks())
    own = [template for _, template in pods(documents(render("kind")))]
    assert sum(_cpus(container) for template in own for container in template["spec"]["containers"]) <= 1.5


def _cpus(container: dict[str, Any]) -> float:
    text = str(container["resources"]["requests"]["cpu"])
    return float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)
