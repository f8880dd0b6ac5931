"""Task: the description of a study for those who watch it, beside its journal."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from detkds.errors import ArtifactError

RUN = "DETKDS_RUN"
"""The environment variable that names the run a stage works for, on a cluster by its id where it was given no name (docs/adr/0013). It
decides nothing, so it is not an input of a stage."""
FILE, JOURNAL, TIMINGS = "task.json", "journal.jsonl", "timings.jsonl"
LEADERBOARD = "leaderboard.json"
"""Of the final race; in the artifact of the search over weights."""
WEIGHTS = "weights"
"""The study that ends a search, but for the final race."""
KNOWN, RACE = "known distillers", "race"
"""Studies of the final race; that of its N-th seed is `race N`."""


@dataclass(frozen=True)
class Task:
    """One study of a search.

    Args:
        name: the knowledge, or "weights".
        expected: how many candidates it requests.
        searched: the knowledges of its run.
        runs: names of the runs that worked on it, the last one last. Runs with equal inputs share a study.
        finished: nothing is left to do.
        reason: why the knowledge was left out; empty where it was not.
        followed_by: names of the studies that the same stage conducts after it.
    """

    name: str
    expected: int = 0
    searched: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    finished: bool = False
    reason: str = ""
    followed_by: tuple[str, ...] = ()

    def joined(self, before: Task | None) -> Task:
        """This task, with the runs that worked on it before and the one that the environment names."""
        runs = [run for run in (before.runs if before else ()) if run != run_name(os.environ.get(RUN, ""))]
        own = run_name(os.environ.get(RUN, ""))
        return replace(self, runs=(*runs, own) if own else tuple(runs))

    def dumps(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def loads(cls, data: bytes, source: object) -> Task:
        """Read what `dumps` wrote; `source` names it in messages.

        Raises:
            ArtifactError: it is something else.
        """
        try:
            content: Mapping[str, Any] = json.loads(data)
            lists = {name: tuple(map(str, content.get(name, ()))) for name in ("searched", "runs", "followed_by")}
            return cls(**{**content, **lists})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ArtifactError(f"{source} is not what a stage writes about its study; delete it, the stage writes it again.") from None


def run_name(text: str) -> str:
    """A run's name as it is compared: what a shell, a path or a label would mind is a hyphen."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
