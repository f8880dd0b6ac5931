"""`detkds data push`: what it checks, sends, says and refuses."""

from __future__ import annotations

import io
import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from detkds.data.synthetic import generate
from detkds.errors import ConfigError, DatasetError, StoreError
from detkds.pipeline.data_push import data_push
from detkds.storage import open_store
from detkds.storage.server import EmbeddedServer
from detkds.storage.stored_set import StoredSet


@pytest.fixture
def environment(s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name, value in {**s3_server.environment(), "DETKDS_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def address(environment: pytest.MonkeyPatch) -> str:
    open_store("s3://pushed").ensure_bucket()
    return f"s3://pushed/{secrets.token_hex(6)}"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    generate(tmp_path / "pictures", teacher_images=1, train=4, test=2, seed=1, size=(48, 48))
    return tmp_path / "pictures"


def put(folder: Path, address: str, *, check: bool = True) -> str:
    said = io.StringIO()
    data_push(folder, address, check=check, home=folder.parent / "home", console=Console(file=said, width=200))
    return said.getvalue()


def test_it_says_what_it_checked_and_sent(pictures: Path, address: str) -> None:
    (pictures / ".cache").touch()
    said = put(pictures, address)
    assert "annotations/train.json: good, 4 images" in said
    assert "left out 1 hidden files, first .cache" in said
    assert said.count("/10 files, ") == 1  # so fast a transfer has one line, at its end
    assert "10/10 files, " in said
    assert f"{address} holds 10 files, 0.0 MB; sent 10 of them" in said
    assert "sent 0 of them" in put(pictures, address)


def test_a_set_with_faults_is_not_sent(pictures: Path, address: str) -> None:
    path = pictures / "annotations" / "train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"] = [40, 40, 30, 30]
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"train\.json: 1 fault: annotation \d+"):
        put(pictures, address)
    assert open_store(address).list() == []
    assert "sent 10 of them" in put(pictures, address, check=False)


def test_annotations_without_their_images_are_not_sent(pictures: Path, address: str) -> None:
    for name in ("teacher", "train", "test"):
        (pictures / name).rename(pictures.parent / name)
    with pytest.raises(DatasetError, match=r"teacher\.json names images that are not below .*pictures; .* --no-check"):
        put(pictures, address)


@pytest.mark.parametrize("place", ["/tmp/folder", "s3://bucket", "s3://bucket/"])
def test_an_address_that_is_none(pictures: Path, environment: pytest.MonkeyPatch, place: str) -> None:
    with pytest.raises(ConfigError, match="must be a place in a bucket, as s3://detkds/data/coco"):
        put(pictures, place)


def test_a_missing_bucket_is_not_made(pictures: Path, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match=r"refuses .*s3://not-there/coco: NoSuchBucket; create the bucket, or correct its name"):
        put(pictures, "s3://not-there/coco", check=False)


def test_as_a_command_the_default_address_is_the_folders_name(pictures: Path, address: str) -> None:
    command = [sys.executable, "-c", "from detkds.cli import main; main()", "data", "push", ".", "--no-check", "--store", address]
    result = subprocess.run(command, cwd=pictures, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert StoredSet(f"{address}/data/pictures").indexed
