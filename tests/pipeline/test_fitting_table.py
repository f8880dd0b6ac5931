"""A table that is too wide leaves out whole columns and cuts no figure."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from detkds.pipeline.fitting_table import FittingTable


def drawn(width: int) -> list[list[str]]:
    table = FittingTable("trainings", ("task", "done", "loss", "images/s", "time left"), ("images/s", "loss"))
    table.add_row("train distilled", "step 200/200", "1.483", "21.2", "finished")
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines() if line.strip() and "─" not in line]
    assert all(len(line) <= width for line in lines)
    return [line.split("  ") if "  " in line else line.split() for line in lines]


@pytest.mark.parametrize(
    ("width", "shown", "absent"),
    [
        (70, "step 200/200 1.483 21.2 finished", ""),
        (54, "step 200/200 1.483 finished", "21.2"),
        (44, "step 200/200 finished", "1.483"),
    ],
)
def test_columns_are_left_out_in_their_order_and_figures_stay_whole(width: int, shown: str, absent: str) -> None:
    text = " ".join(" ".join(line) for line in drawn(width))
    row = " ".join(text.partition("train distilled")[2].split())
    assert row == shown
    assert "…" not in text
    assert not absent or absent not in text


def test_where_nothing_more_can_be_left_out_the_text_is_wrapped() -> None:
    text = " ".join(word for line in drawn(34) for word in line)
    assert "…" not in text
    for word in ("distilled", "200/200", "finished"):
        assert word in text
