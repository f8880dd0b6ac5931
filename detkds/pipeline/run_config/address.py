"""Paths and addresses in run.yaml: what is on this machine, and what a relative path is relative to."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationInfo


def is_remote(address: str) -> bool:
    """True for what is not a path of this machine: an object of the store, or a file on a volume of the cluster."""
    return address.startswith(("s3://", "pvc://"))


def located(value: str | None, info: ValidationInfo) -> str | None:
    """A path made absolute from the folder of run.yaml; addresses and None stay."""
    if value is None or is_remote(value) or info.context is None:
        return value
    return str((Path(info.context["folder"]) / value).resolve())
