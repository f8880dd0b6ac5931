"""How far a transfer of many files is."""

from __future__ import annotations

import time
from collections.abc import Callable

APART_S = 3.0
"""Between two lines about a transfer."""


class Meter:
    """Counts files and bytes; its text shows both, the rate and the time left.

    Args:
        files, size: in all; `size` in bytes.
        clock: gives seconds.
    """

    def __init__(self, files: int, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.files, self.size = files, size
        self.done_files = self.done_size = 0
        self._clock = clock
        self._began = self._said = clock()
        self._said_tenths = 0

    def add(self, size: int) -> bool:
        """Count one file; True where a line is due: all is done, or another tenth is and the last line is APART_S old."""
        self.done_files += 1
        self.done_size += size
        done, now = self.done_files == self.files, self._clock()
        due = done or (self._tenths > self._said_tenths and now - self._said >= APART_S)
        if due:
            self._said, self._said_tenths = now, self._tenths
        return due

    def __str__(self) -> str:
        passed_s = max(self._clock() - self._began, 1e-6)
        left_s = passed_s / self._share - passed_s if self._share else 0.0
        left = f", {left_s:.0f} s left" if self._share < 1 else f", {passed_s:.0f} s"
        rate = self.done_size / passed_s / 1e6
        return f"{self.done_files:,}/{self.files:,} files, {in_words(self.done_size)} of {in_words(self.size)}, {rate:.1f} MB/s{left}"

    @property
    def _share(self) -> float:
        """Of the work: small files cost time by number, large ones by size."""
        return (self.done_files / self.files + (self.done_size / self.size if self.size else 1.0)) / 2 if self.files else 1.0

    @property
    def _tenths(self) -> int:
        return int(10 * self._share + 1e-9)


def in_words(size: int) -> str:
    """A number of bytes in MB, or in GB from a thousand of them on."""
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"
