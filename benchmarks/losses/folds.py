"""How exact the folds of `detkds.genome.canonical` are on the features of a real pair: gradients of a genome and of its canonical form.

usage: python -m benchmarks.losses.folds run.yaml

Prints, for each knowledge of features, how many folded forms of the space `paper` have gradients within 1e-3 of each other, relative to
the canonical form's, and those that have not, the worst first.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import torch
from rich.console import Console

from detkds.genome import Genome, Knowledge, Recipe, canonical
from detkds.genome.vocabulary import FEATURES
from detkds.genome.words import vocabulary
from detkds.losses import Views
from detkds.losses.filter import _differentiate
from detkds.pipeline import stage
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.run import Run

TOLERANCE = 1e-3


def gradient(genome: Genome, views: Views) -> torch.Tensor:
    """Of a genome to all of the student's, in one row."""
    return torch.cat([part.flatten() for part in _differentiate(Recipe((genome,)), views, 0)[1]])


def errors(knowledge: Knowledge, views: Views) -> list[tuple[float, str, str]]:
    """The relative error of the gradient of each form that is folded, the worst first."""
    forms = [Genome(knowledge, tuple(rest), distance) for *rest, distance in product(*vocabulary(knowledge, "paper").values())]
    found = []
    for form in forms:
        if (folded := canonical(form)) != form:
            own, other = gradient(form, views), gradient(folded, views)
            found.append((float((own - other).norm() / other.norm().clamp(min=1e-12)), str(form), str(folded)))
    return sorted(found, reverse=True)


def main() -> None:
    """Measure and print."""
    with Run.open(Path(sys.argv[1]), home=Path(".detkds"), trust=False, console=Console(stderr=True)) as run:
        proxy = Proxy(stage.pair(run.values), stage.schedule(run.values, 1), run.subset, early_stop=False)
        views = proxy._objective.probe.views
    for knowledge in FEATURES:
        found = errors(knowledge, views)
        inexact = [one for one in found if one[0] > TOLERANCE]
        print(f"{knowledge}: {len(found) - len(inexact)} exact, {len(inexact)} not, {sum(error > 0.1 for error, *_ in found)} by over 10 %")
        for error, form, folded in inexact:
            print(f"  {error:.4f}  {form}  {folded}")


if __name__ == "__main__":
    main()
