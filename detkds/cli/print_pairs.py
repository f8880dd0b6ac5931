"""The tested pairs of detectors: all of them, or one in full."""

from __future__ import annotations

from typing import Any

import yaml
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from detkds.genome import Knowledge
from detkds.pairs import PAIRS, Pair, Side, pair, published


def list_pairs(console: Console) -> None:
    """Print every pair with the paper's table, the knowledges that it shares, and why it does not share the others."""
    table = Table(title="tested pairs of detectors: student, teacher, the paper's table", title_style="bold", box=SIMPLE)
    table.add_column("pair", no_wrap=True)
    for column in ("paper", "knowledges", "not shared"):
        table.add_column(column)
    for entry in PAIRS:
        shared = ", ".join(str(knowledge) for knowledge in Knowledge if knowledge not in entry.unsupported)
        reasons = "; ".join(sorted(set(entry.unsupported.values())))
        table.add_row(entry.name, entry.table, shared if entry.unsupported else "all five", reasons)
    console.print(table)
    console.print("`detkds pairs NAME` shows one of them in detail, `detkds run --pair NAME` uses it.", markup=False)


def describe_pair(name: str, console: Console) -> None:
    """Print one pair in full: configs, what is changed in them, where mmdet's weights lie, and why a knowledge is not shared.

    Raises:
        ConfigError: there is no such pair.
    """
    found = pair(name)
    console.print(found.name, style="bold", markup=False)
    console.print(f"  in the paper  {found.table if found.table[0].isdigit() else 'not reported'}", markup=False)
    for role, side in _sides(found):
        console.print(f"  {role}       {side.config}", markup=False, soft_wrap=True)
        for key, value in side.options.items():
            text = yaml.safe_dump(_plain(value), default_flow_style=True, width=10_000).splitlines()[0]
            console.print(f"                {key}: {text}", markup=False, soft_wrap=True)
        weights = published(side) or "mmdet publishes none for it; train it first"
        console.print(f"                weights: {weights}", markup=False, soft_wrap=True)
    for knowledge in Knowledge:
        console.print(f"  {knowledge:<13} {found.unsupported.get(knowledge, 'yes')}", markup=False)


def plain_pairs(name: str = "") -> dict[str, Any]:
    """All pairs, or one, as plain values.

    Raises:
        ConfigError: there is no such pair.
    """
    return {
        entry.name: {
            "paper": entry.table,
            "shared": [str(knowledge) for knowledge in Knowledge if knowledge not in entry.unsupported],
            "not_shared": {str(knowledge): reason for knowledge, reason in entry.unsupported.items()},
            **{
                role: {"config": side.config, "options": _plain(dict(side.options)), "weights": published(side)}
                for role, side in _sides(entry)
            },
        }
        for entry in ([pair(name)] if name else PAIRS)
    }


def _sides(entry: Pair) -> tuple[tuple[str, Side], ...]:
    return (("student", entry.student), ("teacher", entry.teacher))


def _plain(value: object) -> object:
    """Tuples as lists, as YAML writes them."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
