"""Weights as safetensors: a file that plain torch, and other languages, read without mmdet and without running code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from detkds.detectors.checkpoints import Checkpoint
from detkds.errors import ArtifactError

METADATA = "detkds"
"""The one key of the file's metadata. safetensors writes several keys in random order, and equal weights shall be equal files."""


def save_tensors(checkpoint: Checkpoint, path: Path, *, config: str) -> None:
    """Write a checkpoint's tensors, names, shapes, dtypes and bits as they are; a tensor that has two names is written twice.

    Args:
        checkpoint: see `checkpoints.read_checkpoint`.
        path: of the file.
        config: text of the detector's config. The file's metadata has, as JSON text, its SHA-256 as `config_sha256` and the class names
            in label order as `classes`.
    """
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.weights.items()}
    known = {"classes": checkpoint.classes, "config_sha256": config_digest(config)}
    save_file(state, path, metadata={METADATA: json.dumps(known)})


def config_digest(config: str) -> str:
    """SHA-256 of a config's text, in hexadecimal."""
    return hashlib.sha256(config.encode()).hexdigest()


def read_tensors(path: Path) -> Checkpoint:
    """What `save_tensors` wrote, on the CPU.

    Raises:
        ArtifactError: the file is missing, damaged or of another origin.
    """
    try:
        with safe_open(path, framework="pt") as file:
            classes = json.loads((file.metadata() or {}).get(METADATA, "{}")).get("classes")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is not a mapping)
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read as safetensors: {error}; fetch it again.") from None
    return Checkpoint(weights, tuple(map(str, classes)) if isinstance(classes, list) else None)
