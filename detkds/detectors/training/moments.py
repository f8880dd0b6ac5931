"""When a config's schedulers act: their moments in epochs or iterations of the config's own training, and in steps of this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from detkds.errors import ConfigError

_LENGTHS = ("max_epochs", "max_iters")
_RISING = {"LinearLR": ("start_factor", "end_factor"), "ConstantLR": ("factor", "")}
"""Schedulers that raise the rate where the first of these is below the second, 1 by default; the first is 1/3 by default."""
WARM_UP_SHARE = 0.1
"""Of a training, at most, that a warm-up in iterations takes where the config counts in epochs."""


def schedulers(config: Config) -> list[dict[str, Any]]:
    """The options of each scheduler of a config."""
    given = config.get("param_scheduler") or []
    return [dict(options) for options in (given if isinstance(given, list | tuple) else [given])]


def length(config: Config) -> tuple[int, bool]:
    """How long the config's schedule is, and whether that is in epochs; else it is in iterations.

    Raises:
        ConfigError: it does not say.
    """
    loop = config.get("train_cfg") or {}
    for name in _LENGTHS:
        if loop.get(name):
            return int(loop[name]), name == "max_epochs"
    raise ConfigError("the student's config must say how long its schedule is, but does not; add train_cfg.max_epochs or max_iters.")


def steps_per_unit(options: Mapping[str, Any], config: Config, steps: int) -> float:
    """How many of `steps` training steps an epoch or an iteration is, in which a scheduler of the config counts.

    Moments keep their share of the training. A warm-up counted in iterations inside a config counted in epochs keeps its iterations, but
    lasts at most a tenth of the training; there, other schedulers in iterations share the length that they state.
    """
    whole, in_epochs = length(config)
    if _by_epoch(options) or not in_epochs:
        return steps / whole
    if stated := stated_iterations(config):
        return steps / stated
    return min(1.0, _longest_warm_up(steps) / max(_ends(warm_ups(config)), default=1))


def stated_iterations(config: Config) -> int:
    """How many iterations a config counted in epochs is meant for, by the `end` of its schedulers in iterations; 0 where it is not said.

    It is said where no scheduler counts in epochs and each one beside warm-ups has an end: the last end is that of the training.
    """
    given = schedulers(config)
    later = [options for options in given if options not in warm_ups(config)]
    ends = list(_ends(later))
    return max(ends) if later and all(ends) and not any(map(_by_epoch, given)) else 0


def warm_ups(config: Config) -> list[dict[str, Any]]:
    """The schedulers in iterations that raise the rate from the first step on, one after the other."""
    found: list[dict[str, Any]] = []
    for options in schedulers(config):
        reached = max(_ends(found), default=0)
        if not _by_epoch(options) and _rises(options) and options.get("end") and (options.get("begin") or 0) <= reached:
            found.append(options)
    return found


def shortened_warm_up(config: Config, steps: int) -> str:
    """For people: the warm-up that a training of `steps` steps cuts short; empty where it lasts as long as the config says."""
    end = max(_ends(warm_ups(config)), default=0)
    if not length(config)[1] or stated_iterations(config) or end <= (limit := _longest_warm_up(steps)):
        return ""
    return (
        f"the config's warm-up of {end} steps lasts {limit}, a tenth of the {steps} steps of this training; "
        "mmdet's train.py would not shorten it"
    )


def faults(config: Config) -> Iterator[str]:
    """What cannot be followed of a config's schedulers: one line each, with what to write instead."""
    loop = config.get("train_cfg") or {}
    given = [name for name in _LENGTHS if loop.get(name)]
    if len(given) > 1:
        yield "train_cfg has max_epochs and max_iters: leave out the one in which the training is not counted."
    for options in schedulers(config):
        kind = _name(options)
        if "Plateau" in kind:
            yield f"param_scheduler: {kind} waits for validation results, which training does not make: use MultiStepLR."
        elif given == ["max_iters"] and _by_epoch(options):
            yield f"param_scheduler: {kind} counts in epochs, train_cfg.max_iters in iterations: write by_epoch: false, and iterations."
        elif given == ["max_epochs"] and not _by_epoch(options) and options not in warm_ups(config) and not stated_iterations(config):
            mixed = any(map(_by_epoch, schedulers(config)))
            yield (
                f"param_scheduler: {kind} counts in iterations, train_cfg.max_epochs in epochs, so when it acts is not known: "
                f"write by_epoch: true, and epochs{'' if mixed else '; or its `end`, the iterations of the whole training'}."
            )


def _by_epoch(options: Mapping[str, Any]) -> bool:
    return bool(options.get("by_epoch", True))


def _name(options: Mapping[str, Any]) -> str:
    kind = options.get("type")
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition(".")[2]


def _rises(options: Mapping[str, Any]) -> bool:
    """Whether a scheduler raises the learning rate."""
    name = _name(options)
    first, last = _RISING.get(name, ("", ""))
    return "Warmup" in name or bool(first and options.get(first, 1 / 3) < options.get(last, 1.0))


def _ends(given: list[dict[str, Any]]) -> Iterator[int]:
    """The end of each; 0 where it has none."""
    return (int(options.get("end") or options.get("total_steps") or 0) for options in given)


def _longest_warm_up(steps: int) -> int:
    return max(int(steps * WARM_UP_SHARE), 1)
