"""One process of a search that several share: `python search_process.py ADDRESS`, with a proxy that answers by a formula."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from typing import Any

from detkds.errors import DetKDSError, Rejected
from detkds.genome import Recipe
from detkds.objective import Goal, Outcome
from detkds.pipeline import proxy, search_rank, teaching


class Formula:
    """In the place of Proxy: a score made of the recipe, and a line in the file NOTES that says which process measured it."""

    kept = "all"

    def __init__(self, *_: Any, **__: Any) -> None:
        self.identity = {"objective": "formula"}

    def unsupported(self, knowledge: Any) -> None:
        """Every knowledge can be shared."""

    def identify(self, recipe: Recipe) -> str:
        """The recipe's digest."""
        return recipe.digest

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """A score in [0, 1]; one recipe of seven is rejected."""
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{os.environ['RANK']}\n")
        time.sleep(0.05)
        value = int(hashlib.sha256(str(recipe).encode()).hexdigest()[:8], 16)
        if recipe.active and value % 7 == 0:
            raise Rejected("nan", "the loss is nan", 3)
        if os.environ.get("DIES_AT") and int(os.environ["RANK"]) == 1:
            os.kill(os.getpid(), 9)
        return Outcome((value % 1000) / 1000, 12)


if __name__ == "__main__":
    proxy.Proxy = Formula  # type: ignore[misc,assignment]
    teaching.require_teaching = lambda *_: None  # type: ignore[assignment]
    try:
        search_rank.run(sys.argv[1])
    except DetKDSError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
