"""What stage 1 costs at COCO's size, and how close its sample is: `python benchmarks/subset/bench.py`.

A file of 118,000 images and 860,000 annotations (generator.py) is read, checked, sampled (25,000 images for search-train, 5,000 for
search-val) and written, without image files. The goals are 30 s and 3 GB on two cores, and a criterion of at most half of what 1,000
random draws reach.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from generator import ANNOTATIONS, IMAGES

from detkds.data import split, write_coco
from detkds.data.checking.document import read
from detkds.data.checking.faults import Findings
from detkds.data.checking.parsing import without_collection
from detkds.data.coco import judge
from detkds.data.sampling.subset import Split

Result = TypeVar("Result")

TRAIN, VAL = 25_000 / IMAGES, 5_000 / IMAGES


class Phases:
    """Measures one phase after another."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []

    def run(self, name: str, work: Callable[[], Result]) -> Result:
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        self.rows.append((name, time.perf_counter() - wall, time.process_time() - processor))
        return result

    def show(self) -> None:
        total = ("total", *(sum(row[column] for row in self.rows) for column in (1, 2)))
        print("| phase | s | of the processor s |\n|---|---:|---:|")
        for name, wall, processor in (*self.rows, total):
            print(f"| {name} | {wall:.1f} | {processor:.1f} |")


def checked(path: Path, phases: Phases) -> dict[str, Any]:
    findings = Findings(str(path))
    with without_collection():
        document = phases.run("read", lambda: read(path, findings))
        if not phases.run("check", lambda: judge(document, findings)) or findings.faults:
            sys.exit(f"{path} has faults, first {findings.faults[0]}")
    found: dict[str, Any] = document
    return found


def written(folder: Path, coco: dict[str, Any], drawn: Split) -> None:
    for name, part in (("train", coco), ("search_train", drawn.search_train), ("search_val", drawn.search_val)):
        write_coco(folder / f"{name}.json", part)


def show_closeness(drawn: Split) -> None:
    print("\n| part | images | criterion | 1,000 random draws | chi2 | 1,000 random draws |\n|---|---:|---:|---:|---:|---:|")
    for name, part in drawn.summary["parts"].items():
        best = part["random"]
        print(
            f"| {name} | {part['images']:,} | {part['criterion']:.3f} | {best['criterion']:.3f} | {part['chi2']:.2f} | {best['chi2']:.1f} |"
        )
    equal = drawn.equal_time
    print(f"\nsearch_train took {drawn.seconds:.1f} s; {equal.draws:,} random draws in the same time reach a criterion of "
          f"{equal.criterion:.3f} and chi2 {equal.chi2:.1f}.")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--annotations", type=int, default=ANNOTATIONS)
    options = parser.parse_args()
    phases = Phases()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "instances.json"
        size = ["--images", str(options.images), "--annotations", str(options.annotations)]
        subprocess.run([sys.executable, str(Path(__file__).with_name("generator.py")), str(path), *size], check=True)
        what = f"{options.images:,} images, {options.annotations:,} annotations, {path.stat().st_size / 1e6:.0f} MB"
        print(f"\n### Subset: {platform.machine()}, {os.cpu_count()} cores; {what}\n")
        coco = checked(path, phases)
        drawn = phases.run("sample", lambda: split(coco, fraction=TRAIN, val_fraction=VAL, seed=0))
        phases.run("write", lambda: written(Path(scratch), coco, drawn))
    phases.show()
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f} GB")
    show_closeness(drawn)


if __name__ == "__main__":
    main()
