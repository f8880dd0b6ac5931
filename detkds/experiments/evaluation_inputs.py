"""What the user gives to be evaluated: results files and detectors, each with a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detkds.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
"""Names become parts of file names."""


@dataclass(frozen=True, slots=True)
class Named:
    """NAME=PATH as the user wrote it, or PATH, whose name is that of the file without its ending."""

    name: str
    path: str
    given: bool


@dataclass(frozen=True, slots=True)
class EvaluationInput:
    """A results file, or, where there is a config, the checkpoint of a detector."""

    name: str
    path: Path
    config: str = ""


def evaluation_inputs(results: Sequence[str], configs: Sequence[str], checkpoints: Sequence[str]) -> list[EvaluationInput]:
    """All that is to be evaluated, results files first.

    A checkpoint's config is that of the same name, or the only one, or the one at the same place.

    Raises:
        ConfigError: nothing to evaluate, a name twice, or a checkpoint without a config or the other way round.
    """
    files = [EvaluationInput(file.name, Path(file.path)) for file in map(parse, results)]
    found = [*files, *_detectors([parse(text) for text in configs], [parse(text) for text in checkpoints])]
    if not found:
        raise ConfigError("there must be something to evaluate, got nothing; give --results FILE, or --config, --checkpoint and --images.")
    names = [given.name for given in found]
    if shared := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"names must differ, but {names.count(shared)} are called {shared!r}; write NAME=PATH.")
    return found


def parse(text: str) -> Named:
    """NAME=PATH or PATH.

    Raises:
        ConfigError: a name that cannot be part of a file's name.
    """
    name, sign, path = text.partition("=")
    if not sign or Path(text).exists():
        stem = re.sub(r"[^A-Za-z0-9 ._-]+", "_", Path(text).stem).lstrip(" ._-")[:64]
        return Named(stem or "detector", text, False)
    if not _NAME.fullmatch(name) or not path:
        raise ConfigError(f"{text!r} must be NAME=PATH with a name of at most 64 letters, digits, spaces and .-_; choose another name.")
    return Named(name, path, True)


def _detectors(configs: Sequence[Named], checkpoints: Sequence[Named]) -> Iterator[EvaluationInput]:
    if bool(configs) != bool(checkpoints):
        lacking = "no --checkpoint, so it has no weights" if configs else "no --config"
        raise ConfigError(f"a detector needs --config and --checkpoint, but there is {lacking}; give both.")
    by_name = {config.name: config for config in configs if config.given}
    for place, checkpoint in enumerate(checkpoints):
        config = by_name.get(checkpoint.name)
        if config is None and len(configs) in (1, len(checkpoints)) and not by_name:
            config = configs[place if len(configs) > 1 else 0]
        if config is None:
            raise ConfigError(
                f"checkpoint {checkpoint.name!r} must have a config, but none of {len(configs)} is its own; give one for all, one for each "
                "in the same order, or equal names."
            )
        yield EvaluationInput(checkpoint.name, Path(checkpoint.path), config.path)
