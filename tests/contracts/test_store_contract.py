"""Every store keeps the contract of stores."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from detkds.errors import ArtifactError
from detkds.storage import FolderStore, Store, open_store
from detkds.storage.server import EmbeddedServer
from detkds.testing import StoreContract


class TestFolderStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        store = FolderStore(tmp_path / "store")
        store.ensure_bucket()
        return store

    @pytest.fixture
    def absent(self, tmp_path: Path) -> Store:
        return FolderStore(tmp_path / "not there")

    def test_links_out_of_the_folder_are_refused(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("x")
        (tmp_path / "store" / "link").symlink_to(tmp_path / "secret")
        with pytest.raises(ArtifactError, match="leads out of the store by a link"):
            store.get_bytes("link")


class TestFolderStoreForABucket(StoreContract):
    """s3://bucket/prefix where the environment names a folder in place of an endpoint."""

    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
        monkeypatch.setenv("DETKDS_S3_FOLDER", str(tmp_path / "buckets"))

    @pytest.fixture
    def store(self) -> Store:
        store = open_store("s3://contract/some/prefix")
        store.ensure_bucket()
        return store

    @pytest.fixture
    def absent(self) -> Store:
        return open_store("s3://absent/prefix")


class TestS3Store(StoreContract):
    @pytest.fixture(autouse=True)
    def _environment(self, s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in s3_server.environment().items():
            monkeypatch.setenv(name, value)

    @pytest.fixture
    def store(self) -> Store:
        store = open_store(f"s3://contract/{secrets.token_hex(8)}")
        store.ensure_bucket()
        return store

    @pytest.fixture
    def absent(self) -> Store:
        return open_store(f"s3://absent-{secrets.token_hex(8)}/prefix")

    def test_a_listing_goes_on_after_a_thousand(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "set").mkdir()
        for number in range(1005):
            (tmp_path / "set" / f"{number:04}").touch()
        store.put_tree(tmp_path / "set", "many")
        assert len(store.list("many")) == 1005 + 1  # and the manifest
