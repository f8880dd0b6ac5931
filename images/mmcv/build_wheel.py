"""Build the wheel of mmcv with its C++ operators in minutes instead of tens of minutes.

The source distribution compiles 78 files one by one, and nearly all of that time goes into reading torch's headers 78 times.
Here they are compiled as six translation units, with -O2 and without debug symbols (docs/adr/0003).

The source is the one of requirements.lock beside this file, verified by its hash. The wheel is kept in the user's cache folder,
keyed by that hash, the versions of torch and Python and the machine, and is never built twice for the same key. Prints the path
of the wheel on the last line of its output.

usage: python images/mmcv/build_wheel.py          (inside the environment that holds torch)
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
LOCK = Path(__file__).with_name("requirements.lock")
DISPATCHERS = Path("mmcv/ops/csrc/pytorch")
KERNELS = DISPATCHERS / "cpu"
BINDINGS = "pybind.cpp"  # the longest to compile: a unit of its own, beside the others
# Kernels that define functions of the same names; each needs a unit of its own, so there are as many units as these.
NAMESAKES = ["bezier_align.cpp", "roi_align.cpp", "roi_align_rotated.cpp", "rotated_feature_align.cpp"]


def locked(lock: Path = LOCK) -> tuple[str, str]:
    """The version and the sha256 of the source distribution that the lock file pins."""
    found = re.search(rf"^{PACKAGE}==(\S+) \\\n +--hash=sha256:([0-9a-f]{{64}})$", lock.read_text(), re.MULTILINE)
    if found is None:
        sys.exit(f"{lock} must pin {PACKAGE} to one version with one sha256")
    return found[1], found[2]


def cache_folder(mmcv_version: str, sha256: str) -> Path:
    """The folder of the wheel for this source and these versions, on this kind of machine."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    architectures = re.sub(r"[^0-9A-Za-z.+]+", "_", os.environ.get("TORCH_CUDA_ARCH_LIST", ""))
    device = f"cuda{architectures}" if os.environ.get("FORCE_CUDA") == "1" else "cpu"
    key = [PACKAGE, mmcv_version, sha256[:8], f"torch{version('torch')}", python, platform.machine(), device]
    return root / "detkds" / "wheels" / "-".join(key)


def download(folder: Path) -> Path:
    """Fetch the source distribution, which pip verifies against the lock, and unpack it; returns the unpacked folder."""
    options = ["--require-hashes", "--no-deps", "--no-binary", PACKAGE, "--no-build-isolation", "--dest", str(folder)]
    run([sys.executable, "-m", "pip", "download", "--quiet", "-r", str(LOCK), *options], folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder)  # verified by its hash; Python before 3.11.4 knows no filter
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return source


def unite(folder: Path, names: list[str], units: int) -> None:
    """Replace the files of these names in a folder by `units` files that include them, the first names in different ones."""
    for name in names:
        (folder / name).rename((folder / name).with_suffix(".inl"))
    for unit in range(units):
        included = [f'#include "{Path(name).stem}.inl"\n' for name in names[unit::units]]
        (folder / f"unit_{unit}.cpp").write_text("".join(included))


def arrange(source: Path) -> None:
    """Put the C++ files of the operators together into few translation units."""
    dispatchers = sorted(path.name for path in (source / DISPATCHERS).glob("*.cpp") if path.name != BINDINGS)
    kernels = sorted(path.name for path in (source / KERNELS).glob("*.cpp") if path.name not in NAMESAKES)
    unite(source / DISPATCHERS, dispatchers, units=1)
    unite(source / KERNELS, [*NAMESAKES, *kernels], units=len(NAMESAKES))


def build(source: Path, folder: Path) -> Path:
    """Compile the operators and pack the wheel into `folder`."""
    jobs = os.environ.get("MAX_JOBS") or str(os.cpu_count() or 1)
    environment = {**os.environ, "MMCV_WITH_OPS": "1", "CFLAGS": "-O2 -g0", "MAX_JOBS": jobs}
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", str(folder)]
    run([sys.executable, "-m", "pip", "wheel", "--quiet", str(source), *options], source, environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    """Run a command; its output is shown only when it fails."""
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{result.stdout[-4000:]}{result.stderr[-4000:]}\n{PACKAGE}: the command failed: {' '.join(command[:5])} …")


def main() -> None:
    """Print the path of the wheel, built now or earlier."""
    mmcv_version, sha256 = locked()
    cache = cache_folder(mmcv_version, sha256)
    found = sorted(cache.glob("*.whl"))
    if not found:
        with tempfile.TemporaryDirectory() as scratch:
            source = download(Path(scratch))
            arrange(source)
            wheel = build(source, Path(scratch))
            cache.mkdir(parents=True, exist_ok=True)
            partial = cache / f"{wheel.name}.{os.getpid()}.partial"
            shutil.copy(wheel, partial)
            found = [partial.rename(cache / wheel.name)]
    print(found[0])


if __name__ == "__main__":
    main()
