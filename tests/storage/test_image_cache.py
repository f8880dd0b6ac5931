"""The cache of images: never above its bound, never without what is in use, shared by processes."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from detkds.errors import ArtifactError, ConfigError, DatasetError, StoreError
from detkds.storage import image_cache
from detkds.storage.image_cache import CACHE_GB, ImageCache, release
from detkds.storage.stored_set import SetFile

SHARER = """
import sys, hashlib
from pathlib import Path
from detkds.storage.image_cache import ImageCache
from detkds.storage.stored_set import SetFile

folder, log = Path(sys.argv[1]), open(sys.argv[2], "a")
data = {f"{number}.jpg": bytes([number]) * 10 for number in range(20)}
digests = {name: hashlib.sha256(content).hexdigest() for name, content in data.items()}

def read(file):
    print(file.name, file=log, flush=True)
    return data[file.name]

files = {name: SetFile(name, 10, digest, digest) for name, digest in digests.items()}
view = ImageCache(folder, limit=1000).view(files, read, "the images")
print(view, flush=True)
sys.stdin.read()
"""


class World:
    """Ten images of 100 bytes each, and what was read of them."""

    def __init__(self) -> None:
        self.data = {f"{number}.jpg": bytes([number]) * 100 for number in range(10)}
        self.read: list[str] = []

    def files(self, *numbers: int) -> dict[str, SetFile]:
        names = [f"{number}.jpg" for number in numbers]
        digests = {name: hashlib.sha256(bytes([int(name[0])]) * 100).hexdigest() for name in names}
        return {name: SetFile(name, 100, digest, digest) for name, digest in digests.items()}

    def bring(self, file: SetFile) -> bytes:
        self.read.append(file.name)
        return self.data[file.name]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "images"
    for view in list(image_cache._views):
        release(view)


@pytest.fixture
def use(folder: Path, world: World) -> Callable[..., Path]:
    """A view of the images with these numbers, in a cache of 500 bytes."""
    return lambda *numbers, limit=500: ImageCache(folder, limit=limit).view(world.files(*numbers), world.bring, "the images")


def kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "files").rglob("*") if path.is_file())


def aged(folder: Path, world: World, *numbers: int) -> None:
    """As if these had been used long ago, the first longest."""
    for place, file in enumerate(world.files(*numbers).values()):
        os.utime(folder / "files" / file.content[:2] / file.content, (1000 + place, 1000 + place))


def test_a_view_has_the_images_under_their_names(use: Callable[..., Path], world: World) -> None:
    view = use(1, 2)
    assert {path.name: path.read_bytes() for path in view.iterdir()} == {name: world.data[name] for name in ("1.jpg", "2.jpg")}
    assert not any(path.is_symlink() for path in view.iterdir())


def test_what_is_here_is_not_read_again(use: Callable[..., Path], world: World) -> None:
    release(use(1, 2, 3))
    release(use(2, 3, 4))
    release(use(1, 2, 3))
    assert sorted(world.read) == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]


def test_least_recently_used_go_first_and_the_bound_holds(use: Callable[..., Path], folder: Path, world: World) -> None:
    release(use(0, 1, 2))
    release(use(3, 4))
    aged(folder, world, 3, 0, 1)
    release(use(5, 6))  # 500 bytes are there: two go, 3 and 0
    assert kept(folder) == 500
    world.read.clear()
    release(use(1, 2, 4))
    assert world.read == []
    release(use(0, 3))
    assert sorted(world.read) == ["0.jpg", "3.jpg"]


def test_what_is_in_use_stays(use: Callable[..., Path], folder: Path, world: World) -> None:
    held = use(0, 1, 2)
    aged(folder, world, 0, 1, 2)
    release(use(3, 4))
    release(use(5, 6))
    assert kept(folder) == 500
    assert sorted(path.name for path in held.iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]
    with pytest.raises(
        StoreError,
        match=r"the images need 0\.0 MB more, but tasks of this machine hold 0\.0 MB of the 0\.0 MB that DETKDS_CACHE_GB allows; wait",
    ):
        use(7, 8, 9)
    release(held)
    use(7, 8, 9)


def test_a_part_that_never_fits_names_the_variable_and_its_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_GB, "5")
    huge = {f"{number}.jpg": SetFile(f"{number}.jpg", 10**9, None, f"{number:064x}") for number in range(19)}

    def never(file: SetFile) -> bytes:
        raise AssertionError("nothing is fetched")

    with pytest.raises(
        ConfigError,
        match=r"have 19\.00 GB, but DETKDS_CACHE_GB lets this machine keep 5\.00 GB of images; set it to at least 19, or put .* a volume",
    ):
        ImageCache(folder).view(huge, never, "the images of s3://data/coco/train")


@pytest.mark.parametrize("value", ["0", "-1", "much", "nan", "inf"])
def test_a_bound_that_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(CACHE_GB, value)
    with pytest.raises(ConfigError, match=f"DETKDS_CACHE_GB must be a number of gigabytes above 0, got '{value}'"):
        ImageCache(folder)


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"x" * 100), lambda path: os.truncate(path, 50), Path.unlink])
def test_a_damaged_file_is_read_again(use: Callable[..., Path], world: World, spoil: Callable[[Path], object]) -> None:
    view = use(1, 2)
    spoil(view / "1.jpg")
    release(view)
    use(1, 2)
    assert (view / "1.jpg").read_bytes() == world.data["1.jpg"]


def test_what_came_before_an_error_stays(use: Callable[..., Path], folder: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(file: SetFile) -> bytes:
        if len(world.read) == 3:
            raise StoreError("the store went away")
        return real(file)

    real = world.bring
    monkeypatch.setattr("detkds.storage.store.WORKERS", 1)
    with pytest.raises(StoreError, match="went away"):
        ImageCache(folder, limit=500).view(world.files(1, 2, 3, 4, 5), fails, "the images")
    use(1, 2, 3, 4, 5)
    assert sorted(world.read) == [f"{number}.jpg" for number in range(1, 6)]


def test_what_a_killed_task_left_half_goes(use: Callable[..., Path], folder: Path) -> None:
    release(use(1))
    half = folder / "files" / "ab" / ".abc.0123.part"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"half")
    use(2)
    assert not half.exists()


def test_an_image_above_another_is_refused(folder: Path, world: World) -> None:
    one, other = world.files(1, 2).values()
    with pytest.raises(DatasetError, match=r"image 'a(/b)?' is also the folder of others"):
        ImageCache(folder, limit=500).view({"a": one, "a/b": other}, world.bring, "the images")


def test_a_disk_without_hard_links_is_named(use: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StoreError, match=r"images must be on a disk with hard links, got: Operation not permitted; set DETKDS_HOME"):
        use(1)


def test_a_full_disk_is_told_before_anything_is_fetched(use: Callable[..., Path], world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=150))
    with pytest.raises(StoreError, match=r"the images need 0\.0 MB, but the disk of \S+ has 0\.0 MB free; free some and run again"):
        use(1, 2)
    assert world.read == []
    use(1)


def test_a_file_too_large_for_an_image_is_refused(folder: Path) -> None:
    bomb = {"1.jpg": SetFile("1.jpg", 600 << 20, None, "0" * 64)}
    with pytest.raises(ArtifactError, match="must have at most 512 MiB to be an image"):
        ImageCache(folder, limit=10**9).view(bomb, lambda file: b"", "the images")


def test_two_processes_fetch_each_image_once_and_a_dead_one_holds_nothing(tmp_path: Path, use: Callable[..., Path], folder: Path) -> None:
    command = [sys.executable, "-c", SHARER, str(folder), str(tmp_path / "log")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    first, second = (subprocess.Popen(command, **pipes) for _ in range(2))  # type: ignore[call-overload]
    try:
        views = {process.stdout.readline() for process in (first, second)}
        assert len(views) == 1
        assert sorted((tmp_path / "log").read_text().split()) == sorted(f"{number}.jpg" for number in range(20))
        with pytest.raises(StoreError, match="tasks of this machine hold"):
            use(1, limit=200)
        first.kill()
        first.wait()
        with pytest.raises(StoreError, match="tasks of this machine hold"):
            use(1, limit=200)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    use(1, limit=200)
    assert kept(folder) <= 200
