"""How many candidates an hour a search of one knowledge measures, against the plain loop: one candidate after another in one process, each
with its own batches and its own pass of the teacher, scored on all of search-val, none answered by another.

usage: python -m benchmarks.search.speed run.yaml OUT.jsonl [--home DIR] [--knowledge global] [--population 6] [--iterations 7]
       [--rounds 1] [--variants plain,folds,...]

Each variant of VARIANTS adds one part to the one before it, `rungs` and `two processes` each to `cohort`. Every line of OUT is one search,
written when it has ended; those that are there are not run again. Prints for each variant its candidates an hour, ratios to the plain loop
of the same round in wall and in CPU seconds of all processes together, and whether the winner is the same; several iterations at once ask
other candidates, so theirs need not be.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds.detectors import objective
from detkds.detectors.teacher_pass import KEPT_BYTES
from detkds.genome import Knowledge
from detkds.pipeline.evolve import designer
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.run import Run
from detkds.pipeline.values import Values
from detkds.pipeline.workers import hired
from detkds.processes import use_cpus
from detkds.search import Journal
from detkds.search.rungs import racing
from detkds.search.study import run

VARIANTS = {
    "plain": {"folds": False, "early_stop": False, "cohort": 1, "workers": 1, "rungs": False},
    "folds": {"folds": True, "early_stop": False, "cohort": 1, "workers": 1, "rungs": False},
    "early stop": {"folds": True, "early_stop": True, "cohort": 1, "workers": 1, "rungs": False},
    "cohort": {"folds": True, "early_stop": True, "cohort": 8, "workers": 1, "rungs": False},
    "rungs": {"folds": True, "early_stop": True, "cohort": 8, "workers": 1, "rungs": True},
    "two processes": {"folds": True, "early_stop": True, "cohort": 8, "workers": 2, "rungs": False},
    "two processes, four iterations at once": {"folds": True, "early_stop": True, "cohort": 8, "workers": 2, "rungs": False, "at_once": 4},
}  # fmt: skip


def search(values: dict[str, Any], subset: Path, knowledge: str, variant: dict[str, Any], folder: str) -> dict[str, Any]:
    """One search; what it measured, and what it took."""
    use_cpus()
    objective.KEPT_BYTES = KEPT_BYTES if variant["cohort"] > 1 else 0  # the others are measured in this process
    told = Values.read(values)
    plan = replace(told.search_plan, early_stop=variant["early_stop"], rungs=variant["rungs"], iterations_at_once=variant.get("at_once", 1))
    build = partial(Proxy, told.pair, told.proxy, subset, early_stop=plan.early_stop, repeats=plan.repeats, work=folder)
    proxy = build()
    searcher = racing(designer(Knowledge(knowledge), plan, told.seed, proxy), rungs=plan.rungs)
    identify = proxy.identify if variant["folds"] else str
    began, cpu = time.monotonic(), _cpu_s()
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(Path(folder) / "journal.jsonl", {}))
        with hired(variant["workers"], build, variant["cohort"], proxy) as crew:
            found = run(searcher, crew, journal, identify=identify, ahead=crew.ahead)
    counts, best = found.counts, found.best
    return {
        "candidates": counts.candidates, "trained": counts.trained, "answered": counts.answered, "left": counts.left,
        "rejected": sum(counts.rejected.values()), "student_steps": counts.student_steps, "seconds": time.monotonic() - began,
        "cpu_seconds": _cpu_s() - cpu, "winner": str(best.recipe) if best else "", "winner_AP": best.score if best else None,
        "trials": [[str(trial.recipe), trial.score, dict(trial.rungs), trial.reason] for trial in found.trials],
    }  # fmt: skip


def _cpu_s() -> float:
    """CPU seconds of this process and of its processes that have ended."""
    return sum(os.times()[:4])


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown; medians over rounds."""
    plain = {row["round"]: row for row in rows if row["variant"] == "plain"}
    lines = [
        "| search | candidates per hour | × plain, wall | × plain, CPU | trained | answered | left | student steps | winner as plain |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name in VARIANTS:
        own = [row for row in rows if row["variant"] == name and row["round"] in plain]
        if not own:
            continue
        pace, wall, cpu = (statistics.median(_pace(row, plain[row["round"]])[place] for row in own) for place in range(3))
        same = {row["winner"] == plain[row["round"]]["winner"] for row in own}
        counts = " | ".join(str(own[0][key]) for key in ("trained", "answered", "left", "student_steps"))
        lines.append(f"| {name} | {pace:.0f} | {wall:.2f} | {cpu:.2f} | {counts} | {'yes' if same == {True} else 'no'} |")
    return lines


def _pace(row: dict[str, Any], plain: dict[str, Any]) -> tuple[float, float, float]:
    """Candidates an hour; how many times those of the plain loop, in wall and in CPU seconds."""
    each, base = ([one[key] / one["candidates"] for key in ("seconds", "cpu_seconds")] for one in (row, plain))
    return 3600 / each[0], base[0] / each[0], base[1] / each[1]


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_yaml", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--home", type=Path, default=Path(".detkds"))
    parser.add_argument("--knowledge", default="global")
    parser.add_argument("--population", type=int, default=6)
    parser.add_argument("--iterations", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    known = {(row["round"], row["variant"]) for row in rows}
    with Run.open(given.run_yaml, home=given.home, console=Console(stderr=True)) as opened:
        values = {**opened.values, "population": given.population, "iterations": given.iterations, "work": ""}
        for place in range(given.rounds):
            for name in given.variants.split(","):
                if (place, name) in known:
                    continue
                context = multiprocessing.get_context("spawn")
                with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, context) as pool:
                    found = pool.submit(search, values, opened.subset, given.knowledge, VARIANTS[name], folder).result()
                rows.append({"round": place, "variant": name, **found})
                with given.out.open("a") as lines:
                    lines.write(json.dumps(rows[-1]) + "\n")
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
