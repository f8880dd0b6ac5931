"""SearchSettings: the four numbers of Alg. 1, (P, T, r, k), and how many iterations are asked at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detkds.errors import ConfigError


@dataclass(frozen=True)
class SearchSettings:
    """Alg. 1's (P, T, r, k).

    Args:
        population: P, at least 1.
        iterations: T, at least 0.
        sample_ratio: r, share of the population that forms an iteration's pool, in (0, 1].
        top_k: k, how many of the pool's best may become the parent, 1 to `population`.
        iterations_at_once: iterations whose candidates are asked together, at least 1; the paper's is 1. All of them descend from the
            population before the first of them, and there are T iterations in all, whatever this number is.

    Raises:
        ConfigError: a number breaks its rule.
    """

    population: int = 20
    iterations: int = 40
    sample_ratio: float = 0.9
    top_k: int = 5
    iterations_at_once: int = 1

    def __post_init__(self) -> None:
        rules = {
            "`population >= 1`": self.population >= 1,
            "`iterations >= 0`": self.iterations >= 0,
            "`0 < sample_ratio <= 1`": 0 < self.sample_ratio <= 1,
            "`top_k >= 1`": self.top_k >= 1,
            "`top_k <= population`": self.top_k <= self.population,
            "`iterations_at_once >= 1`": self.iterations_at_once >= 1,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ConfigError(
                f"{' and '.join(broken)} must hold, but got top_k={self.top_k}, population={self.population}, "
                f"iterations={self.iterations}, sample_ratio={self.sample_ratio}, iterations_at_once={self.iterations_at_once}."
            )

    @classmethod
    def preset(cls, name: str) -> SearchSettings:
        """A named reading of section 4.1: `paper` (Alg. 1's T = 40) or `paper-20` ("20 iterations ... for individual losses").

        Raises:
            ConfigError: no such preset.
        """
        if name not in PRESETS:
            raise ConfigError(f"unknown search preset {name!r}: choose from {', '.join(PRESETS)}.")
        return PRESETS[name]

    def iterations_of(self, step: int) -> int:
        """How many iterations a step asks at once; step 0 is the first population, and 0 iterations end the search."""
        return max(0, min(self.iterations_at_once, self.iterations - (step - 1) * self.iterations_at_once))

    def pool_size(self, members: int) -> int:
        """ceil(r P). Rounded first: 0.55 x 20 is 11.000000000000002 in binary."""
        return math.ceil(round(self.sample_ratio * members, 9))


PRESETS = {"paper": SearchSettings(20, 40, 0.9, 5), "paper-20": SearchSettings(20, 20, 0.9, 5)}
KNOWN_RUNNERS = 2
"""So many known distillers enter the final race."""
