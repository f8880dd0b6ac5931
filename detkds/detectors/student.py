"""Student: a trained model as a folder holds it, ready to predict."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from PIL import Image
from torch import nn

from detkds.detectors.checkpoints import read_checkpoint
from detkds.detectors.configs.classes import named_classes
from detkds.detectors.configs.data_config import read_config
from detkds.detectors.predict import predict
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.train import load_detector
from detkds.errors import ArtifactError
from detkds.evaluation.predictions import Prediction, upright
from detkds.genome import Recipe
from detkds.storage.artifacts import verify
from detkds.storage.manifest import MANIFEST

CHECKPOINT, CONFIG, RECIPE = "student.pth", "student.json", "recipe.json"


@dataclass(frozen=True, slots=True)
class Student:
    """A trained student.

    Args:
        folder: with student.pth, student.py for stock mmdet, and the rest of the artifact.
        detector: in evaluation mode.
        config: its mmdet config.
        classes: names in the order of the detector's labels.
        recipe: what it was trained with.
    """

    folder: Path
    detector: nn.Module
    config: Config
    classes: tuple[str, ...]
    recipe: Recipe

    @classmethod
    def open(cls, folder: str | Path) -> Student:
        """Load a student from a folder that `detkds pull` or `Run.train` wrote.

        Raises:
            ArtifactError: the folder is missing, altered, or holds no student.
        """
        place = Path(folder)
        if not (place / CHECKPOINT).is_file() or not (place / CONFIG).is_file():
            raise ArtifactError(f"{place} holds no student: {CHECKPOINT} and {CONFIG} must be there; fetch one with `detkds pull`.")
        if (place / MANIFEST).is_file():
            verify(place)
        config = read_config(str(place / CONFIG))
        classes = read_checkpoint(place / CHECKPOINT).classes or named_classes(config)
        if classes is None:
            raise ArtifactError(f"{place / CHECKPOINT} does not name its classes; train it again with this version.")
        recipe = Recipe.from_json(json.loads((place / RECIPE).read_text()))
        return cls(place, load_detector(config, place / CHECKPOINT, what="student checkpoint"), config, classes, recipe)

    def predict(self, image: str | Path | Image.Image) -> list[Prediction]:
        """What the student finds in an image, the highest score first, through the test pipeline of its config.

        Args:
            image: a file, or an image of Pillow.

        Raises:
            DatasetError: the file cannot be read as an image.
        """
        with tempfile.TemporaryDirectory() as scratch:
            samples = Samples(self.config, self._single(upright(image), Path(scratch)), training=False)
            found = [detection for batch in predict(self.detector, samples) for detection in batch.detections]
        ranked = sorted(found, key=lambda detection: -detection["score"])
        return [Prediction(self.classes[one["category_id"] - 1], float(one["score"]), _corners(one["bbox"])) for one in ranked]

    def _single(self, image: Image.Image, folder: Path) -> Source:
        """A data set of this image alone, so that it takes the way that test images take. PNG keeps its pixels exact."""
        image.save(folder / "image.png")
        entry = {"id": 1, "file_name": "image.png", "width": image.width, "height": image.height}
        categories = [{"id": number, "name": name} for number, name in enumerate(self.classes, 1)]
        # A file without any object is refused as a test set; this one object is never compared with what is found.
        whole = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, *image.size], "area": image.width * image.height, "iscrowd": 0}
        annotations = folder / "image.json"
        annotations.write_text(json.dumps({"images": [entry], "annotations": [whole], "categories": categories}))
        return Source(annotations, folder)


def _corners(box: list[float]) -> tuple[float, float, float, float]:
    left, top, width, height = box
    return (left, top, left + width, top + height)
