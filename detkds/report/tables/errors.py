"""Which classes a detector takes for which."""

from __future__ import annotations

from detkds.evaluation.scores import Confusion
from detkds.report.tables.table import Column, Table
from detkds.report.text import count, share

SHOWN_CLASSES, SHOWN_PAIRS = 12, 12


def confused(confusion: Confusion) -> Table:
    """The pairs of classes that are most often taken for each other; what was missed, and what was seen where nothing is, left out."""
    labels, matrix = confusion.labels, confusion.matrix
    places = range(len(labels) - 1)
    pairs = [(matrix[i][j], i, j) for i in places for j in places if i != j and matrix[i][j] > 0]
    rows = [
        (labels[i], labels[j], count(times), share(times, sum(matrix[i])))
        for times, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:SHOWN_PAIRS]
    ]
    return Table((Column("object"), Column("detected as"), Column("times", "number"), Column("of its objects", "share")), tuple(rows))


def confusion(confusion: Confusion) -> Table:
    """What the objects of a class (row) were detected as (column), in percent of the row; of many classes only those with most errors."""
    labels, matrix = confusion.labels, confusion.matrix
    kept = _most_confused(confusion)
    rows = [(labels[i], count(sum(matrix[i])), *(share(matrix[i][j], sum(matrix[i])) for j in kept)) for i in kept if sum(matrix[i])]
    names = (Column(labels[j], "heat") for j in kept)
    return Table((Column("object"), Column("number", "number"), *names), tuple(rows))


def _most_confused(confusion: Confusion) -> list[int]:
    """Places of the labels to show, in their order: all where they are few; the background always."""
    matrix, last = confusion.matrix, len(confusion.labels) - 1
    if last <= SHOWN_CLASSES:
        return list(range(last + 1))
    wrong = [sum(matrix[i][:last]) - matrix[i][i] + sum(row[i] for row in matrix[:last]) - matrix[i][i] for i in range(last)]
    order = sorted(range(last), key=lambda place: (-wrong[place], place))
    return [*sorted(order[:SHOWN_CLASSES]), last]
