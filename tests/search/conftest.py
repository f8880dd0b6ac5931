"""What tests of the search share: a cheap objective with structure, and a driver without a journal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detkds.genome import Recipe
from detkds.search import Trial
from detkds.testing.designer import drive, structured

Score = Callable[[Recipe], float | None]


@pytest.fixture(name="structured")
def _structured() -> Score:
    return structured


@pytest.fixture(name="drive")
def _drive() -> Callable[..., list[Trial]]:
    return drive
