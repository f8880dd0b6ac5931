"""What the tests of dying pods share."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from detkds.storage import verify
from detkds.storage.server import EmbeddedServer

HERE = Path(__file__).resolve().parent


class Cluster:
    """Runs pods, each with an empty folder, against one work place in the bucket."""

    def __init__(self, folder: Path, server: EmbeddedServer) -> None:
        self.folder = folder
        self.work = f"s3://pods/{secrets.token_hex(6)}"
        self.logs: list[str] = []
        python_path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
        self._environment = {"PATH": os.environ["PATH"], "PYTHONPATH": python_path, "DETKDS_LEASE_S": "0.3", "OMP_NUM_THREADS": "1"}
        self._environment |= server.environment()

    def run(self, *pods: dict[str, Any]) -> list[str]:
        """How the pods ended, one after the other."""
        plan = self.folder / f"plan-{secrets.token_hex(4)}.json"
        homes = [str(self.folder / secrets.token_hex(6)) for _ in pods]
        plan.write_text(json.dumps([{"home": home, "work": self.work, **pod} for home, pod in zip(homes, pods, strict=True)]))
        command = [sys.executable, "-W", "ignore", str(HERE / "pods.py"), str(plan)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        self.logs = [(Path(home) / "log").read_text() for home in homes]
        return [str(end) for end in json.loads(done.stdout)]


def content(artifact: Path) -> dict[str, bytes]:
    """What must be the same; how long it took need not."""
    verify(artifact)
    return {name: (artifact / name).read_bytes() for name in ("journal.jsonl", "recipe.json", "study.json")}
