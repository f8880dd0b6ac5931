"""What a run took, and what its detectors cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from detkds.evaluation.result import Analysis
from detkds.report.data import StageCost
from detkds.report.series import title
from detkds.report.tables.table import Column, Table
from detkds.report.text import MISSING, count, duration, large, share


def costs(stages: Sequence[StageCost]) -> Table:
    """Wall-clock time, its share and the student's training steps of each stage, and their sums."""
    columns = (Column("stage"), Column("time", "number"), Column("share", "share"), Column("student steps", "number"))
    total = total_seconds(stages)
    rows = [(cost.stage, duration(cost.seconds), share(_known(cost.seconds), total), count(cost.student_steps)) for cost in stages]
    steps = [cost.student_steps for cost in stages if cost.student_steps is not None]
    if len(rows) > 1:
        rows.append(("all", duration(total), "", count(sum(steps) if steps else None)))
    return Table(columns, tuple(rows))


def total_seconds(stages: Sequence[StageCost]) -> float:
    """The sum of the known times."""
    return sum(cost.seconds for cost in stages if cost.seconds is not None and math.isfinite(cost.seconds))


def footprints(evaluation: Analysis) -> Table:
    """Parameters, FLOPs and latency of each detector, where they were measured."""
    rows = []
    for name, detector in evaluation.detectors.items():
        if cost := detector.cost:
            low, median, high = (cost.latency_ms.get(part, math.nan) for part in ("low", "median", "high"))
            spread = f"{low:.1f} – {high:.1f}" if math.isfinite(low + high) else MISSING
            size = " × ".join(map(str, cost.input))
            shown = f"{median:.1f} ms" if math.isfinite(median) else MISSING
            rows.append((title(name), large(cost.parameters), large(cost.flops), shown, spread, size, cost.device))
    numeric = ("parameters", "FLOPs per image", "latency, median", "low – high, ms", "input")
    return Table((Column("detector"), *(Column(head, "number") for head in numeric), Column("on")), tuple(rows))


def _known(seconds: float | None) -> float:
    return math.nan if seconds is None else seconds
