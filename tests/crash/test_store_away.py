"""R8, R9: the store goes away in the middle of a study, for a while or for good."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import victim
from cluster import content
from gate import Gate

from detkds.errors import StoreError
from detkds.genome import Recipe
from detkds.pipeline import studies
from detkds.pipeline.task import JOURNAL, Task
from detkds.search import Goal, History, Outcome
from detkds.storage.lease import LEASE_S
from detkds.storage.server import EmbeddedServer


class Eventful:
    """The cheap objective, with something that happens at its sixth candidate."""

    def __init__(self, event: Callable[[], None] = lambda: None) -> None:
        self._event, self.measured = event, 0

    def identify(self, recipe: Recipe) -> str:
        return victim.identify(recipe)

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        self.measured += 1
        if self.measured == 6:
            self._event()
        return victim.objective(recipe, goal)


def conduct(objective: Eventful, work: str, out: Path) -> None:
    designer, proxy = victim.designer("evolution", 0), objective
    given: Any = proxy
    studies.publish(studies.conduct("evolve global", Task("global", 27), designer, given, {"seed": 0}, work=work), out)


@pytest.fixture
def gate(s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Gate]:
    with Gate(urlsplit(s3_server.endpoint).port or 0) as gate:
        environment = {**s3_server.environment(), "DETKDS_S3_ENDPOINT": f"http://127.0.0.1:{gate.port}", LEASE_S: "0.3"}
        for name, value in {**environment, "DETKDS_HOME": str(tmp_path / "home")}.items():
            monkeypatch.setenv(name, value)
        yield gate


@pytest.fixture
def alone(gate: Gate, tmp_path: Path) -> dict[str, bytes]:
    conduct(Eventful(), str(tmp_path / "work"), tmp_path / "alone")
    return content(tmp_path / "alone")


def test_a_short_outage_is_outlived(gate: Gate, alone: dict[str, bytes], tmp_path: Path) -> None:
    """It is longer than the lease, which nobody could take meanwhile."""

    def away() -> None:
        gate.shut()
        threading.Timer(0.8, setattr, (gate, "open", True)).start()

    conduct(Eventful(away), f"s3://away/{secrets.token_hex(6)}", tmp_path / "out")
    assert content(tmp_path / "out") == alone


def test_for_good_it_is_one_line_and_nothing_is_lost(
    gate: Gate, alone: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = f"s3://away/{secrets.token_hex(6)}"
    monkeypatch.setenv("DETKDS_S3_DEADLINE_S", "0.5")
    with pytest.raises(
        StoreError, match=r"^object store http://127\.0\.0\.1:\d+ \(bucket 'away'\) failed for 0\.5 s while .+; start the store"
    ) as error:
        conduct(Eventful(gate.shut), work, tmp_path / "never")
    assert error.value.exit_code == 75
    assert "\n" not in str(error.value)
    (journal,) = (tmp_path / "home").glob(f"work/evolve-global-*/{JOURNAL}")
    kept = [trial for trial in History.read(journal).trials.values() if trial.answered_by is None]
    assert len(kept) == 6, "the sixth candidate was measured and is in the journal here"

    for thread in threading.enumerate():  # the process would have ended by now, and its heart with it
        if thread.name == "detkds-lease":
            thread.join(10)
    gate.open = True
    again = Eventful()
    conduct(again, work, tmp_path / "out")
    assert content(tmp_path / "out") == alone
    whole = Eventful()
    conduct(whole, str(tmp_path / "other"), tmp_path / "whole")
    assert again.measured == whole.measured - 6
