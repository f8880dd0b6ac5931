"""How a training uses images without labels. Apart from `data.unlabelled`, so that reading a run.yaml needs no array library."""

from __future__ import annotations

from dataclasses import dataclass

from detkds.errors import ConfigError

SCHEDULES = ("constant", "ramp")
RAMP = 0.5
"""Share of a training over which the weight of the unlabelled images rises under `ramp`."""


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """How a training uses images without labels, see docs/adr/0025.

    Args:
        share: of a step's images that have no labels, above 0 and below 1; the labelled ones stay as many as without them.
        schedule: of the weight of their losses: `constant`, or `ramp`, from 0 up over the first half of the training.
        min_score: a detection of the teacher with this score or more stands for an object, above 0 and at most 1.
        knowledge: which of the recipe's losses are taken of these images too, comma-separated; empty: all.

    Raises:
        ConfigError: a value is out of range.
    """

    share: float = 0.5
    schedule: str = "constant"
    min_score: float = 0.3
    knowledge: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"data.unlabelled.share must be above 0 and below 1, got {self.share}.")
        if self.schedule not in SCHEDULES:
            raise ConfigError(f"data.unlabelled.schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}.")
        if not 0 < self.min_score <= 1:
            raise ConfigError(f"data.unlabelled.min_score must be above 0 and at most 1, got {self.min_score}.")

    def images(self, batch_size: int) -> int:
        """Unlabelled images of a step with so many labelled ones: as many as make up the share, at least 1."""
        return max(1, round(batch_size * self.share / (1 - self.share)))

    def weight(self, step: int, steps: int) -> float:
        """What the unlabelled images' loss counts at a step, of `steps`; the labelled images' loss counts 1 less that."""
        return self.share * min(1.0, step / (RAMP * steps)) if self.schedule == "ramp" else self.share

    def uses(self, knowledge: str) -> bool:
        """Whether a loss of this knowledge is taken of unlabelled images."""
        return not self.knowledge or knowledge in self.knowledge.split(",")
