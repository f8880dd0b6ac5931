"""What users get: the wheel, the licence and the installed set."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Left out on purpose: docs/adr/0001.
ABSENT = {"opencv-python", "imagecorruptions-imaug", "appdirs", "pandas", "seaborn"}
ABSENT |= {"grpcio", "tensorboard-data-server", "werkzeug"}  # of TensorBoard's server: tests only read event files (docs/adr/0030)
ABSENT |= {"torchvision", "huggingface-hub"}  # timm builds networks without them (docs/adr/0031)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy, so that nothing is left in the tree."""
    source = tmp_path_factory.mktemp("source")
    for name in ["pyproject.toml", "README.md", "LICENSE"]:
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "detkds", source / "detkds", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", str(source / "wheels")]
    subprocess.run([sys.executable, "-m", "pip", "wheel", str(source), *options], check=True, capture_output=True)
    (path,) = (source / "wheels").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_carries_every_file_of_the_package_and_no_other_package(wheel: zipfile.ZipFile) -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "detkds").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    carried = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert carried == files


def test_the_wheel_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    text = wheel.read(name).decode()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_nothing_is_missing_but_what_is_left_out_on_purpose() -> None:
    result = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    complaints = [line for line in result.stdout.splitlines() if "requires" in line]
    absent = {line.partition(" requires ")[2].partition(",")[0] for line in complaints if line.endswith("which is not installed.")}
    assert absent <= ABSENT
    assert [line for line in complaints if not line.endswith("which is not installed.")] == []
