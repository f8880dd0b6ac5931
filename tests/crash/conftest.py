"""A cluster for the tests of dying pods."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster import Cluster

from detkds.storage.server import EmbeddedServer


@pytest.fixture
def cluster(tmp_path: Path, s3_server: EmbeddedServer) -> Cluster:
    return Cluster(tmp_path, s3_server)
