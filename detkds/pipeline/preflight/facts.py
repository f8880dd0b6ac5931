"""What is known of a run before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from detkds.genome import Recipe
from detkds.pipeline.run_config import RunConfig, is_remote
from detkds.pipeline.settings import Pair, Schedule, Source

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn

    from detkds.detectors.training.batches import Source as ImageSource
    from detkds.detectors.training.kept import Kept
    from detkds.pipeline.unlabelled import Found
    from detkds.unlabelled import Unlabelled

Coco = Mapping[str, Any]


@dataclass
class Facts:
    """What is known of a run; rules add to it what later rules need, in the order of RULES.

    Args:
        config: the checked run.yaml.
        path: of the run.yaml.
        home: as of `detkds run`.
        trust: whether config files that are Python may run.
        recipe: text of the recipe to train with instead of searching.
        whole: a whole run is asked for, not one of its parts, such as a training, or a comparison.
        unseen: addresses in a store that is not at hand; they are not looked at.
        data: train and test as parsed.
        search_train: the images that candidates will be trained on.
        classes: in label order; names by number where nothing is known of the data.
        configs, detectors: by role, adapted to the classes.
        kept: what the student is trained on.
        losses: the recipe, where one was named.
        unlabelled: the images without labels, where the run has some on this machine.
        step: what a training step takes of them, for people.
        nothing_inherited: why a student that inherits would have nothing of the teacher; empty where it would have something.
    """

    config: RunConfig
    path: Path
    home: Path
    trust: bool
    recipe: str = ""
    whole: bool = True
    unseen: frozenset[str] = frozenset()
    data: dict[str, Coco] = field(default_factory=dict)
    search_train: Coco | None = None
    classes: tuple[str, ...] = ()
    configs: dict[str, Config] = field(default_factory=dict)
    detectors: dict[str, nn.Module] = field(default_factory=dict)
    kept: Kept | None = None
    losses: Recipe | None = None
    unlabelled: Found | None = None
    step: str = ""
    nothing_inherited: str = ""

    @property
    def images_here(self) -> bool:
        """Whether images are on this machine: those of a store are not fetched for a look."""
        return bool(self.data) and not is_remote(self.config.data.root)

    @property
    def teacher_detects(self) -> bool:
        """Whether the first teacher, once it is built, is a detector, and no backbone alone."""
        from detkds.detectors.backbone_teacher import detects
        from detkds.detectors.ensemble import members

        return "teacher" not in self.detectors or detects(members(self.detectors["teacher"])[0])

    def source(self) -> Source:
        """The data set, as the subset stage takes it."""
        from detkds.pipeline.addresses import source_of

        return source_of(self.config)

    def pair(self) -> Pair:
        """Teacher and student; what is not on this machine is left out."""
        from detkds.pipeline.addresses import student_address, teacher_address

        config = self.config
        addresses = (teacher_address(config.teacher, self.home, self.trust), student_address(config, self.home, self.trust))
        weights = [text if text and not is_remote(text) else "" for text in (config.teacher.checkpoint, config.student.checkpoint)]
        return Pair(addresses[0], weights[0], addresses[1], weights[1], config.student.inherit)

    def schedule(self) -> Schedule:
        """Of the full training."""
        from detkds.pipeline.addresses import unlabelled_use

        train = self.config.train
        told = (train.epochs, train.batch_size or 0, train.learning_rate or 0.0, train.amp, self.config.seed)
        return Schedule(*told, unlabelled_use(self.config), train.channels_last, train.compiled)

    @contextmanager
    def unlabelled_source(self) -> Iterator[tuple[ImageSource, Unlabelled] | None]:
        """The images without labels and how they are used; None where the run has none on this machine. The file is gone afterwards."""
        from detkds.detectors.training.batches import Source as Images

        found, use = self.unlabelled, self.schedule().unlabelled
        if found is None or use is None:
            yield None
            return
        with TemporaryDirectory() as scratch:
            file = Path(scratch) / "unlabelled.json"
            file.write_text(json.dumps(found.content))
            yield Images(file, Path(found.root, found.folder)), use
