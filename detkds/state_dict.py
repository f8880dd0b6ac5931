"""What a checkpoint's content means, whether its tensors are torch's or only their shapes: names, mmdet 2's copies, class names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from detkds.errors import ArtifactError

T = TypeVar("T")


@dataclass(frozen=True)
class StateDict(Generic[T]):
    """The parts of a checkpoint that are used."""

    tensors: dict[str, T]
    """By name, without the prefix `module.` of parallel training and without the copies."""
    copies: int
    """Of mmdet 2's EMAHook: it saves the moving averages under the real names, and under `ema_…` the weights before averaging."""
    classes: tuple[str, ...] | None
    """The class names that its detector was trained for, where they are stored."""


def state_dict(content: Any, path: object, tensor: type[T]) -> StateDict[T]:
    """The content of a checkpoint file, a state_dict or a dictionary that has one.

    Args:
        content: as it was loaded.
        path: names the file in messages.
        tensor: the type that each value must have.

    Raises:
        ArtifactError: it is something else.
    """
    if not isinstance(content, Mapping):
        raise ArtifactError(f"the checkpoint {path} must hold a dictionary, got {type(content).__name__}; give a file with a state_dict.")
    state = content.get("state_dict", content)
    wrong = [str(name) for name, value in state.items() if not isinstance(value, tensor)] if isinstance(state, Mapping) else ["state_dict"]
    if wrong or not state:
        what = f"{wrong[0]!r} is not a tensor" if wrong else "it holds none"
        raise ArtifactError(f"the checkpoint {path} must hold tensors by name, but {what}; give a file with a state_dict.")
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    named = {name.removeprefix(prefix): value for name, value in state.items()}
    copies = {f"ema_{name.replace('.', '_')}" for name in named} & named.keys()
    tensors = {name: value for name, value in named.items() if name not in copies}
    return StateDict(tensors, len(copies), _classes(content.get("meta") if "state_dict" in content else None))


def _classes(meta: Any) -> tuple[str, ...] | None:
    """mmdet 3 writes meta.dataset_meta.classes, mmdet 2 meta.CLASSES. YOLOX's file has the text coco80 there, which names no class."""
    if not isinstance(meta, Mapping):
        return None
    dataset = meta.get("dataset_meta")
    classes = dataset.get("classes", dataset.get("CLASSES")) if isinstance(dataset, Mapping) else meta.get("CLASSES")
    return tuple(map(str, classes)) if isinstance(classes, list | tuple) else None
