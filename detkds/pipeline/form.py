"""Form: the parameters of the pipelines as a person fills them in, and the settings of run.yaml that go with them.

About ten parameters, which every run has to decide, have a field; everything else is in one structure, `settings`, in the sections of
run.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from detkds.errors import ConfigError
from detkds.genome import Knowledge
from detkds.pipeline.run_config import RunConfig, did_you_mean, validated
from detkds.pipeline.values import LISTS, Values
from detkds.search.budgets import is_time, plan
from detkds.storage.uri import is_s3, split

FIELDS = ("run_name", "dataset", "teacher_config", "teacher_checkpoint", "student_config", "results", "epochs", "gpus")
"""The values of a run that have a field of their own."""
PLACES = {each.name: str(each.metadata["place"]) for each in fields(Values)}
SECTIONS = ("data", "student", "search", "train", "store", "seed", "plugins")


@dataclass(frozen=True)
class Form:
    """What was filled in.

    Args:
        run_name … gpus: values of the same names.
        budget: a word or a number of trainings, see `detkds.search.budgets`, or keys of the section `search` as JSON; what `settings` says
            goes over it.
        settings: the sections `data`, `student`, `search`, `train`, `store` and the keys `seed` and `plugins` of a run.yaml, without what
            has a field.
    """

    run_name: str
    dataset: str
    teacher_config: str
    teacher_checkpoint: str
    student_config: str
    results: str = "s3://detkds/runs"
    epochs: int = 24
    gpus: int = 1
    budget: str = "paper-20"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Values) -> Form:
        """The form with these values: those without a field are in the settings."""
        settings: dict[str, Any] = {}
        for name, value in values.to_dict().items():
            if name in FIELDS or (value in ("", 0, 0.0) and getattr(Values, name, None) == value and name != "work"):
                continue
            _put(settings, PLACES[name], _listed(value) if name in LISTS else value)
        return cls(**{name: getattr(values, name) for name in FIELDS}, settings=settings)

    def parameters(self) -> dict[str, Any]:
        """As parameters of the pipelines."""
        return asdict(self)

    def values(self) -> Values:
        """The values of the run; no store is asked.

        Raises:
            ConfigError: everything that is wrong, one line per fault.
        """
        faults: list[str] = []
        raw = self._run_yaml(faults)
        config, more = validated(raw)
        faults += [f"{_where(place)}: {words}" for place, words in more]
        if config is None or faults:
            raise ConfigError("\n".join(faults))
        return Values.of(config, results=self.results, work=self._work(config))

    def _run_yaml(self, faults: list[str]) -> dict[str, Any]:
        """The content of the run.yaml that says the same."""
        raw: dict[str, Any] = {"teacher": {}}
        for name in ("train_annotations", "train_images", "test_annotations", "test_images"):
            _put(raw, PLACES[name], getattr(Values, name))
        for source in ({"search": self._budget(faults)}, self.settings):
            _merge(raw, source)
        for key in sorted(self.settings.keys() - set(SECTIONS)):
            raw.pop(key, None)
            faults.append(f"settings.{key}: {_strange(key)}")
        raw.setdefault("teacher", {})
        for name in FIELDS:
            place = PLACES[name] or "store.bucket"
            if _get(self.settings, place) is not None:
                faults.append(f"settings.{place}: is the parameter {name}; leave out one of the two")
            if PLACES[name]:
                _put(raw, place, getattr(self, name))
        return raw

    def _budget(self, faults: list[str]) -> dict[str, Any]:
        """Keys of the section `search`."""
        try:
            found = json.loads(self.budget)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        try:
            if not is_time(self.budget):
                return plan(self.budget, len(_get(self.settings, "search.knowledge") or Knowledge)).settings()
            faults.append(f"budget: {self.budget} is a time, and no training was measured yet; give a word, or as in `60 trainings`")
        except ConfigError as error:
            faults.append(f"budget: {str(error).removeprefix('search.budget: ')}")
        return {}

    def _work(self, config: RunConfig) -> str:
        """Where unfinished work lies: as the settings say, else beside the results."""
        if config.store.work is not None:
            return config.store.work
        return f"s3://{split(self.results)[0]}/work" if is_s3(self.results) else ""


def _listed(text: str) -> list[str]:
    return text.split(",") if text else []


def _strange(key: str) -> str:
    """Why a key has no place in the settings."""
    if key == "resources":
        return "KFP fixes what a task asks for when a package is compiled: compile one (python -m pipelines.compile), or use detkds submit"
    if key in ("name", "teacher"):
        return "has parameters of its own; leave it out"
    return did_you_mean("key", key, SECTIONS)


def _where(place: str) -> str:
    """The parameter that a fault of a run.yaml is about, or its place in the settings."""
    return next((name for name in FIELDS if PLACES[name] == place), f"settings.{place}") if place else "dataset or settings"


def _put(target: dict[str, Any], place: str, value: Any) -> None:
    *sections, key = place.split(".")
    for section in sections:
        below = target.setdefault(section, {})
        if not isinstance(below, dict):
            return  # RunConfig says that a section is not text
        target = below
    target[key] = value


def _get(source: Mapping[str, Any], place: str) -> Any:
    found: Any = source
    for step in place.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _merge(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    """Put what `source` says over what `target` says, section by section."""
    for key, value in source.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = deepcopy(dict(value)) if isinstance(value, Mapping) else value
