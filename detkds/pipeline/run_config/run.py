"""A whole run.yaml: its sections together, and the rules between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, model_validator

from detkds.pipeline.run_config.address import is_remote
from detkds.pipeline.run_config.backbone_teacher import require_no_objects, without_inheriting
from detkds.pipeline.run_config.data import Data
from detkds.pipeline.run_config.detector import Student, Teacher
from detkds.pipeline.run_config.patterns import MODULE, NAME
from detkds.pipeline.run_config.place import Resources, StoreSection
from detkds.pipeline.run_config.search import Search
from detkds.pipeline.run_config.section import Section
from detkds.pipeline.run_config.self_teacher import with_own_teacher
from detkds.pipeline.run_config.train import Train
from detkds.storage.uri import S3


class RunConfig(Section):
    """One run: a data set, a teacher-student pair, a search budget, a training schedule."""

    name: Annotated[str, Field(pattern=NAME)]
    data: Data
    teacher: Teacher
    student: Student
    search: Search = Search()
    train: Train = Train()
    store: StoreSection = StoreSection()
    resources: Resources = Resources()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    plugins: tuple[Annotated[str, Field(pattern=MODULE)], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _own_teacher(cls, raw: Any) -> Any:
        return without_inheriting(with_own_teacher(raw)) if isinstance(raw, dict) else raw

    @model_validator(mode="after")
    def _files_exist(self, info: ValidationInfo) -> RunConfig:
        missing = [path for path in self.local_files() if not Path(path).exists()]
        if missing:
            raise ValueError("; ".join(f"{path} does not exist" for path in missing))
        return self

    @model_validator(mode="after")
    def _unlabelled_images_are_used(self) -> RunConfig:
        given = self.data.unlabelled
        if given and not set(given.knowledge) & set(self.search.knowledge):
            searched = ", ".join(self.search.knowledge)
            raise ValueError(f"data.unlabelled.knowledge must name at least one of search.knowledge, which has {searched}")
        return self

    @model_validator(mode="after")
    def _a_backbone_finds_no_objects(self) -> RunConfig:
        require_no_objects(self)
        return self

    @property
    def further_checkpoints(self) -> tuple[str, ...]:
        """Of the teachers beside the first."""
        return tuple(other.checkpoint for other in self.teacher.others)

    def local_files(self) -> Iterator[str]:
        """Every path of this machine's file system that the run reads."""
        if not is_remote(self.data.root):
            for split in (self.data.train, self.data.test, self.teacher.train and self.teacher.train.data):
                if split:
                    yield from (f"{self.data.root}/{split.annotations}", f"{self.data.root}/{split.images}")
            if self.data.unlabelled and not is_remote(self.data.unlabelled.images):
                yield str(Path(self.data.root, self.data.unlabelled.images))
        training = self.teacher.train
        optional = (self.teacher.checkpoint, *self.further_checkpoints, self.student.checkpoint, training and training.backbone)
        yield from (path for path in optional if path and not is_remote(path))

    def stored_files(self) -> dict[str, str]:
        """Checkpoints in a store, by their key in run.yaml."""
        training = self.teacher.train
        given = {
            "teacher.checkpoint": self.teacher.checkpoint,
            "teacher.train.backbone": training and training.backbone,
            "student.checkpoint": self.student.checkpoint,
            **{f"teacher.others.{number}.checkpoint": address for number, address in enumerate(self.further_checkpoints)},
        }
        return {key: address for key, address in given.items() if address and address.startswith(S3)}

    def claims(self) -> Iterator[str]:
        """The volume claims that the run reads, each once."""
        unlabelled = self.data.unlabelled and self.data.unlabelled.images
        addresses = (self.data.root, unlabelled, self.teacher.checkpoint, *self.further_checkpoints, self.student.checkpoint)
        yield from dict.fromkeys(urlsplit(address).netloc for address in addresses if address and address.startswith("pvc://"))
