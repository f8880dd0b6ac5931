"""The public face: everything it names exists, in order, and importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import detkds

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "mmengine", "mmdet", "mmcv", "kfp", "numpy", "pydantic", "rich", "typer", "yaml")


def test_importing_the_package_imports_nothing_else() -> None:
    code = f"import sys, detkds; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_public_names_are_sorted_and_exist() -> None:
    assert list(detkds.__all__) == sorted(detkds.__all__)
    assert all(getattr(detkds, name) is not None for name in detkds.__all__)
    assert set(detkds.__all__) <= set(dir(detkds))


def test_every_public_name_is_documented() -> None:
    assert [name for name in detkds.__all__ if not (getattr(detkds, name).__doc__ or "").strip()] == []


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"module 'detkds' has no attribute 'Losses'; it has .*loss, preset"):
        detkds.Losses  # noqa: B018
