"""Where the results of a run come from: settings, seeds, digests of data, detectors and code, versions, machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import detkds
from detkds.search.history import History
from detkds.storage.artifacts import verify

PACKAGES = ("torch", "onedl-mmdetection", "onedl-mmengine", "onedl-mmcv", "pycocotools", "numpy")
PARTS = ("train.json", "search_train.json", "search_val.json", "test.json")


def provenance(histories: Sequence[History], artifacts: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Heading to key to value, of a run's studies and its artifacts `subset`, `model` and `evaluation`.

    Raises:
        ArtifactError: an artifact is not whole.
    """
    manifests = {name: verify(path) for name, path in artifacts.items()}
    subset, model = manifests["subset"], manifests["model"]
    images = {f"{name.replace('_', '-')} images": str(count) for name, count in subset.meta.get("images", {}).items()}
    settings = dict(histories[0].settings) if histories else {}
    detectors: dict[str, str] = {name: str(settings.pop(name)) for name in ("teacher", "student") if name in settings}
    for own in ("knowledge", "subset"):
        settings.pop(own, None)
    found: dict[str, dict[str, str]] = {
        "training": {name: str(model.meta[name]) for name in ("seed", "epochs", "student_steps") if name in model.meta},
        "search": dict(_flat(settings)),
        "data": {"root": str(subset.meta.get("root", "")), **images},
        "annotations (sha256)": {name: subset.files[name].sha256 for name in PARTS if name in subset.files},
        "detectors (sha256)": detectors,
        "artifacts (sha256)": {name: manifest.digest for name, manifest in manifests.items()},
        "code": {"detkds": detkds.__version__, "sources (sha256)": source_digest()},
        "packages": dict(_versions()),
        "machine": {"python": platform.python_version(), "system": platform.platform(), "processors": str(os.cpu_count())},
    }
    return {heading: entries for heading, entries in found.items() if entries}


def _versions() -> Iterator[tuple[str, str]]:
    """Packages that are here: the light image, in which this stage runs on a cluster, has no torch."""
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)


def source_digest() -> str:
    """sha256 over this library's Python files and their names."""
    root = Path(detkds.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as one level: proxy.epochs; what is empty is left out."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in ("", None):
            yield f"{prefix}{name}", str(value)
