"""All rules, asked in order; what each one refuses is collected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from detkds.errors import ConfigError, DatasetError, DetKDSError
from detkds.pipeline.preflight import data, detectors, losses, place, training
from detkds.pipeline.preflight.facts import Facts
from detkds.pipeline.run_config import RunConfig

RULES: tuple[Callable[[Facts], None], ...] = (
    place.one_machine,
    place.packages,
    place.home,
    losses.recipe,
    detectors.stored_files,
    data.data,
    detectors.detectors,
    training.training,
    training.samples,
    losses.knowledge,
    place.room,
)
"""In the order in which they are asked: a later rule uses what an earlier one added to the facts."""


def preflight(
    config: RunConfig,
    path: Path,
    *,
    home: Path,
    trust: bool,
    recipe: str = "",
    whole: bool = True,
    unseen: frozenset[str] = frozenset(),
) -> Facts:
    """All that can be known of a run before it starts. Of data in a store the annotations are fetched, and the list of its images.

    Args:
        config: the checked run.yaml.
        path: of the run.yaml.
        home, trust: as of `detkds run`.
        recipe: train with it instead of searching.
        whole: False for a part of a run, which needs no kfp, and where a knowledge that cannot be searched is the part's own matter.
        unseen: addresses of the run in a store that is not at hand: they are not looked at.

    Raises:
        ConfigError, DatasetError, DetKDSError: everything that is wrong, one line per fault; the class is that of the first.
    """
    facts = Facts(config, path, home.resolve(), trust, recipe, whole, unseen)
    faults: list[DetKDSError] = []
    for rule in RULES:
        try:
            rule(facts)
        except DetKDSError as error:
            faults.append(error)
            if rule in (place.one_machine, place.home):  # the rest is for this machine, and needs a place to work
                break
    if faults:
        lines = dict.fromkeys(line for fault in faults for line in str(fault).splitlines())
        raise _of_kind(faults[0], "\n".join(lines))
    return facts


def _of_kind(first: DetKDSError, text: str) -> DetKDSError:
    for kind in (ConfigError, DatasetError):
        if isinstance(first, kind):
            return kind(text)
    error = DetKDSError(text)
    error.exit_code = first.exit_code
    return error
