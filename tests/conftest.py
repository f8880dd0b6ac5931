"""What tests of several folders need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from detkds.storage.server import EmbeddedServer

SHARED = Path(__file__).resolve().parents[2] / "shared"


LONGEST = ("e2e", "crash", "contracts", "detectors", "losses")
"""Folders whose files take longest: they begin first, so that no process of `make test` waits for the last file of the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {folder: place for place, folder in enumerate(LONGEST)}
    items.sort(key=lambda item: min((places[part] for part in item.path.parts if part in places), default=len(LONGEST)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data sets and weights, where it exists beside the checkout."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data sets in ../shared/data")
    return folder


@pytest.fixture(autouse=True)
def _one_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run beside each other, and their searches are too small to gain from a process per CPU."""
    monkeypatch.setenv("DETKDS_CPUS", "1")


@pytest.fixture
def own_words() -> Iterator[None]:
    """Words, heads and plugins that the test registers are forgotten when it ends."""
    from detkds import plugins
    from detkds.genome import words

    with words.restored(), plugins.forgotten():
        yield


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A real S3 server of this test session; `.environment()` names it and its keys."""
    from detkds.storage.server import EmbeddedServer

    with EmbeddedServer(tmp_path_factory.mktemp("s3")) as server:
        yield server
