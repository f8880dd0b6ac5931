"""One process of a search that several share, with a proxy that answers by a formula."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from typing import Any

from detkds.errors import DetKDSError, Rejected
from detkds.genome import Recipe
from detkds.objective import Goal, Outcome
from detkds.pipeline import node_executor, proxy, search_rank, teaching
from detkds.pipeline.settings import Pair, Schedule


class Formula:
    """In the place of Proxy: a score made of recipe and seed, and a line in the file NOTES that says which process measured it."""

    kept = "all"

    def __init__(self, pair: Pair, schedule: Schedule, *_: Any, **__: Any) -> None:
        self.seed = schedule.seed
        self.identity = {"objective": "formula", "seed": schedule.seed}

    def unsupported(self, knowledge: Any) -> None:
        """Every knowledge can be shared."""

    def identify(self, recipe: Recipe) -> str:
        """The recipe's digest."""
        return recipe.digest

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """A score in [0, 1], which the seed moves a little; one recipe of seven is rejected."""
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{os.environ['RANK']}\n")
        time.sleep(0.05)
        value, moved = number(str(recipe)), number(f"{recipe} {self.seed}")
        if recipe.active and value % 7 == 0:
            raise Rejected("nan", "the loss is nan", 3)
        if os.environ.get("DIES_AT") and int(os.environ["RANK"]) == 1:
            os.kill(os.getpid(), 9)
        base = 0.2 + 0.7 * (value % 1000) / 1000 if recipe.active else 0.1
        return Outcome(base + 0.01 * (moved % 1000) / 1000, 12)


def number(text: str) -> int:
    """Any text's."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def started(address: str, environment: Mapping[str, str]) -> BaseProcess:
    """A process of the job at an address. It is forked from one that has imported torch, so that it starts in no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch.distributed", "detkds.pipeline.search_rank", "search_process"])
    process = context.Process(target=_process, args=(address, dict(environment)))
    process.start()
    return process


def _process(address: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    node_executor.SILENT_S = float(environment.get("DETKDS_SILENT_S", node_executor.SILENT_S))  # it was read before the fork
    proxy.Proxy = Formula  # type: ignore[misc,assignment]
    teaching.require_teaching = lambda *_: None  # type: ignore[assignment]
    try:
        search_rank.run(address)
    except DetKDSError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
