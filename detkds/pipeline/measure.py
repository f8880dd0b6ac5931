"""A detector run over the images of a data set."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from detkds.detectors.cost import cost
from detkds.detectors.predict import Detection, predict
from detkds.detectors.training.batches import Samples
from detkds.pipeline.measurement import Measurement

Progress = Callable[[int, int], None]
"""Called with the images done and the images in all."""


def measure(
    detector: nn.Module,
    samples: Samples,
    *,
    batch_size: int = 1,
    device: str = "auto",
    category_ids: tuple[int, ...] | None = None,
    progress: Progress = lambda done, images: None,
) -> Measurement:
    """Detections and cost of a detector on all images; see `predict` and `cost`."""
    detections: list[Detection] = []
    done = 0
    for found in predict(detector, samples, batch_size=batch_size, device=device, category_ids=category_ids):
        detections += found.detections
        done += len(found.image_ids)
        progress(done, len(samples))
    return Measurement(detections, description(detector), cost(detector, samples, device=device))


def description(detector: nn.Module) -> str:
    """What a detector is, for people: RetinaNet, 1.1 million parameters."""
    size = sum(parameter.numel() for parameter in detector.parameters()) / 1e6
    return f"{type(detector).__name__}, {size:.1f} million parameters"
