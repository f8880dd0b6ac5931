"""What `make install` says on a machine that lacks something."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "preflight.py"


@pytest.fixture(scope="module")
def preflight() -> ModuleType:
    spec = importlib.util.spec_from_file_location("preflight", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_machine_that_has_everything(preflight: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Python.h").touch()
    assert preflight.lacks((3, 11), str(tmp_path), "/usr/bin/c++", True) == []


@pytest.mark.parametrize("version", [(3, 10), (3, 12), (3, 1), (2, 7)])
def test_another_python_is_named_with_the_remedy(preflight: ModuleType, version: tuple[int, int]) -> None:
    (line,) = preflight.lacks(version, sysconfig.get_paths()["include"], "/usr/bin/c++", True)
    assert f"is {version[0]}.{version[1]}:" in line
    assert sys.executable in line
    assert "PYTHON=" in line


def test_headers_venv_and_compiler_are_named(preflight: ModuleType, tmp_path: Path) -> None:
    without_headers = preflight.lacks((3, 11), str(tmp_path), None, False)
    assert ["python3.11-dev" in without_headers[0], "g++" in without_headers[1]] == [True, True]
    (tmp_path / "Python.h").touch()
    assert "python3.11-venv" in preflight.lacks((3, 11), str(tmp_path), "/usr/bin/c++", False)[0]


def test_main_exits_with_one_line(preflight: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        preflight.main()
    assert str(stop.value).startswith("cannot install: ")
    assert "\n" not in str(stop.value)
