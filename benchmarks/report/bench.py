"""Rendering time and size of a report: `python benchmarks/report/bench.py`. The goal is a page of at most 2 MB.

The large run has five searches of 60 candidates and one over weights, a random search beside one of them, three detectors with boxes and
masks of 80 classes, and 12 images with detections.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "report"))

from sample_run import large, sample

from detkds.report import ReportData, markdown, render, results
from detkds.report.compare import compare
from detkds.report.comparison import Run

ROUNDS = 5
WRITERS: dict[str, Callable[[ReportData], str]] = {
    "report.html": render,
    "report.md": markdown,
    "results.json": lambda data: json.dumps(results(data), indent=1),
    "comparison of two": lambda data: compare([Run("first", data), Run("second", data)]),
}


def main() -> None:
    print("\n### Report\n\n| run | what | CPU ms | KB |\n|---|---|---:|---:|")
    for name, make in {"small": sample, "large": large}.items():
        for what, write in WRITERS.items():
            times = []
            for _ in range(ROUNDS):
                data = make()  # again: what follows from a study is kept with it
                began = time.process_time()
                text = write(data)
                times.append(1000 * (time.process_time() - began))
            print(f"| {name} | {what} | {median(times):.0f} | {len(text.encode()) / 1000:.0f} |")


if __name__ == "__main__":
    main()
