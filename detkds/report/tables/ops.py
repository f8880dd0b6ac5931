"""Which words the good candidates use: op by slot, the share in the top against the share in all (the guidance under Table 5)."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.genome import SLOTS, Knowledge
from detkds.genome.decisions import BESIDE, in_order
from detkds.report.study import WEIGHTS, ReportedStudy, top
from detkds.report.tables.table import Column, Table
from detkds.report.text import share


def ops(searches: Sequence[ReportedStudy]) -> list[Table]:
    """A table for each set of slots: feature knowledge, logits, localization, and the weights; studies with too few scores left out."""
    families: dict[str, list[ReportedStudy]] = {}
    for study in searches:
        if top(study.choices):
            family = "features" if study.name in set(Knowledge) and Knowledge(study.name).is_feature else study.name
            families.setdefault(family, []).append(study)
    return [_weights(members[0]) if family == WEIGHTS else _words(members) for family, members in families.items()]


def _words(members: Sequence[ReportedStudy]) -> Table:
    """Words by slot, two columns per study."""
    rows: list[tuple[str, ...]] = []
    groups: dict[int, str] = {}
    knowledges = [Knowledge(study.name) for study in members]
    for slot in (*SLOTS[knowledges[0]], *BESIDE):
        if used := {word for study in members for word in _used(study, slot)}:
            groups[len(rows)] = slot
            ordered = dict.fromkeys(word for knowledge in knowledges for word in in_order(knowledge, slot, used))
            rows += [(word, *(cell for study in members for cell in _cells(study, slot, word))) for word in ordered]
    heads = [head for study in members for head in _heads(study.name, study)]
    return Table((Column("op"), *heads), tuple(rows), groups)


def _weights(study: ReportedStudy) -> Table:
    """Weights by knowledge."""
    used = sorted({word for _, words in study.choices for word in words}, key=float)
    rows = [(weight, *(cell for name in study.slots for cell in _cells(study, name, weight))) for weight in used]
    heads = [head for name in study.slots for head in _heads(name, study)]
    return Table((Column("weight"), *heads), tuple(rows))


def _heads(name: str, study: ReportedStudy) -> tuple[Column, Column]:
    return Column(f"{name}: top {len(top(study.choices))}", "heat"), Column(f"all {len(study.choices)}", "number")


def _used(study: ReportedStudy, slot: str) -> set[str]:
    """What a study's candidates have in a slot; nothing of a slot that it has not."""
    if slot not in study.slots:
        return set()
    place = study.slots.index(slot)
    return {words[place] for _, words in study.choices}


def _cells(study: ReportedStudy, slot: str, word: str) -> tuple[str, str]:
    if slot not in study.slots:
        return "", ""
    best, place = top(study.choices), study.slots.index(slot)
    used = [sum(words[place] == word for _, words in group) for group in (best, study.choices)]
    return share(used[0], len(best)), share(used[1], len(study.choices))
