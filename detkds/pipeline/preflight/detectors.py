"""Teacher and student: their configs, their checkpoints, and both built with the data's classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from detkds.errors import ConfigError, DetKDSError
from detkds.pipeline.detector_options import configured, other_class_counts
from detkds.pipeline.preflight.facts import Facts
from detkds.pipeline.run_config import is_remote
from detkds.pipeline.settings import Pair

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn


def stored_files(facts: Facts) -> None:
    """Checkpoints in a store are fetched by the tasks that need them; here they must only be there."""
    from detkds.storage.uri import open_store

    faults = []
    for key, address in facts.config.stored_files().items():
        folder, _, name = address.rpartition("/")
        if address not in facts.unseen and not open_store(folder).exists(name):
            faults.append(f"{facts.path}: {key}: {address} is not in the store; put it there, or correct the address.")
    if faults:
        raise ConfigError("\n".join(faults))


def detectors(facts: Facts) -> None:
    """Build both detectors with their weights."""
    from detkds.detectors.checkpoints import apply_backbone, apply_teacher, apply_weights, load_weights
    from detkds.detectors.configs.config import build_detector
    from detkds.pipeline import pair as pairs

    faults = []
    further = {f"teacher.others.{number}": other for number, other in enumerate(facts.config.teacher.others)}
    for role, detector in {"teacher": facts.config.teacher, "student": facts.config.student, **further}.items():
        try:
            _require_new(detector.config, configured(detector, trust=facts.trust))
        except DetKDSError as error:
            faults += [f"{role}: {line}" for line in str(error).splitlines()]
    if faults:
        raise ConfigError("\n".join(faults))
    pair = facts.pair()
    facts.classes = _classes(facts, pair)
    if facts.data:
        faults += [f"student.options: {fault}." for fault in other_class_counts(facts.config.student.options, len(facts.classes))]
    for role, address, checkpoint in (
        ("teacher", pair.teacher_config, pair.teacher_checkpoint),
        ("student", pair.student_config, pair.student_checkpoint),
    ):
        try:
            config = pairs.detector_config(address, facts.classes, pretrained=True)
            facts.configs[role], facts.detectors[role] = config, build_detector(config, seed=0)
            if role == "teacher" and pairs.is_average(address):
                facts.detectors[role] = pairs.untrained(address, facts.classes)
            if not checkpoint:
                continue
            weights = load_weights(checkpoint)
            if role == "teacher":
                apply_teacher(facts.detectors[role], weights, f"{role} checkpoint {checkpoint}")
            elif any(name.startswith("backbone.") for name in weights):
                apply_weights(facts.detectors[role], weights, f"{role} checkpoint {checkpoint}")
            else:
                apply_backbone(facts.detectors[role], weights, f"backbone weights {checkpoint}")
        except DetKDSError as error:
            faults.append(f"{role}: {error}")
    beside = list(_others(facts, pair, faults))
    if faults:
        raise ConfigError("\n".join(faults))
    facts.detectors["teacher"] = pairs.ensemble(pair, facts.detectors["teacher"], beside)
    _inheriting(facts, pair)


def _inheriting(facts: Facts, pair: Pair) -> None:
    """See whether a student that inherits would have anything of the teacher.

    Raises:
        ConfigError: it would not, because it has all its weights already, and run.yaml says that it inherits.
    """
    from detkds.detectors.training.train import Start, nothing_inherited
    from detkds.pipeline import pair as pairs

    start = pairs.start_from(Path(pair.student_checkpoint), pair.inherit) if pair.student_checkpoint else Start()
    facts.nothing_inherited = nothing_inherited(facts.detectors["student"], facts.detectors["teacher"], start)
    student = facts.config.student
    if start.checkpoint is not None and student.inherit and "inherit" in student.model_fields_set:
        raise ConfigError(
            f"student.inherit: {student.checkpoint} has all of the student's weights, so it would inherit nothing; "
            "write student.inherit: false, or give the weights of its backbone alone."
        )


def _others(facts: Facts, pair: Pair, faults: list[str]) -> Iterator[nn.Module]:
    """The teachers beside the first, with their weights where those are on this machine."""
    from detkds.pipeline import pair as pairs

    for number, other in enumerate(pairs.others(pair.teacher_config)):
        try:
            remote = is_remote(other.checkpoint)
            yield pairs.untrained(other.config, facts.classes) if remote else pairs.other_teacher(pair, other, facts.classes)
        except DetKDSError as error:
            faults.append(f"teacher.others.{number}: {error}")


def _classes(facts: Facts, pair: Pair) -> tuple[str, ...]:
    """The label order of the run; names by number where nothing is known of the data."""
    from detkds.detectors.configs.config import own_class_count
    from detkds.detectors.configs.data_config import read_config
    from detkds.pipeline import pair as pairs

    if "train" not in facts.data:
        known = pair.teacher_config if pairs.detects(pair.teacher_config) else pair.student_config
        return tuple(map(str, range(own_class_count(read_config(known)))))
    return pairs.classes_of_pair(pair, (str(category["name"]) for category in facts.data["train"]["categories"]))


def _require_new(address: str, config: Config) -> None:
    """Refuse a config of mmdet 2, whose keys mmdet 3 does not read."""
    old = [key for key in ("data", "optimizer", "total_epochs", "runner", "lr_config", "optimizer_config", "evaluation") if key in config]
    if old and not config.get("train_dataloader"):
        raise ConfigError(
            f"the config {address} is one of mmdet 2 (it has {', '.join(old)} and no train_dataloader); "
            "write it for mmdet 3: docs of mmdet, 'Migrating from MMDetection 2.x to 3.x'."
        )
