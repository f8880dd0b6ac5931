"""SIGTERM during a training: it ends after the step it is in."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def terminated(listen: bool) -> Iterator[threading.Event]:
    """An event that SIGTERM sets inside; without `listen`, or outside the main thread, SIGTERM keeps its meaning."""
    stop = threading.Event()
    if not listen or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_term(number: int, frame: FrameType | None) -> None:
        stop.set()

    previous = signal.signal(signal.SIGTERM, on_term)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)
