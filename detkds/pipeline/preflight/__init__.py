"""Whatever would stop a run before its first training step, found before anything expensive starts.

`detkds run` and `detkds check` both ask here, so that what the one refuses the other refuses too. A new rule is a function that takes the
run's facts and raises an error of ours; it joins RULES.
"""

from detkds.pipeline.preflight.facts import Facts
from detkds.pipeline.preflight.place import different_here
from detkds.pipeline.preflight.rules import RULES, preflight

__all__ = ["RULES", "Facts", "different_here", "preflight"]
