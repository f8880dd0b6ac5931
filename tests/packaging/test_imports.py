"""What is imported when: a quick start, and components that any Python with kfp can read."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = sorted((ROOT / "components").glob("*/component.py"))
HEAVY = {"torch", "mmdet", "mmengine", "mmcv", "matplotlib", "scipy", "kfp"}


def imported_by(module: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after importing a module."""
    return loaded_after(f"import {module}")


def loaded_after(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after running some code, whatever that prints."""
    told = f"{code}\nimport sys; print('held', *{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(result.stdout.rpartition("held ")[2].split())


@pytest.mark.parametrize(
    "module", ["detkds", "detkds.cli", "detkds.pipeline.run_config", "detkds.genome", "detkds.search", "detkds.storage"]
)
def test_importing_does_not_load_the_heavy_packages(module: str) -> None:
    assert imported_by(module) & HEAVY == set()


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        ("pairs", 0),
        ("pairs tood-r50-x101", 0),
        ("check examples/demo.yaml --pair tood-r50", 2),
        ("run examples/demo.yaml --pair tood-r50", 2),
    ],
)
def test_naming_a_pair_does_not_load_the_heavy_packages(verb: str, status: int) -> None:
    code = f"""
import sys
from detkds.cli import main
sys.argv[1:] = {verb.split()}
try:
    main()
except SystemExit as ended:
    assert ended.code == {status}
"""
    assert loaded_after(code) & {"torch", "mmdet", "mmengine", "mmcv"} == set()


def top_level_imports(source: str) -> set[str]:
    """The packages that a module imports outside its functions."""
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def test_each_stage_has_a_component() -> None:
    stages = {path.parent.name for path in COMPONENTS}
    assert stages >= {"subset", "evolve", "weights", "train", "evaluate", "report"}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.parent.name)
def test_a_component_imports_only_the_standard_library_and_kfp_at_top_level(component: Path) -> None:
    assert top_level_imports(component.read_text()) - {"kfp"} <= sys.stdlib_module_names


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.parent.name)
def test_a_component_is_a_shell(component: Path) -> None:
    assert len(component.read_text().splitlines()) <= 60
