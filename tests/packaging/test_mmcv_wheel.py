"""The build of mmcv's operators: what it verifies and how it arranges the files. Compiling is what `make install` does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "mmcv" / "build_wheel.py"


@pytest.fixture(scope="module")
def build_wheel() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_wheel", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_names_one_version_and_one_hash(build_wheel: ModuleType) -> None:
    version, sha256 = build_wheel.locked()
    assert version[0].isdigit()
    assert len(sha256) == 64


@pytest.mark.parametrize(
    "text",
    ["onedl-mmcv==2.3.6\n", "onedl-mmcv>=2.3 \\\n    --hash=sha256:" + "0" * 64, "onedl-mmcv==2.3.6 \\\n    --hash=sha256:abc\n"],
)
def test_a_lock_without_version_or_hash_stops_the_build(build_wheel: ModuleType, tmp_path: Path, text: str) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(text)
    with pytest.raises(SystemExit, match="one version with one sha256"):
        build_wheel.locked(lock)


def test_the_cache_key_changes_with_the_source_and_the_device(build_wheel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("FORCE_CUDA", raising=False)
    one = build_wheel.cache_folder("2.3.6", "a" * 64)
    other = build_wheel.cache_folder("2.3.6", "b" * 64)
    monkeypatch.setenv("FORCE_CUDA", "1")
    cuda = build_wheel.cache_folder("2.3.6", "a" * 64)
    assert len({one, other, cuda}) == 3
    assert one.parent == Path("/somewhere/detkds/wheels")


def test_namesakes_land_in_different_units_and_every_file_in_exactly_one(build_wheel: ModuleType, tmp_path: Path) -> None:
    kernels = tmp_path / build_wheel.KERNELS
    kernels.mkdir(parents=True)
    names = [*build_wheel.NAMESAKES, "nms.cpp", "voxelization.cpp", "deform_conv.cpp"]
    for name in names:
        (kernels / name).write_text("")
    for name in ["nms.cpp", "info.cpp", build_wheel.BINDINGS]:
        (tmp_path / build_wheel.DISPATCHERS / name).write_text("")

    build_wheel.arrange(tmp_path)

    units = [unit.read_text().split() for unit in sorted(kernels.glob("*.cpp"))]
    included = [word.strip('"') for words in units for word in words[1::2]]
    assert sorted(included) == sorted(name.replace(".cpp", ".inl") for name in names)
    namesakes = {name.replace(".cpp", ".inl") for name in build_wheel.NAMESAKES}
    assert all(len(namesakes & {word.strip('"') for word in words}) == 1 for words in units)
    dispatchers = tmp_path / build_wheel.DISPATCHERS
    assert {path.name for path in dispatchers.glob("*.cpp")} == {build_wheel.BINDINGS, "unit_0.cpp"}
    assert (dispatchers / "unit_0.cpp").read_text() == '#include "info.inl"\n#include "nms.inl"\n'
