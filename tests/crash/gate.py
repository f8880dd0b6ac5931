"""A way to a server that can be shut: everything goes through, or nothing does."""

from __future__ import annotations

import contextlib
import socket
from threading import Thread
from types import TracebackType


class Gate:
    """Forwards connections from a free port of 127.0.0.1 to another port while it is open.

    Attributes:
        port: to connect to.
        open: set it to False with `shut`, to True again at will.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self.open = True
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def shut(self) -> None:
        """Break every connection, and let none through."""
        self.open = False
        while self._ends:
            with contextlib.suppress(OSError):
                self._ends.pop().shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.shut()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self.open:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    self._threads.append(Thread(target=_pump, args=(one, other), daemon=True))
                    self._threads[-1].start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
