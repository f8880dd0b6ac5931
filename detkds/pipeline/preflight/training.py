"""Training: what the configs ask of it, and the first image of each split through the detectors' pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detkds.errors import ConfigError, DetKDSError
from detkds.pipeline.preflight.facts import Facts

if TYPE_CHECKING:
    from detkds.detectors.training.batches import Samples


def training(facts: Facts) -> None:
    """What a config requires of training and DetKDS does not do; the teacher's config counts if it is trained here."""
    from detkds.detectors.training.asked import refusals

    roles = [role for role in facts.configs if role == "student" or facts.config.teacher.train]
    if lines := [f"{role}: {line}" for role in roles for line in refusals(facts.configs[role])]:
        raise ConfigError("\n".join(lines))


def samples(facts: Facts) -> None:
    """What training and evaluation ask of configs and data: pipelines, filters, masks, optimizer, schedule, hooks."""
    from detkds.detectors.training.batches import Samples
    from detkds.detectors.training.batches import Source as Images
    from detkds.detectors.training.schedule import build_optimizer, build_schedulers
    from detkds.pipeline import pair as pairs

    if set(facts.configs) != {"teacher", "student"}:
        return
    student = facts.configs["student"]
    settings = pairs.settings(facts.schedule(), student)
    optimizer = build_optimizer(student, facts.detectors["student"], learning_rate=settings.learning_rate)
    build_schedulers(student, optimizer, steps=1000)
    if not facts.images_here:
        return
    data, root = facts.config.data, Path(facts.config.data.root)
    train, test = (Images(root / split.annotations, root / split.images) for split in (data.train, data.test))
    facts.kept = _first(Samples(student, train, training=True)).kept
    for role, config in facts.configs.items():
        if role == "student" or facts.teacher_detects:
            _first(Samples(config, test, training=False))
    with facts.unlabelled_source() as unlabelled:
        if unlabelled:
            _first(Samples(student, unlabelled[0], training=True, labelled=False))
            if facts.unlabelled:
                use, batch = unlabelled[1], settings.batch_size
                count, losses = min(facts.unlabelled.images, use.images(batch)), use.knowledge.replace(",", ", ")
                facts.step = f"{count} unlabelled images beside {batch} labelled ones per step, for the losses of {losses}"
                facts.step += _objects(facts, use.min_score)
    if training := facts.config.teacher.train:
        own = training.data or data.train
        _first(Samples(facts.configs["teacher"], Images(root / own.annotations, root / own.images), training=True))


def _objects(facts: Facts, min_score: float) -> str:
    """What teachers' detections are for on images without labels, for people."""
    if not facts.teacher_detects:
        return ""
    several = facts.config.teacher.others
    text = f"; the {'first ' if several else ''}teacher's detections of score {min_score:g} or more stand for objects there"
    if facts.config.teacher.combine == "mean":
        return text
    if len(several) == 1:
        return f"{text}; without labels two teachers confirm each other equally, so each counts half"
    return f"{text}; without labels a teacher counts by the images on which the others confirm it best"


def _first(samples: Samples) -> Samples:
    """Send the first image through the pipeline.

    Raises:
        ConfigError: it does not come out.
    """
    try:
        samples[0, 0]
    except DetKDSError:
        raise
    except Exception as error:  # transforms of many libraries: anything may come out of them
        raise ConfigError(f"the pipeline of a detector's config fails on the first image: {type(error).__name__}: {error}.") from error
    return samples
