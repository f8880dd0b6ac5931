"""History: what a journal says happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detkds.errors import ArtifactError, GenomeError
from detkds.genome import Recipe
from detkds.search.journal import Journal, Record, read
from detkds.search.trial import Trial


@dataclass(frozen=True)
class Started:
    """The record of a trial's start: its trial_id and what is trained."""

    trial_id: str
    recipe: Recipe


@dataclass
class History:
    """A study as its journal records it.

    Args:
        settings: of the study, from the header.
        started: by trial number; one more than `trials` where the last trial was interrupted.
        trials: the finished ones by number, in order.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    started: dict[int, Started] = field(default_factory=dict)
    trials: dict[int, Trial] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> History:
        """Read a journal that another process may be writing.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        return cls._replay(path, read(path))

    @classmethod
    def of(cls, journal: Journal) -> History:
        """The history of an open journal."""
        return cls._replay(journal.path, journal.records)

    @classmethod
    def _replay(cls, path: Path, records: Iterable[Record]) -> History:
        history = cls()
        for record in records:
            try:
                history._add(record)
            except (KeyError, TypeError, ValueError, GenomeError) as error:
                raise ArtifactError(
                    f"{path}, line {record.seq + 1}: no record of a study ({error}); it was written by another version."
                ) from error
        return history

    def _add(self, record: Record) -> None:
        if record.kind == "study":
            self.settings = record.fields["settings"]
        elif record.kind == "start":
            self.started[record.fields["number"]] = Started(record.fields["id"], Recipe.from_json(record.fields["recipe"]))
        elif record.kind == "end":
            number = record.fields["number"]
            self.trials[number] = Trial.from_json(self.started[number].recipe, record.fields)
        else:
            raise ValueError(f"unknown kind {record.kind!r}")

    def finished(self) -> dict[str, Trial]:
        """The first finished trial of each trial_id: what `run` takes as `known`."""
        found: dict[str, Trial] = {}
        for number, trial in self.trials.items():
            found.setdefault(self.started[number].trial_id, trial)
        return found
