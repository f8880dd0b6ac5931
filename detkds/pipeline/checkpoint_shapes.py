"""Names and shapes of the tensors of a checkpoint, read without torch and without running anything: for tasks that have no GPU image.

A file of torch.save is a ZIP whose `data.pkl` describes the tensors (before torch 1.6: pickles one after the other), while their numbers
lie elsewhere. An unpickler that makes inert placeholders of everything reads the shapes, and calls no code that the file names.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkds.errors import ArtifactError
from detkds.state_dict import state_dict

MAX_BYTES = 64 << 20
"""The largest description that is read; that of a detector has some hundred kilobytes."""
MAGIC = 0x1950A86A20F9469CFC6C
"""Of files that torch wrote before 1.6, as their first pickle."""
METADATA = "__metadata__"
"""The one name of such a file's description that is no tensor."""
_PLAIN = {
    ("collections", "OrderedDict"), ("collections", "Counter"), ("builtins", "set"), ("builtins", "bytearray"), ("builtins", "complex"),
    ("builtins", "getattr"), ("_codecs", "encode"), ("mmengine.logging.history_buffer", "HistoryBuffer"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    ("numpy", "ndarray"), ("numpy", "dtype"),
}  # fmt: skip
"""What a file of plain weights names beside torch's own; anything else is code, or unknown to us, and is refused in every stage."""


@dataclass(frozen=True)
class Described:
    """What a checkpoint says of itself.

    Args:
        shapes: of its tensors by name, without the prefix `module.` of parallel training and without mmdet 2's copies `ema_…`.
        classes: the class names that its detector was trained for, where they are stored.
    """

    shapes: Mapping[str, tuple[int, ...]]
    classes: tuple[str, ...] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is that of a whole detector, not of a backbone alone."""
        return any(name.startswith("backbone.") for name in self.shapes)


def describe(path: Path) -> Described:
    """Read what a checkpoint, or a file of safetensors, holds.

    Raises:
        ArtifactError: the file is empty or damaged, is not a file of torch.save, names code, or holds no tensors by name.
    """
    try:
        content = _content(path)
    except ArtifactError as error:
        raise ArtifactError(f"the checkpoint {path} is not plain weights: {error}; save it again with its state_dict alone.") from None
    except Exception as error:  # damaged bytes are instructions to the unpickler: anything may come out of them
        reason = f"it is damaged or of another format ({type(error).__name__})"
        raise ArtifactError(f"the checkpoint {path} is not plain weights: {reason}; save it again with its state_dict alone.") from None
    found = state_dict(content, path, _Tensor)
    return Described({name: tensor.shape for name, tensor in found.tensors.items()}, found.classes)


def _content(path: Path) -> Any:
    if path.stat().st_size == 0:
        raise ArtifactError("it is empty")
    if path.suffix == ".safetensors":
        return _header(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _Reader(io.BytesIO(_description(archive))).load()
    with path.open("rb") as file:
        if _Reader(file).load() != MAGIC:
            raise ArtifactError("it is not a file of torch.save")
        for _ in ("version", "system"):
            _Reader(file).load()
        return _Reader(file).load()


def _header(path: Path) -> dict[str, _Tensor]:
    """The tensors of a file of safetensors: eight bytes with the length of a JSON object of names, dtypes, shapes and places."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_BYTES:
            raise ArtifactError(f"its description has more than {MAX_BYTES >> 20} MiB")
        listed = json.loads(file.read(length))
    end = max((place["data_offsets"][1] for name, place in listed.items() if name != METADATA), default=0)
    if path.stat().st_size != 8 + length + end:
        raise ArtifactError("it is not as long as it says")
    return {name: _Tensor(tuple(map(int, place["shape"]))) for name, place in listed.items() if name != METADATA}


def _description(archive: zipfile.ZipFile) -> bytes:
    """`data.pkl`, once every tensor's numbers are there at their full length."""
    names = [entry for entry in archive.infolist() if entry.filename.rpartition("/")[2] == "data.pkl"]
    if len(names) != 1:
        raise ArtifactError("it is a ZIP, but not one of torch.save")
    if names[0].file_size > MAX_BYTES:
        raise ArtifactError(f"its description has more than {MAX_BYTES >> 20} MiB")
    return archive.read(names[0])


@dataclass(frozen=True)
class _Tensor:
    shape: tuple[int, ...]


class _Inert(dict[Any, Any]):
    """Stands for whatever a file makes: takes every argument and every state, and does nothing."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Of a list."""

    def extend(self, values: Any) -> None:
        """Of a list."""

    def add(self, value: Any) -> None:
        """Of a set."""


def _tensor(storage: Any, offset: Any, size: Any, *_: Any) -> _Tensor:
    return _Tensor(tuple(map(int, size)))


def _parameter(data: Any, *_: Any) -> Any:
    return data


class _Reader(pickle.Unpickler):
    """Reads a pickle without importing or calling anything that it names."""

    def find_class(self, module: str, name: str) -> Any:
        """A placeholder for everything but dictionaries, tensors and their sizes."""
        module = "builtins" if module == "__builtin__" else module  # its name in the protocol that torch writes
        if module == "torch._utils" and name.startswith("_rebuild_tensor"):
            return _tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _parameter
        if (module, name) == ("torch", "Size"):
            return tuple
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module.partition(".")[0] == "torch" or module.startswith("numpy.dtypes") or (module, name) in _PLAIN:
            return _Inert
        raise ArtifactError(f"it names {module}.{name}, which is code or unknown")

    def persistent_load(self, pid: Any) -> Any:
        """Where a tensor's numbers lie, which nobody asks for here."""
        return _Inert()
