"""Build the wheel of mmcv with its C++ operators in minutes instead of tens of minutes.

The source distribution compiles 78 files one by one. The dispatcher files do not clash by name, so here they are compiled as
one translation unit; the CPU kernels do clash and stay apart. Optimisation is -O2 without debug symbols.

The wheel is kept in the user's cache folder, keyed by the versions of mmcv, torch, Python and the machine, and is never built
twice for the same key. Prints the path of the wheel on the last line of its output.

usage: python images/mmcv/build_wheel.py [VERSION]          (inside the environment that holds torch)
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

PACKAGE = "onedl-mmcv"
DISPATCHERS = Path("mmcv/ops/csrc/pytorch")
KEEP_APART = "pybind.cpp"
UNITY = "unity.cpp"


def cache_folder(mmcv_version: str) -> Path:
    """The folder of the wheel for these versions, on this kind of machine."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    torch_version = version("torch")
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    device = "cuda" if os.environ.get("FORCE_CUDA") == "1" else "cpu"
    return root / "detkds" / "wheels" / f"{PACKAGE}-{mmcv_version}-torch{torch_version}-{python}-{platform.machine()}-{device}"


def download(mmcv_version: str, folder: Path) -> Path:
    """Fetch the source distribution with pip and unpack it; returns the unpacked folder."""
    requirement = f"{PACKAGE}=={mmcv_version}"
    options = ["--no-deps", "--no-binary", PACKAGE, "--no-build-isolation", "--dest", str(folder)]
    run([sys.executable, "-m", "pip", "download", "--quiet", requirement, *options], folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return source


def unite(source: Path) -> int:
    """Replace the dispatcher files by one file that includes them; returns how many."""
    folder = source / DISPATCHERS
    files = sorted(path for path in folder.glob("*.cpp") if path.name != KEEP_APART)
    for path in files:
        path.rename(path.with_suffix(".inl"))
    (folder / UNITY).write_text("".join(f'#include "{path.stem}.inl"\n' for path in files))
    return len(files)


def build(source: Path, folder: Path) -> Path:
    """Compile the operators and pack the wheel into `folder`."""
    environment = {**os.environ, "MMCV_WITH_OPS": "1", "CFLAGS": "-O2 -g0", "MAX_JOBS": str(os.cpu_count() or 1)}
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", str(folder)]
    run([sys.executable, "-m", "pip", "wheel", "--quiet", str(source), *options], source, environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    """Run a command; its output is shown only when it fails."""
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{result.stdout[-4000:]}{result.stderr[-4000:]}\n{PACKAGE}: the command failed: {' '.join(command[:5])} …")


def main(mmcv_version: str) -> None:
    if not re.fullmatch(r"[0-9][0-9A-Za-z.]*", mmcv_version):
        sys.exit(f"{mmcv_version!r} is not a version of {PACKAGE}")
    cache = cache_folder(mmcv_version)
    found = sorted(cache.glob("*.whl"))
    if not found:
        with tempfile.TemporaryDirectory() as scratch:
            source = download(mmcv_version, Path(scratch))
            print(f"building {PACKAGE} {mmcv_version}: {unite(source)} dispatcher files as one", flush=True)
            wheel = build(source, Path(scratch))
            cache.mkdir(parents=True, exist_ok=True)
            partial = cache / f"{wheel.name}.partial"
            shutil.copy(wheel, partial)
            found = [partial.rename(cache / wheel.name)]
    print(found[0])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "2.3.6")
