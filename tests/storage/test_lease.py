"""R10: one process at a time works at a place of a store, and a dead one does not block it for long."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from detkds.errors import ConfigError, StoreError, StudyHeldError
from detkds.storage import Store
from detkds.storage.lease import LEASE_S, Lease

KEY = "evolve-global-1f/lease.json"
SHORT_S = 0.4


def lease(store: Store) -> Lease:
    return Lease(store, KEY, seconds=SHORT_S)


def silent(held: Lease) -> None:
    """What a process leaves that was killed."""
    held._left.set()


def test_a_living_holder_is_named_and_a_second_one_refused(store: Store) -> None:
    with lease(store) as first:
        with pytest.raises(StudyHeldError, match=r"lease\.json is held by process \d+ on .+; wait for it to end, or stop it\.") as refused:
            lease(store).__enter__()
        assert refused.value.exit_code == 75
        first.confirm()


def test_who_leaves_orderly_leaves_nothing(store: Store) -> None:
    with lease(store):
        assert store.exists(KEY)
    assert not store.exists(KEY)
    with lease(store):
        pass


def test_a_lease_is_given_back_also_after_an_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), lease(store):
        _ = 1 / 0
    assert not store.exists(KEY)


def test_a_dead_holder_is_replaced_after_its_time(store: Store) -> None:
    dead = lease(store).__enter__()
    silent(dead)
    began = time.monotonic()
    with lease(store) as heir:
        assert time.monotonic() - began >= SHORT_S
        heir.confirm()


def test_who_was_silent_too_long_learns_it_and_does_not_take_the_place_from_its_heir(store: Store) -> None:
    frozen = lease(store)
    frozen.__enter__()
    silent(frozen)
    with lease(store) as heir:
        frozen._left.clear()  # it wakes up
        with pytest.raises(StudyHeldError, match=r"was taken over by process \d+ .+silent for 0\.4 s"):
            frozen.confirm()
        frozen.__exit__(None, None, None)
        heir.confirm()
        assert store.exists(KEY)


def test_of_many_that_start_together_one_holds(store: Store) -> None:
    together, done = Barrier(8), Barrier(8)

    def start(_: int) -> bool:
        mine = lease(store)
        together.wait()
        try:
            mine.__enter__()
        except StudyHeldError:
            done.wait()
            return False
        done.wait()
        mine.__exit__(None, None, None)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, range(8))) == 1


def test_a_place_that_somebody_cleared_up_is_still_held(store: Store) -> None:
    with lease(store) as held:
        store.delete(KEY)
        held._beat()
        held.confirm()
        assert json.loads(store.get_bytes(KEY))["holder"] == held._holder


def test_what_is_no_lease_runs_out_like_a_dead_one(store: Store) -> None:
    store.put_bytes(b"\0 not JSON", KEY)
    with lease(store) as held:
        held.confirm()


def test_with_the_store_away_nothing_is_given_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError), lease(store):
        raise StoreError("the store is away")
    assert store.exists(KEY)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "1e9"])
def test_the_time_of_a_lease_is_checked(store: Store, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(LEASE_S, value)
    with pytest.raises(ConfigError, match="DETKDS_LEASE_S must be a number of seconds above 0"):
        Lease(store, KEY)
