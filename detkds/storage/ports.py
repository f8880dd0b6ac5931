"""Free TCP ports of this machine for the embedded server."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import ExitStack

SERVICES = ("s3", "master", "volume", "filer")
ADMIN, ADMIN_GRPC = "admin.port", "admin.port.grpc"
GRPC_OFFSET = 10_000
"""SeaweedFS's own worker looks for the admin service this far above its port, whatever -admin.port.grpc says."""

NAMES = frozenset({f"{service}.port{suffix}" for service in SERVICES for suffix in ("", ".grpc")} | {ADMIN, ADMIN_GRPC})


def free_ports() -> dict[str, int]:
    """A free port of 127.0.0.1 for every flag of the server that names one."""
    with ExitStack() as held:
        ports = {name: _hold(held, 0) for name in sorted(NAMES - {ADMIN, ADMIN_GRPC})}
        while True:
            grpc = _hold(held, 0)
            try:
                ports |= {ADMIN_GRPC: grpc, ADMIN: _hold(held, grpc - GRPC_OFFSET)}
                return ports
            except (OSError, OverflowError):
                continue  # the port below is taken: try another pair


def are_free(ports: Iterable[int]) -> bool:
    """Whether a server could listen on all of these ports of 127.0.0.1 now."""
    with ExitStack() as held:
        try:
            for port in ports:
                _hold(held, port)
        except (OSError, OverflowError, TypeError):
            return False
    return True


def _hold(held: ExitStack, port: int) -> int:
    listener = held.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return int(listener.getsockname()[1])
