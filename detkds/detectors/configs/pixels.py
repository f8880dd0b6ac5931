"""Which pixel values a network sees, said in one place: the `data_preprocessor` of its model.

mmdet's own configs normalise there. Older ones normalise in the pipeline (mmcv's `Normalize`), and some in both. Distillation turns the
student's values into the teacher's and has to know both, so what a pipeline does is moved into the preprocessor, or refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config, ConfigDict

from detkds.errors import ConfigError

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
_GEOMETRY = frozenset(
    {
        *("Resize", "RandomResize", "RandomChoiceResize", "FixShapeResize", "FixScaleResize", "ResizeShortestEdge"),
        *("RandomFlip", "RandomCrop", "CenterCrop", "MinIoURandomCrop", "RandomShift"),
        *("FilterAnnotations", "LoadAnnotations", "ProposalBroadcaster", "PackDetInputs", "ImageToTensor", "ToTensor"),
    }
)
"""Steps that move pixels or carry them on, so that they may stand on either side of a normalisation."""
_VALUES = frozenset({"Normalize", "ToFloat"})
"""Steps that change the scale of pixel values, also by these names inside of other steps such as Albu."""


@dataclass(frozen=True)
class Affine:
    """Values of a network from those of a decoded image (BGR): channels turned round or not, then (value - mean) / std."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    swapped: bool = False

    def then(self, other: Affine) -> Affine:
        """This one, and `other` on what it gives.

        ((x - m) / s - m') / s' = (x - (m + s m')) / (s s'), with m and s turned round where `other` turns channels round.
        """
        mean, std = (self.mean[::-1], self.std[::-1]) if other.swapped else (self.mean, self.std)
        return Affine(
            tuple(m + s * n for m, s, n in zip(mean, std, other.mean, strict=True)),
            tuple(s * t for s, t in zip(std, other.std, strict=True)),
            self.swapped != other.swapped,
        )

    def __str__(self) -> str:
        """For people."""
        numbers = (", ".join(f"{number:g}" for number in numbers) for numbers in (self.mean, self.std))
        return "mean {}, std {}, {}".format(*numbers, "channels turned round" if self.swapped else "channels as they are")

    def raw(self, value: float) -> tuple[float, ...]:
        """The colour of a decoded image (BGR) that becomes `value` in every channel."""
        colour = tuple(value * s + m for m, s in zip(self.mean, self.std, strict=True))
        return colour[::-1] if self.swapped else colour


def fold_normalisation(config: Config) -> list[str]:
    """Move what the pipelines of a config do to pixel values into `model.data_preprocessor`, in place.

    A `data_preprocessor` beside the model goes into it, as mmengine's runner has it. A `Pad` behind a `Normalize` gets the colour that
    becomes its value, rounded to whole grey levels by images of bytes.

    Returns:
        One line a change.

    Raises:
        ConfigError: it cannot be said there: training and testing differ, a normalisation is hidden in another step, or a step between
            it and the network works on normalised values.
    """
    model = config.model
    if not model.get("data_preprocessor"):
        model.data_preprocessor = config.get("data_preprocessor") or ConfigDict(type="DetDataPreprocessor")
    found = {loader: _of_pipeline(loader, list(_steps(config, loader))) for loader in LOADERS if config.get(loader)}
    if not found or all(affine == Affine() for affine in found.values()):
        return []
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{loader} by {affine}" for loader, affine in found.items())
        raise ConfigError(f"the pipelines of the config must normalise alike, but do {listed}; write the same Normalize into each.")
    for loader in found:
        _take_out(list(_pipelines(config[loader].dataset)))
    whole = next(iter(found.values())).then(_of_preprocessor(model.data_preprocessor))
    model.data_preprocessor.update(mean=list(whole.mean), std=list(whole.std), bgr_to_rgb=whole.swapped, rgb_to_bgr=False)
    return [f"Normalize of the pipelines moved into data_preprocessor: {whole}"]


def colours(config: Config) -> str:
    """How the images of a config are decoded: color, grayscale, or another word of mmcv's `color_type`.

    Raises:
        ConfigError: training and testing differ.
    """
    kinds = {
        "color" if (kind := str(step.get("color_type", "color"))).startswith("color") else kind.split("_")[0]
        for loader in LOADERS
        if config.get(loader)
        for step in _steps(config, loader)
        if _name(step) == "LoadImageFromFile"
    }
    if len(kinds) > 1:
        raise ConfigError(f"the pipelines of the config must decode images alike, but they do as {' and '.join(sorted(kinds))}.")
    return kinds.pop() if kinds else "color"


def _of_pipeline(loader: str, steps: Sequence[Any]) -> Affine:
    affine, seen = Affine(), False
    for step in steps:
        name = _name(step)
        if name == "Normalize":
            affine = affine.then(_of_step(step))
            seen = True
        elif hidden := sorted(_VALUES & {_name(inside) for inside in _inside(step)} | ({name} & _VALUES)):
            raise ConfigError(
                f"{hidden[0]} inside {name} of the {loader} changes pixel values where they cannot be followed; "
                "write Normalize as a step of its own, or mean and std into data_preprocessor."
            )
        elif seen and name not in _GEOMETRY and name != "Pad":
            raise ConfigError(f"{name} stands behind Normalize in the {loader} and would work on normalised values; put it before.")
    return affine


def _of_preprocessor(settings: Any) -> Affine:
    swapped = bool(settings.get("bgr_to_rgb")) or bool(settings.get("rgb_to_bgr"))
    if settings.get("mean") is None:
        return Affine(swapped=swapped)
    return Affine(_three(settings["mean"]), _three(settings["std"]), swapped)


def _take_out(pipelines: Sequence[list[Any]]) -> None:
    """Take the normalisation out of the pipelines that an image goes through, in place."""
    affine = Affine()
    for pipeline in pipelines:
        for step in pipeline:
            if _name(step) == "Normalize":
                affine = affine.then(_of_step(step))
            elif _name(step) == "Pad" and affine != Affine() and step.get("padding_mode", "constant") == "constant":
                given = step.get("pad_val", 0)
                values = dict(given) if isinstance(given, dict) else {"img": given, "seg": 255}
                step["pad_val"] = {**values, "img": affine.raw(float(values.get("img", 0)))}
        pipeline[:] = [step for step in pipeline if _name(step) != "Normalize"]


def _of_step(step: Any) -> Affine:
    return Affine(_three(step["mean"]), _three(step["std"]), bool(step.get("to_rgb", True)))


def _steps(config: Config, loader: str) -> Iterator[Any]:
    """The steps that an image goes through, those of the innermost data set first."""
    for pipeline in _pipelines(config[loader].get("dataset", {})):
        yield from pipeline


def _pipelines(dataset: Any) -> Iterator[list[Any]]:
    if "dataset" in dataset:
        yield from _pipelines(dataset["dataset"])
    if isinstance(dataset.get("pipeline"), list):
        yield dataset["pipeline"]


def _inside(step: Any) -> Iterator[Any]:
    """Every dictionary with a type inside a step."""
    for value in step.values() if isinstance(step, dict) else step:
        if isinstance(value, dict) and "type" in value:
            yield value
        if isinstance(value, dict | list | tuple):
            yield from _inside(value)


def _name(step: Any) -> str:
    """mmcv.Normalize and Normalize are one."""
    return str(step.get("type")).rpartition(".")[2]


def _three(values: Any) -> tuple[float, ...]:
    numbers = tuple(map(float, values))
    return numbers * 3 if len(numbers) == 1 else numbers
