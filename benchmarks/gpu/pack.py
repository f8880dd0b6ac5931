"""Fills the folder that `make gpu` needs on a machine with a GPU and nothing else: `python benchmarks/gpu/pack.py FOLDER`.

That machine has Python 3.12, torch with torchvision, OpenCV, SciPy and the like, and no network. The folder gets wheels of what is missing
there, and OpenMMLab's packages with `operators.py` in the place of mmcv's compiled operators. At most 60 MiB.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from importlib.metadata import distribution, version
from importlib.util import find_spec
from pathlib import Path

WHEELS = (
    "numpy",
    "pycocotools",
    "faster-coco-eval",
    "shapely",
    "orjson",
    "addict",
    "yapf",
    "platformdirs",
    "termcolor",
    "terminaltables",
    "minio",
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
    "argon2-cffi",
    "argon2-cffi-bindings",
    "pycryptodome",
    "cffi",
    "pycparser",
)
COPIED = {"mmcv": "onedl-mmcv", "mmengine": "onedl-mmengine", "mmdet": "onedl-mmdetection", "imgaug": "imaug"}
"""Packages without wheels, and the distributions that say which version they are."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")
LIMIT = 60 * 2**20


def download(names: list[str], folder: Path) -> None:
    """Wheels for that machine's Python, in the versions of this environment."""
    wanted = [f"{name}=={version(name)}" for name in names]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.12"]
    command += ["--implementation", "cp", *(part for name in PLATFORMS for part in ("--platform", name)), "-d", str(folder)]
    subprocess.run([*command, *wanted], check=True)


def copy_packages(folder: Path) -> None:
    """COPIED in one archive, with plain operators instead of those that were compiled for this Python."""
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "csrc")
    for name, package in COPIED.items():
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        shutil.copytree(Path(found.origin).parent, folder / "python" / name, ignore=ignored)
        known = folder / "python" / f"{package.replace('-', '_')}-{version(package)}.dist-info"
        known.mkdir()
        (known / "METADATA").write_text(distribution(package).read_text("METADATA") or "")
    shutil.copyfile(Path(__file__).with_name("operators.py"), folder / "python" / "mmcv" / "_ext.py")
    shutil.make_archive(str(folder / "python"), "gztar", folder / "python")
    shutil.rmtree(folder / "python")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="folder of the blood cell data set, for the comparison with mmengine's Runner")
    options = parser.parse_args()
    folder: Path = options.folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "wheels").mkdir(parents=True)
    download(list(WHEELS), folder / "wheels")
    copy_packages(folder)
    if options.data:
        shutil.copytree(options.data, folder / "bccd")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB")
    if size > LIMIT:
        raise SystemExit(f"the folder may have {LIMIT / 2**20:.0f} MiB; leave out --data.")


if __name__ == "__main__":
    main()
