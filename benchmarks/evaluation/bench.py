"""Evaluation at the size of COCO's val2017: `python benchmarks/evaluation/bench.py`.

Made-up ground truth (7.3 objects per image, 80 classes) and 100 detections per image. Each part of the analysis runs, then both programs
count the 12 figures. Compare seconds of the processor: other work on the machine moves them less than the clock.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from world import world

from detkds.evaluation.bootstrap import resampled, weights
from detkds.evaluation.confusion import confusion
from detkds.evaluation.engine import count
from detkds.evaluation.error_curves import error_curves
from detkds.evaluation.found import read_found
from detkds.evaluation.matching import match
from detkds.evaluation.tide import tide
from detkds.evaluation.truth import read_truth

T = TypeVar("T")


def timed(name: str, work: Callable[[], T]) -> tuple[T, float]:
    began, clock = time.process_time(), time.perf_counter()
    result = work()
    cpu, wall = time.process_time() - began, time.perf_counter() - clock
    print(f"| {name} | {cpu:.2f} | {wall:.2f} | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} |", flush=True)
    return result, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="of one image")
    parser.add_argument("--samples", type=int, default=1000, help="of the bootstrap")
    options = parser.parse_args()
    print(f"\n### Evaluation of {options.images:,} images with {options.detections} detections each\n")
    print("| what | CPU s | clock s | peak memory so far, MiB |\n|---|---:|---:|---:|")
    (ground_truth, detections), _ = timed("making the data", lambda: world(options.images, options.detections, seed=0))
    (truth, found), _ = timed("reading and checking", lambda: _read(ground_truth, detections))
    matches, _ = timed("matching, once for all below", lambda: match(truth, found, "bbox"))
    timed("TIDE", lambda: tide(matches))
    timed("error curves", lambda: error_curves(matches))
    timed("confusion", lambda: confusion(matches))
    drawn = weights(options.images, options.samples, 0)
    timed(f"bootstrap of {options.samples:,} resamples", lambda: resampled(matches, drawn))
    faster, fast_s = timed("12 figures, faster-coco-eval", lambda: count(truth, found, "bbox", engine="faster"))
    reference, slow_s = timed("12 figures, pycocotools", lambda: count(truth, found, "bbox", engine="pycocotools"))
    difference = np.abs(faster.figures - reference.figures).max()
    print(f"\npycocotools takes {slow_s / fast_s:.1f} times as long; the largest difference of a figure is {difference:.0e}")


def _read(ground_truth: dict, detections: list) -> tuple:  # type: ignore[type-arg]
    truth = read_truth(ground_truth, "bbox")
    return truth, read_found(truth, detections, "bbox")


if __name__ == "__main__":
    main()
