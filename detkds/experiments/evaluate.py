"""Evaluate detectors and results files on a COCO annotation file, without a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detkds.data.coco import load
from detkds.errors import ConfigError
from detkds.experiments.evaluation_inputs import EvaluationInput
from detkds.experiments.evaluation_table import show
from detkds.experiments.results_file import read_results
from detkds.pipeline.measurement import KIND, Measurement, conclude, has_masks, write
from detkds.storage.artifacts import publishing

if TYPE_CHECKING:
    from detkds.detectors.trained_detector import TrainedDetector


@dataclass(frozen=True, slots=True)
class Options:
    """How detectors are run.

    Args:
        images: the folder that the annotation file speaks of; results files do not need it.
        batch_size: images a forward pass.
        device: "auto", "cpu", "cuda" or "cuda:N".
        trust: whether config files that are Python may run.
    """

    images: Path | None = None
    batch_size: int = 1
    device: str = "auto"
    trust: bool = False


def evaluate(
    annotations: Path,
    evaluation_inputs: Sequence[EvaluationInput],
    options: Options,
    console: Console,
    *,
    samples: int = 1000,
    per_class: bool = False,
    out: Path | None = None,
) -> None:
    """Print what each of them reaches on `annotations`, and how it differs from those before it.

    Args:
        annotations: the COCO annotation file.
        evaluation_inputs: what to evaluate.
        options: of the detectors.
        console: to print on.
        samples: of the bootstrap.
        per_class: also print a table of the classes.
        out: publish an evaluation artifact there.

    Raises:
        DetKDSError: a file cannot be used; the message says which.
    """
    truth = load(annotations, options.images)
    with _place(out) as folder:
        measured = {one.name: _of_file(one.path, truth, annotations) for one in evaluation_inputs if not one.config}
        detectors = {
            one.name: _load(one, truth, options) for one in evaluation_inputs if one.config
        }  # all of them before the first one runs
        for name, ready in detectors.items():
            with _progress(name, console) as progress:
                measured[name] = _run(ready, annotations, options, progress)
        if not has_masks(truth) and any("segmentation" in detection for one in measured.values() for detection in one.detections):
            console.print(f"{annotations} has objects without masks: only boxes are evaluated", markup=False, soft_wrap=True)
        analysis = conclude(truth, measured, [(later, earlier) for earlier, later in combinations(measured, 2)], samples=samples)
        show(analysis, console, per_class=per_class)
        if folder is not None:
            write(folder, analysis, measured, truth, options.images)
    if out is not None:
        console.print(f"written to {out}", markup=False, soft_wrap=True)


def _place(out: Path | None) -> AbstractContextManager[Path | None]:
    """Where files go; a place that cannot be used is refused before anything is measured."""
    return nullcontext() if out is None else publishing(out, kind=KIND)


def _of_file(path: Path, truth: Mapping[str, Any], annotations: Path) -> Measurement:
    return Measurement(read_results(path, truth, annotations), f"results of {path.name}")


def _load(given: EvaluationInput, truth: Mapping[str, Any], options: Options) -> TrainedDetector:
    from detkds.detectors.configs.data_config import read_config  # here, for results files need no torch
    from detkds.detectors.trained_detector import trained_detector

    if options.images is None:
        raise ConfigError(f"the detector {given.name!r} needs images, got none; give --images with their folder.")
    return trained_detector(read_config(given.config, trust=options.trust), given.path, truth)


def _run(ready: TrainedDetector, annotations: Path, options: Options, progress: Callable[[int, int], None]) -> Measurement:
    from detkds.detectors.training.batches import Samples, Source
    from detkds.pipeline.measure import measure

    assert options.images is not None  # `_load` asked
    samples = Samples(ready.config, Source(annotations, options.images), training=False)
    size, ids = options.batch_size, ready.category_ids
    return measure(ready.detector, samples, batch_size=size, device=options.device, category_ids=ids, progress=progress)


@contextmanager
def _progress(name: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, which goes when it is full; ten lines elsewhere."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def progress(done: int, images: int) -> None:
            bar.update(task, completed=done, total=images)
            if bar.disable and 10 * done // images > 10 * (done - 1) // images:
                console.print(f"{name}: {done}/{images} images", markup=False)

        yield progress
