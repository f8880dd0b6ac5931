"""Weights from and to files: read as data, never as code; applied whole or not at all."""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor, nn

from detkds.detectors.backbone_teacher import BackboneTeacher
from detkds.detectors.configs.classes import class_count, stored_class_count
from detkds.errors import ArtifactError, ConfigError
from detkds.state_dict import state_dict
from detkds.storage.artifacts import write_atomic, writing


@dataclass(frozen=True)
class Checkpoint:
    """What is used of a checkpoint file.

    Args:
        weights: tensors by name.
        classes: the class names its detector was trained for, where they are stored.
        ignored: how many copies of mmdet 2's EMAHook the file has beside them. mmdet 2 saves the moving averages under the real names, and
            under `ema_…` the weights before averaging.
    """

    weights: dict[str, Tensor]
    classes: tuple[str, ...] | None = None
    ignored: int = 0


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a checkpoint file by name, on the CPU. See `read_checkpoint`."""
    return read_checkpoint(path).weights


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint as data.

    Args:
        path: a file written by torch.save, of tensors by name or of a dictionary with them under `state_dict`, or a `.safetensors` file.

    Returns:
        Tensors on the CPU. The prefix `module.` of parallel training is taken off.

    Raises:
        ArtifactError: the file is missing, is not a checkpoint, or holds anything beyond plain data; code in it is never run.
    """
    if Path(path).suffix == ".safetensors":
        from detkds.detectors.tensors import read_tensors  # which reads this module

        return read_tensors(Path(path))
    found = state_dict(_load(Path(path)), path, Tensor)
    return Checkpoint(found.tensors, found.classes, found.copies)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ArtifactError(f"the checkpoint {path} does not exist; check the path.")
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes are instructions to the unpickler: anything may come out of them
        reason = _reason(error)
        raise ArtifactError(f"the checkpoint {path} is not plain weights: {reason}; save it again with its state_dict alone.") from error


def _reason(error: Exception) -> str:
    """In our words: torch's own recommend to run the file."""
    code = re.search(r"GLOBAL ([\w.:]+)", str(error))
    return f"it names {code[1]}, which is code or unknown" if code else f"it is damaged or of another format ({type(error).__name__})"


def _history_statistic(owner: Any, name: str) -> Any:
    """Stands in for `getattr` in the training logs that mmengine pickles into its checkpoints: it reaches the statistics of
    HistoryBuffer, which the log refers to, and nothing else."""
    if owner is HistoryBuffer and name in ("min", "max", "mean", "current"):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"GLOBAL getattr:{name} is not allowed")


_MULTIARRAY: Any = importlib.import_module("numpy._core.multiarray")  # numpy hides it, and its pickles name it
_ALLOWED: list[Any] = [
    HistoryBuffer,
    (_history_statistic, "builtins.getattr"),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64, np.uint32, np.bool_)),
    *((_MULTIARRAY._reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_MULTIARRAY.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""Beyond torch's own list: numpy scalars and arrays, and the training log of mmengine's runner. All are plain data."""


def apply_weights(model: nn.Module, weights: Mapping[str, Tensor], what: str) -> None:
    """Put weights into a detector; every tensor must find its place.

    Args:
        model: changed in place, and only if everything fits.
        weights: tensors by name, as `load_weights` gives them.
        what: names the weights in errors, such as `teacher checkpoint t.pth`.

    Raises:
        ConfigError: the weights are those of another class count; the message names both counts.
        ArtifactError: a tensor is missing, unexpected or of another shape; the message names the first of each kind.
    """
    _apply(model, weights, what, class_count(model))


def apply_backbone(model: nn.Module, weights: Mapping[str, Tensor], what: str = "backbone weights") -> None:
    """Put weights into a detector's backbone: those named `backbone.…`, or all where none is named so.

    Raises:
        ArtifactError: as for `apply_weights`, about the backbone's tensors.
    """
    inner = {name.removeprefix("backbone."): tensor for name, tensor in weights.items() if name.startswith("backbone.")}
    _apply(model.get_submodule("backbone"), inner or weights, what, None)


def apply_teacher(teacher: nn.Module, weights: Mapping[str, Tensor], what: str) -> None:
    """Put weights into a teacher: a detector, as `apply_weights` does, or a backbone, all but its classifier, which is not used.

    Raises:
        ConfigError, ArtifactError: as for `apply_weights`.
    """
    if isinstance(teacher, BackboneTeacher):
        _apply(teacher.backbone.network, teacher.own_weights(weights), what, None)
    else:
        apply_weights(teacher, weights, what)


def _apply(module: nn.Module, weights: Mapping[str, Tensor], what: str, classes: int | None) -> None:
    own = module.state_dict()
    missing = [name for name in own if name not in weights]
    unexpected = [name for name in weights if name not in own]
    mismatched = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    stored = stored_class_count({name: (own[name].shape, weights[name].shape) for name in mismatched}, classes) if classes else None
    if stored is not None:
        raise ConfigError(f"the {what} distinguishes {stored} classes, the data set has {classes}; give weights trained on its {classes}.")
    shapes = [f"{name} {tuple(weights[name].shape)} for {tuple(own[name].shape)}" for name in mismatched]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    listed = [f"{len(names)} {kind} ({_first(names)})" for kind, names in faults.items() if names]
    if listed:
        found = "; ".join(listed)
        raise ArtifactError(f"the {what} does not fit {type(module).__name__}: {found}. Give the config that it was trained with.")
    module.load_state_dict(dict(weights), strict=True)


def _first(names: list[str], count: int = 5) -> str:
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")


@dataclass(frozen=True)
class InheritReport:
    """Names of the tensors copied from the teacher, and of those that were not, with the reason."""

    copied: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]


def inherit(student: nn.Module, teacher: nn.Module) -> InheritReport:
    """Start the student's neck and heads from the teacher's (the paper's "inherit" initialisation); the backbone stays.

    Returns:
        Every tensor of the student's neck and heads, as copied or as skipped with a reason, see `inheritable`.
    """
    found, source, own = inheritable(student, teacher), teacher.state_dict(), student.state_dict()
    with torch.no_grad():
        for name in found.copied:
            own[name].copy_(source[name])
    return found


def inheritable(student: nn.Module, teacher: nn.Module) -> InheritReport:
    """What `inherit` would copy: each tensor of the student's neck and heads of which the teacher has one of the same name and shape."""
    copied: list[str] = []
    skipped: list[tuple[str, str]] = []
    source = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        if name.startswith("backbone."):
            continue
        if name not in source:
            skipped.append((name, "the teacher has no tensor of this name"))
        elif source[name].shape != tensor.shape:
            skipped.append((name, f"shape {tuple(tensor.shape)} in the student, {tuple(source[name].shape)} in the teacher"))
        else:
            copied.append(name)
    return InheritReport(tuple(copied), tuple(skipped))


def save_student(model: nn.Module, path: Path, *, classes: tuple[str, ...], config: Config | None = None) -> None:
    """Write a checkpoint that stock mmdet's `init_detector(config, checkpoint)` loads, atomically.

    Args:
        model: the bare student, not its distiller.
        path: of the checkpoint; its folder exists. With `config`, the full config text goes beside it, as `.py`.
        classes: class names in label order, kept in the checkpoint.
        config: the config that built the student.
    """
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    content = {"meta": {"dataset_meta": {"classes": tuple(classes)}}, "state_dict": state}
    if config is not None:
        write_atomic(path.with_suffix(".py"), config.pretty_text)
    with writing(path) as handle:
        torch.save(content, handle)
