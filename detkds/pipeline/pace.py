"""How long a candidate's training takes on this machine, for a search whose budget is a time. It does not depend on the teacher's weights,
so it is known before a teacher is trained."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from detkds.detectors.checkpoints import save_student
from detkds.detectors.training.batches import Source as Images
from detkds.genome import Recipe
from detkds.objective import Goal
from detkds.pipeline import pair as pairs
from detkds.pipeline import subset as subset_stage
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.settings import Pair, Schedule, Source
from detkds.pipeline.subset import part
from detkds.pipeline.train import classes_of, content
from detkds.pipeline.workplace import digest
from detkds.storage.artifacts import write_atomic

IMAGES = 16
"""So many images are trained on, twice and four times, and as many scored, to see what one costs."""
LOSS = "global: none > none > norm_batch | l2 x 1"
"""FitNets' loss, whose standardised values are of one size also where a teacher was never trained."""


def training_s(pair: Pair, schedule: Schedule, source: Source, train: float, val: float, home: Path, show: Callable[[str], None]) -> float:
    """Seconds that a candidate's training and scoring take, measured once per machine and kept, so that a resumed run has the same plan.

    Args:
        pair, schedule, source: of the run. A pair whose teacher has no checkpoint yet takes the teacher's first weights.
        train, val: shares of the training images that a candidate is trained and scored on.
        home: where the measurement is kept.
        show: called with a progress line.
    """
    contents = {name: content(value) for name, value in asdict(pair).items()}
    key = digest([contents, schedule.to_json(), asdict(source), train, val, platform.node()])[:16]
    path = home / "pace" / f"{key}.json"
    if not path.exists():
        images, image_s, scored_s = _measured(pair, schedule, source)
        found = images * (train * schedule.epochs * image_s + val * scored_s)
        write_atomic(path, json.dumps({"training_s": round(found, 3), "image_s": image_s, "scored_s": scored_s}) + "\n")
    found = float(json.loads(path.read_text())["training_s"])
    show(f"[budget] a candidate's training takes {found:.1f} s here (measured with the loss of fitnets, kept in {path})")
    return found


def _measured(pair: Pair, schedule: Schedule, source: Source) -> tuple[int, float, float]:
    """How many training images there are, and the seconds that one takes in a training and in a validation."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "subset"
        subset_stage.run(source, fraction=0.5, val_fraction=0.5, seed=schedule.seed, out=place)
        images = len(json.loads(part(place, "train").annotations.read_text())["images"])
        if images > 2 * IMAGES:
            share = IMAGES / images
            place = Path(scratch) / "few"
            subset_stage.run(source, fraction=share, val_fraction=share, seed=schedule.seed, out=place)
        used, scored = (len(json.loads(part(place, name).annotations.read_text())["images"]) for name in ("search_train", "search_val"))
        work, trained = str(Path(scratch) / "work"), pair.teacher_checkpoint or pairs.is_average(pair.teacher_config)
        pair = pair if trained else _with_first_weights(pair, place, Path(scratch) / "teacher.pth")
        # the filter may reject a loss of what a teacher has not learnt yet
        how: dict[str, Any] = {"early_stop": False, "loss_filter": bool(trained), "work": work}
        short, long = (Proxy(pair, replace(schedule, epochs=epochs), place, **how) for epochs in (2, 4))
        recipe, took = Recipe.parse(LOSS, "paper"), []
        for proxy in (short, short, long):  # the first also loads what all need
            began = time.monotonic()
            proxy(recipe, Goal())
            took.append(time.monotonic() - began)
    image_s = max(took[2] - took[1], 0.1 * took[1]) / (2 * used)
    return images, image_s, max(took[1] - 2 * used * image_s, 0.0) / scored


def _with_first_weights(pair: Pair, subset: Path, checkpoint: Path) -> Pair:
    """The pair with a teacher that was not trained yet; its weights become the file `checkpoint`."""
    drawn = part(subset, "search_train")
    classes = pairs.classes_of_pair(pair, classes_of(Images(drawn.annotations, drawn.images)))
    save_student(pairs.untrained(pair.teacher_config, classes), checkpoint, classes=classes)
    return replace(pair, teacher_checkpoint=str(checkpoint))
