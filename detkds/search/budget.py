"""A designer that ends when its candidates have cost enough, so that searches compare at equal numbers of student steps (Table 12)."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.genome import Recipe
from detkds.objective import Goal
from detkds.search.designer import Designer
from detkds.search.trial import Trial


class Budgeted:
    """Asks what another designer asks until the answers have cost `student_steps`; rejected candidates that were never trained cost none.

    The last batch is asked whole, so a search may end above its budget by less than one batch.

    Args:
        designer: asks; where it ends earlier, so does this.
        student_steps: of all its candidates together.
    """

    def __init__(self, designer: Designer, student_steps: int) -> None:
        self._designer, self._left = designer, student_steps

    def ask(self) -> Sequence[Recipe]:
        """The designer's candidates; none where the budget is spent."""
        return self._designer.ask() if self._left > 0 else ()

    def goal(self) -> Goal:
        """The designer's."""
        return self._designer.goal()

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials of the last ask, in its order."""
        self._designer.tell(trials)
        self._left -= sum(trial.student_steps for trial in trials)

    @property
    def best(self) -> Trial | None:
        """The designer's."""
        return self._designer.best
