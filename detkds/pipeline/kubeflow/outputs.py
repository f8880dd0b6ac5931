"""The result of a stage, written into the outputs of its task: the same for every component."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Protocol

from detkds.pipeline.settings import Result


class Output(Protocol):
    """An output artifact of KFP."""

    path: str
    metadata: dict[str, Any]


class Metrics(Output, Protocol):
    """An output of KFP that the UI shows as a table of numbers."""

    def log_metric(self, metric: str, value: float) -> None:
        """Show a number."""


def hand_on(
    result: Result, *artifacts: Output, metrics: Metrics | None = None, summary: Output | None = None, page: Output | None = None
) -> None:
    """Write the result of a stage into the outputs that its task has.

    Args:
        result: of the stage.
        artifacts: receive the metadata; the stage wrote their content itself.
        metrics: receives the numbers that are finite: KFP's launcher cannot read NaN.
        summary, page: receive the Markdown and the HTML.
    """
    for artifact in artifacts:
        artifact.metadata.update(result.metadata)
    if metrics is not None:
        finite = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
        Path(metrics.path).write_text(json.dumps(finite))
        for name, value in finite.items():
            metrics.log_metric(name, value)
    if summary is not None:
        Path(summary.path).write_text(result.markdown)
    if page is not None:
        Path(page.path).write_text(result.page)
