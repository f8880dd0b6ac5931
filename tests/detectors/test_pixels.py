"""What a pipeline does to pixel values is moved into the data preprocessor, and a network sees what it saw before."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import Compose
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from pictures import CLASSES, make_config

from detkds.detectors import adapt, build_detector
from detkds.detectors.configs.pixels import colours, fold_normalisation
from detkds.detectors.normalization import Renormalize
from detkds.errors import ConfigError

IMAGE = np.random.default_rng(3).integers(0, 256, (40, 56, 3), dtype=np.uint8)
OLD = {"type": "Normalize", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "to_rgb": True}
PLAIN = {"type": "DetDataPreprocessor", "bgr_to_rgb": False, "pad_size_divisor": 32}


def config(preprocessor: dict[str, Any], *steps: dict[str, Any], test: list[dict[str, Any]] | None = None) -> Config:
    """The tiny detector with these steps before the packing of both pipelines; the test pipeline may have others."""
    made = make_config()
    made.model.data_preprocessor = preprocessor
    for loader, inner in (("train_dataloader", list(steps)), ("test_dataloader", list(steps) if test is None else test)):
        pipeline = made[loader].dataset.pipeline
        made[loader].dataset.pipeline = [*pipeline[:-1], *inner, pipeline[-1]]
    return Config(made.to_dict())


def seen(made: Config, *, training: bool = False) -> torch.Tensor:
    """The network's input (1, 3, H, W) for IMAGE, through the last steps of the test pipeline and the preprocessor, as mmdet runs them."""
    loader = "train_dataloader" if training else "test_dataloader"
    names = ("Normalize", "Pad", "mmcv.Normalize")
    steps = [TRANSFORMS.build(dict(step)) for step in made[loader].dataset.pipeline if step["type"] in names]
    image = Compose(steps)({"img": IMAGE.copy(), "img_shape": IMAGE.shape[:2]})["img"] if steps else IMAGE
    sample = DetDataSample(metainfo={"img_shape": image.shape[:2]})
    data = {"inputs": [torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))], "data_samples": [sample]}
    found: torch.Tensor = MODELS.build(dict(made.model.data_preprocessor))(data)["inputs"]
    return found


colour = st.lists(st.floats(1.0, 200.0), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(mean=colour, std=colour, rgb=st.booleans(), inner=st.one_of(st.none(), st.tuples(colour, colour)), turned=st.booleans())
def test_a_network_sees_what_it_saw(mean: list[float], std: list[float], rgb: bool, inner: Any, turned: bool) -> None:
    preprocessor = {"type": "DetDataPreprocessor", "bgr_to_rgb": turned, "pad_size_divisor": 1}
    if inner:
        preprocessor |= {"mean": inner[0], "std": inner[1]}
    before = config(preprocessor, {"type": "Normalize", "mean": mean, "std": std, "to_rgb": rgb})
    after = copy.deepcopy(before)
    assert fold_normalisation(after)
    assert not any(step["type"] == "Normalize" for step in after.test_dataloader.dataset.pipeline)
    torch.testing.assert_close(seen(after), seen(before), rtol=1e-4, atol=1e-3)
    assert fold_normalisation(after) == []  # nothing is left to move


@pytest.mark.parametrize("pad", [{"size_divisor": 32}, {"size": (64, 64)}, {"size_divisor": 32, "pad_val": {"img": 1}}], ids=str)
def test_padding_behind_a_normalisation_keeps_its_value(pad: dict[str, Any]) -> None:
    before = config(PLAIN, OLD, {"type": "Pad", **pad})
    after = copy.deepcopy(before)
    fold_normalisation(after)
    # half a grey level of 57 is the rounding of the padding's colour
    torch.testing.assert_close(seen(after), seen(before), rtol=1e-4, atol=0.5 / 57)
    torch.testing.assert_close(seen(after)[..., :40, :56], seen(before)[..., :40, :56], rtol=1e-5, atol=1e-5)


def test_a_teacher_that_normalises_in_its_pipeline_gets_its_own_values_in_distillation() -> None:
    theirs, ours = adapt(config(PLAIN, OLD), CLASSES).config, make_config()
    teacher, student = build_detector(theirs, seed=0), build_detector(ours, seed=0)
    batch = {
        "inputs": [torch.from_numpy(IMAGE.transpose(2, 0, 1).copy())],
        "data_samples": [DetDataSample(metainfo={"img_shape": (40, 56)})],
    }
    data = student.data_preprocessor(batch)
    given = Renormalize(student.data_preprocessor, teacher.data_preprocessor)(data["inputs"], data["data_samples"])
    torch.testing.assert_close(given[..., :40, :56], seen(config(PLAIN, OLD))[..., :40, :56], rtol=1e-4, atol=1e-3)
    assert -2.2 < float(given.min()) < float(given.max()) < 2.7


def test_a_preprocessor_beside_the_model_is_the_models() -> None:
    made = make_config()
    beside = made.model.pop("data_preprocessor")
    made.data_preprocessor = beside
    assert adapt(made, CLASSES).config.model.data_preprocessor == beside


ALBU = {"type": "Albu", "transforms": [{"type": "Normalize"}]}
CHOICE = {"type": "RandomChoice", "transforms": [[OLD], [OLD]]}
DISTORTION = {"type": "PhotoMetricDistortion"}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([ALBU], "Normalize inside Albu of the train_dataloader"),
        ([{"type": "Albu", "transforms": [{"type": "ToFloat", "max_value": 255}]}], "ToFloat inside Albu"),
        ([CHOICE], "Normalize inside RandomChoice"),
        ([OLD, DISTORTION], "PhotoMetricDistortion stands behind Normalize in the train_dataloader"),
    ],
    ids=["Albu", "ToFloat", "choice", "behind"],
)
def test_what_cannot_be_followed_is_refused(steps: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        adapt(config(PLAIN, *steps), CLASSES)


def test_pipelines_that_normalise_differently_are_refused() -> None:
    with pytest.raises(ConfigError, match="must normalise alike, but do train_dataloader by mean"):
        adapt(config(PLAIN, OLD, test=[]), CLASSES)


def test_how_images_are_decoded() -> None:
    made = make_config()
    assert colours(made) == "color"
    made.test_dataloader.dataset.pipeline[0].color_type = "color_ignore_orientation"
    assert colours(made) == "color"
    made.test_dataloader.dataset.pipeline[0].color_type = "grayscale"
    with pytest.raises(ConfigError, match="decode images alike, but they do as color and grayscale"):
        colours(made)
