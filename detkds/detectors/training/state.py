"""The file from which a training resumes."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from detkds.errors import ArtifactError
from detkds.storage.artifacts import writing

SCHEMA = "detkds.training/2"


def store(path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write the state of a training, atomically."""
    with writing(path) as handle:
        torch.save({"schema": SCHEMA, "identity": identity, **state}, handle)


def restore(path: Path, source: Path | io.BytesIO, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The state of the training with this identity.

    Args:
        path: names the file in errors.
        source: of its bytes.
        identity: what the stored training must share.

    Raises:
        ArtifactError: the file is damaged, of another kind, or belongs to another training.
    """
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"the training checkpoint {path} cannot be read: {reason}; remove it to start again.") from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise ArtifactError(f"{path} must be a training checkpoint with schema {SCHEMA!r}, but is not; remove it to start again.")
    for key, value in identity.items():
        stored = state["identity"].get(key)
        if stored != value:
            raise ArtifactError(
                f"the training checkpoint {path} belongs to another training: {key} was {stored!r} and is {value!r}; "
                "remove it to start again."
            )
    return state
