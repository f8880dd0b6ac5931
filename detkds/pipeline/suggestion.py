"""A run.yaml suggested for a data set: detectors that were tested together, and a search that fits the number of images."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from detkds.data.layout import TEST_WORDS, TRAIN_WORDS, CocoSplit, Layout, look_at
from detkds.errors import ConfigError, DatasetError
from detkds.pairs import pair, published
from detkds.pipeline.run_config.patterns import NAME, PATTERNS

MASKS, BOXES = "mask-rcnn-r50-cascade-mask-rcnn-x101", "retinanet-r50-r101"
"""Pairs suggested for data with masks and for data with boxes alone; both are of the paper."""
WANTED_IMAGES = 40
"""Search-train and search-val should have at least so many images each: AP over fewer is mostly noise."""
WANTED_STEPS = 60
"""Steps of a candidate's training below which candidates cannot be distinguished (docs/results.md)."""
BATCH = 2
"""Images per step in mmdet's own configs of the suggested pairs."""


@dataclass(frozen=True)
class Suggestion:
    """The text of a run.yaml, and what was seen in the folder, one line each."""

    text: str
    seen: tuple[str, ...]


def suggest(folder: Path, name: str = "") -> Suggestion:
    """A run.yaml for the data set in a folder of COCO files.

    Args:
        folder: where the data set is.
        name: of the run; "" takes the folder's.

    Raises:
        ConfigError: a run cannot have this name.
        DatasetError: the folder holds no COCO files, or not both a training and a test split.
    """
    layout = look_at(folder)
    if layout.format != "coco":
        raise DatasetError(
            f"{folder} holds {layout.format.upper()} annotations; convert them first: detkds data convert {folder}, then run this again."
        )
    train, test = _splits(folder, layout)
    _require_same_classes(train, test)
    if name and not re.match(NAME, name):
        raise ConfigError(f"--name must be {PATTERNS[NAME]}, got {name!r}; {run_name(name)} would do.")
    return Suggestion(_text(folder, train, test, name or run_name(folder.resolve().name)), tuple(_seen(train, test)))


def run_name(text: str) -> str:
    """A folder's name as a run's: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:62] or "run"


def _splits(folder: Path, layout: Layout) -> tuple[CocoSplit, CocoSplit]:
    train, test = layout.split(TRAIN_WORDS), layout.split(TEST_WORDS)
    if train is None or test is None or train == test:
        found = ", ".join(f"{split.annotations} ({split.image_count} images)" for split in layout.splits)
        raise DatasetError(
            f"{folder} must hold annotations of training images (a path with `train`) and of test images (`test` or `val`), "
            f"but holds {found}; name the files like this, or write run.yaml yourself (docs/run-yaml.md)."
        )
    return train, test


def _require_same_classes(train: CocoSplit, test: CocoSplit) -> None:
    if set(train.categories) != set(test.categories):
        only = sorted(set(train.categories) ^ set(test.categories))
        raise DatasetError(f"{train.annotations} and {test.annotations} must have the same categories, but only one has {', '.join(only)}.")


def _seen(train: CocoSplit, test: CocoSplit) -> list[str]:
    lines = [
        f"{role}: {split.annotations}, {split.image_count} images of mostly {split.size[0]} × {split.size[1]} pixels, "
        f"{split.object_count} objects"
        for role, split in (("train", train), ("test", test))
    ]
    names = ", ".join(train.categories[:8]) + (", …" if len(train.categories) > 8 else "")
    return [*lines, f"{len(train.categories)} classes: {names}", "masks: yes" if train.masks else "masks: no"]


def shares(images: int) -> tuple[float, float]:
    """Shares of the training images for search-train and search-val: the paper's .2 and .04, more where that would be too few images."""
    wanted = WANTED_IMAGES / max(1, images)
    return min(0.6, max(0.2, math.ceil(100 * wanted) / 100)), min(0.3, max(0.04, math.ceil(100 * wanted) / 100))


def _text(folder: Path, train: CocoSplit, test: CocoSplit, name: str) -> str:
    chosen = pair(MASKS if train.masks else BOXES)
    subset, search_val = shares(train.image_count)
    steps_per_epoch = max(1, math.ceil(subset * train.image_count / BATCH))
    proxy_epochs = max(1, math.ceil(WANTED_STEPS / steps_per_epoch))
    return f"""# Written by `detkds init {shlex.quote(str(folder))}`. Every key is explained in docs/run-yaml.md.
{yaml.safe_dump({"name": name}).strip()}
pair: {chosen.name}          # teacher and student; `detkds pairs` lists the tested ones
# Both are of full size and need a GPU. Without one, replace `pair` by small detectors as in examples/bccd.yaml, with their configs.

data:
  root: {_quoted(str(folder.resolve()))}
  train: {{annotations: {_quoted(train.annotations)}, images: {_quoted(train.images)}}}
  test: {{annotations: {_quoted(test.annotations)}, images: {_quoted(test.images)}}}   # used by the final evaluation only

teacher:
{_teacher(chosen.name)}
student:
  inherit: true              # neck and head start from the teacher's where names and shapes agree

search:
  population: 4              # the paper's (P, T, k) is (20, 20, 5); this is a first, short search
  iterations: 6
  top_k: 2
  weights: {{population: 4, iterations: 6}}
  warm_start: [pkd, cwd]     # known distillers that join the first candidates
  subset: {subset:g}                # search-train: {round(subset * train.image_count)} images
  search_val: {search_val:g}           # search-val: {round(search_val * train.image_count)} others
  proxy_epochs: {proxy_epochs}            # about {proxy_epochs * steps_per_epoch} steps per candidate

train:
  epochs: 24
"""


def _teacher(name: str) -> str:
    """The teacher's section: a checkpoint of the user's, or a training; the published COCO weights are added as a comment."""
    try:
        address = published(pair(name).teacher)
    except ConfigError:
        address = None  # mmdet is not installed here: the address is only a hint
    hint = f"  # weights trained on COCO: {address}\n" if address else ""
    return (
        "  train: {epochs: 24}        # trains one on your data first; with weights of your own write `checkpoint: FILE` instead\n" + hint
    )


def _quoted(text: str) -> str:
    """A YAML scalar in double quotes, which any path survives."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
