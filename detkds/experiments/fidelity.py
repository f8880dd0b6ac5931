"""Does the proxy order losses as the full training does? (Figure 5, for losses instead of detectors)"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds.errors import ConfigError
from detkds.experiments.ablations import Ablations
from detkds.experiments.compare import train
from detkds.experiments.prepared_run import Effort, PreparedRun, prepared_run
from detkds.objective import SCORES
from detkds.pipeline.run import Run
from detkds.pipeline.run_config import Search
from detkds.report.correlation import agreement

SCHEMA = "detkds.fidelity/1"
KIND = "fidelity"
RESAMPLES = 1000
LEVEL = 0.95
COEFFICIENTS = ("kendall", "spearman", "pearson")
OF_A_SEARCH = (
    "algorithm",
    "population",
    "iterations",
    "iterations_at_once",
    "sample_ratio",
    "top_k",
    "budget",
    "weights",
    "warm_start",
    "final_race",
)
"""Keys of `search` that say how candidates are chosen."""
Pairs = Sequence[tuple[float, float]]


def fidelity(
    path: Path, genomes: int, effort: Effort, *, home: Path, trust: bool, console: Console, out: Path | None, embedded_s3: bool = False
) -> None:
    """Score random genomes with the proxy, train the student with each in full, and report how the two orders agree.

    The proxy's score is `search.score` on search-val after `search.proxy_epochs` on search-train; the other is AP on the test images after
    `train.epochs` on all training images.

    Args:
        path: the run.yaml.
        genomes: how many that the proxy can score, 3 or more.
        effort: epochs of the full training and jobs; one seed.
        home, trust, embedded_s3: see `Run.open`.
        console: gets progress and figures.
        out: the artifact with fidelity.json and fidelity.md; None: fidelity/NAME below `home`.

    Raises:
        ConfigError: fewer than 3 genomes.
        DetKDSError: something cannot be used; the message says which.
    """
    if genomes < 3:
        raise ConfigError(f"an order needs 3 genomes or more, got {genomes}.")
    with Run.open(path, home=home, trust=trust, embedded_s3=embedded_s3, console=console) as run:
        for line in unused(run.config.search):
            run.show(f"[fidelity] {line}")
        made = prepared_run(run, searched=False)
        pairs = _pairs(made, genomes, effort)
        found = conclude([(pair["proxy"], pair["longer"]) for pair in pairs], seed=int(made.values["seed"]))
        epochs = {"proxy": made.values["proxy_epochs"], "longer": effort.epochs or made.values["epochs"]}
        result = {"schema": SCHEMA, "run": made.name, "score": made.values["score"], "epochs": epochs, "pairs": pairs, **found}
        _publish(out or made.home / "fidelity" / made.name, result, console)


def unused(search: Search) -> Iterator[str]:
    """What a run says of its search that a sample of random genomes does not use, for people."""
    if search.rungs:
        yield "search.rungs is not used: every candidate is trained to the end, since each needs its final score"
    if idle := [f"search.{key}" for key in OF_A_SEARCH if key in search.model_fields_set]:
        verb = "is" if len(idle) == 1 else "are"
        yield f"{', '.join(idle)} {verb} not used: the candidates are random genomes, as many as --genomes says"


def conclude(pairs: Pairs, *, seed: int = 0) -> dict[str, Any]:
    """Correlations and their intervals: the middle 95 % of 1000 resamples of the genomes, as plain values; what is not defined is null."""
    whole, rng = agreement(*zip(*pairs, strict=True)), random.Random(seed)
    drawn = [agreement(*zip(*rng.choices(pairs, k=len(pairs)), strict=True)) for _ in range(RESAMPLES)]
    found: dict[str, Any] = {"candidates": len(pairs), "level": LEVEL, "intervals": {}}
    for name in COEFFICIENTS:
        values = sorted(value for one in drawn if math.isfinite(value := getattr(one, name)))
        value = getattr(whole, name)
        found[name] = value if math.isfinite(value) else None
        found["intervals"][name] = [_quantile(values, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)] if values else None
    return found


def _quantile(values: Sequence[float], share: float) -> float:
    return values[round(share * (len(values) - 1))]


def _pairs(made: PreparedRun, genomes: int, effort: Effort) -> list[dict[str, Any]]:
    from detkds.experiments.trainings import Entry

    seed, trainings = int(made.values["seed"]), made.trainings(effort)
    ablations = Ablations(made, trainings, effort)
    scored = [trial for trial in ablations.sample(genomes) if trial.score is not None and trial.recipe.active]
    entries = [Entry(str(trial.recipe), trial.recipe, seed, made.inherit) for trial in scored]
    trained = train(made, trainings, entries, effort)
    both = [(trial, trained[entry.id].score) for trial, entry in zip(scored, entries, strict=True)]
    found = [{"candidate": str(trial.recipe), "proxy": trial.score, "longer": longer} for trial, longer in both if longer is not None]
    if len(found) < 3:
        raise ConfigError(f"an order needs 3 genomes or more, but only {len(found)} of {genomes} could be trained both ways; ask for more.")
    return found


def _publish(out: Path, result: dict[str, Any], console: Console) -> None:
    from detkds.storage.artifacts import publishing

    with publishing(out, kind=KIND, meta={"run": result["run"]}) as folder:
        (folder / "fidelity.json").write_text(json.dumps(result, indent=1, allow_nan=False))
        (folder / "fidelity.md").write_text(markdown(result))
    for line in sentences(result):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"written to {out}", markup=False, soft_wrap=True)


def sentences(result: dict[str, Any]) -> list[str]:
    """One line a coefficient."""
    lines = [f"{result['candidates']} genomes, {result['epochs']['proxy']} against {result['epochs']['longer']} epochs"]
    for name in COEFFICIENTS:
        ends = result["intervals"][name]
        told = "not defined" if result[name] is None else f"{result[name]:+.2f}"
        lines.append(f"{name:<9} {told}" + (f" (95 %: {ends[0]:+.2f} to {ends[1]:+.2f})" if ends else ""))
    return lines


def markdown(result: dict[str, Any]) -> str:
    """Figures and pairs."""
    rows = sorted(result["pairs"], key=lambda pair: -pair["longer"])
    cells = [f"| `{_cell(pair['candidate'])}` | {100 * pair['proxy']:.1f} | {100 * pair['longer']:.1f} |" for pair in rows]
    head = [f"| genome | search-val {SCORES[result['score']]}, proxy | test AP, full training |", "|---|---:|---:|"]
    return "\n".join([*(f"* {line}" for line in sentences(result)), "", *head, *cells, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
