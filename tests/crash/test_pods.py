"""A pod dies and another one, with an empty folder, resumes from what lies in the bucket: the same journal, recipe and student."""

from __future__ import annotations

import random
import threading

import pytest
from cluster import Cluster, content

from detkds.pipeline.workplace import LEASE
from detkds.storage import open_store
from detkds.storage.lease import Lease
from detkds.storage.server import EmbeddedServer

KINDS = ("evolution", "weights", "random")

DEATHS = [
    ("after __enter__", 1), ("before fetch", 3), ("after fetch", 3),
    ("before put", 2), ("after put", 2), ("before put", 3), ("before put", 20), ("after put", 31), ("before put", 60),
    ("before-objective", 1), ("after-objective", 5), ("half-append", 9), ("after-append", 10), ("ask", 4), ("tell", 9),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_whose_pods_die_ends_like_one_left_alone(cluster: Cluster, kind: str) -> None:
    """At every named point, and at random moments, one pod after the other: each goes on where the one before died."""
    seed = KINDS.index(kind)
    study = {"study": (kind, seed)}
    rng = random.Random(seed)
    named = [{**study, "out": str(cluster.folder / "never"), "die": death} for death in DEATHS[seed::3]]
    moments = [{**study, "out": str(cluster.folder / "chance"), "kill_after_s": rng.uniform(0.3, 0.7)} for _ in range(3)]
    *died, ended = cluster.run(*named, *moments, {**study, "out": str(cluster.folder / "killed")})
    assert died[: len(named)] == ["killed"] * len(named)
    print(died)
    assert set(died) <= {"killed", "done"}  # by chance the study may have ended before
    assert ended == "done", died

    assert cluster.run({**study, "out": str(cluster.folder / "alone"), "work": ""}) == ["done"]
    assert content(cluster.folder / "killed") == content(cluster.folder / "alone")


def test_a_pod_that_died_after_it_published_is_answered_by_the_journal(cluster: Cluster) -> None:
    study = {"study": ("evolution", 5)}
    first, second = cluster.folder / "first", cluster.folder / "second"
    # The second pod would die if it measured anything at all.
    ends = cluster.run({**study, "out": str(first)}, {**study, "out": str(second), "die": ("before-objective", 1)})
    assert ends == ["done", "done"]
    assert content(first) == content(second)


def test_a_second_pod_waits_and_takes_what_the_first_found(
    cluster: Cluster, s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10, between pods."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    study = {"study": ("evolution", 0)}
    assert cluster.run({**study, "out": str(cluster.folder / "never"), "die": ("before put", 9)}) == ["killed"]
    store = open_store(cluster.work)
    (place,) = {entry.key.partition("/")[0] for entry in store.list()}
    before = store.get_bytes(f"{place}/journal.jsonl")
    held = Lease(store, f"{place}/{LEASE}", seconds=0.4)
    held.__enter__()
    seen: list[bytes] = []

    def leave() -> None:
        seen.append(store.get_bytes(f"{place}/journal.jsonl"))
        held.__exit__(None, None, None)

    threading.Timer(8.0, leave).start()
    assert cluster.run({**study, "out": str(cluster.folder / "second")}) == ["done"]
    assert seen == [before]  # it touched nothing while it waited
    assert cluster.run({**study, "out": str(cluster.folder / "alone"), "work": ""}) == ["done"]
    assert content(cluster.folder / "second") == content(cluster.folder / "alone")
