"""What was measured of one detector, and how measurements of several become an evaluation. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkds.errors import ArtifactError
from detkds.evaluation import Kind
from detkds.evaluation.analysis import analyse
from detkds.evaluation.result import Analysis
from detkds.evaluation.scores import Cost
from detkds.pipeline.thumbnails import write_thumbnail
from detkds.storage.artifacts import verify

KIND = "evaluation"
FILE = "evaluation.json"
EXAMPLES = 12
"""Images that an evaluation shows at most."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One detector on one set of images.

    Args:
        detections: COCO results.
        description: what it is, for people.
        cost: None where it was not measured.
    """

    detections: Sequence[Mapping[str, Any]]
    description: str = ""
    cost: Cost | None = None


def conclude(
    truth: Mapping[str, Any], measured: Mapping[str, Measurement], compare: Sequence[tuple[str, str]], *, samples: int = 1000
) -> Analysis:
    """Figures, errors, intervals and comparisons, of boxes and, where all objects and a detector have masks, of masks.

    Args:
        truth: a checked COCO object.
        measured: by the detector's name.
        compare: pairs of names; the difference is that of the first less that of the second.
        samples: of the bootstrap.

    Raises:
        ArtifactError: a detection is malformed or not one of these images.
    """
    detections = {name: one.detections for name, one in measured.items()}
    masks = any("segmentation" in detection for found in detections.values() for detection in found) and has_masks(truth)
    kinds: tuple[Kind, ...] = ("bbox", "segm") if masks else ("bbox",)
    analysis = analyse(truth, detections, kinds=kinds, compare=compare, samples=samples, examples=EXAMPLES)
    for name, one in measured.items():
        analysis = analysis.described(name, one.description, one.cost)
    return analysis


def has_masks(truth: Mapping[str, Any]) -> bool:
    """Whether every object of a COCO object has a mask."""
    return all(annotation.get("segmentation") for annotation in truth["annotations"])


def write(folder: Path, analysis: Analysis, measured: Mapping[str, Measurement], truth: Mapping[str, Any], images: Path | None) -> None:
    """Write evaluation.json, detections_NAME.json of each detector, and, where the images are at hand, the examples' thumbnails."""
    (folder / FILE).write_text(json.dumps(analysis.to_json(), indent=1, allow_nan=False))
    for name, one in measured.items():
        (folder / f"detections_{name}.json").write_text(json.dumps(one.detections))
    if images is None:
        return
    names = {image["id"]: image["file_name"] for image in truth["images"]}
    for example in analysis.examples:
        write_thumbnail(images, names[example.image_id], folder / example.file)


def read(artifact: Path) -> tuple[Analysis, dict[str, Any]]:
    """The analysis and the metadata (`seconds`) of a published evaluation.

    Raises:
        ArtifactError: the artifact is not whole, or of another schema.
    """
    meta = verify(artifact, KIND).meta
    return read_analysis(artifact / FILE), dict(meta)


def read_analysis(path: Path) -> Analysis:
    """The content of an evaluation.json.

    Raises:
        ArtifactError: it has another form.
    """
    try:
        return Analysis.read(json.loads(path.read_text()))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be reported: {type(error).__name__} {str(error)[:120]}; evaluate again.") from None
