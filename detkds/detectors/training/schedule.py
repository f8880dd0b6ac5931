"""The optimizer and learning-rate schedule of a detector's own config, stretched to the training that is asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from torch import nn

from detkds.detectors.silence import silence
from detkds.detectors.training.moments import faults, schedulers, steps_per_unit
from detkds.errors import ConfigError

_MOMENTS = ("begin", "end", "T_max", "step_size", "total_steps")
_LISTS_OF_MOMENTS = ("milestones", "periods")


def build_optimizer(
    config: Config,
    student: nn.Module,
    connectors: Iterable[nn.Parameter] = (),
    *,
    learning_rate: float | None = None,
    amp: bool | str = False,
    gpu: bool = False,
    batch_size: int = 0,
) -> OptimWrapper:
    """The config's optimizer over the student, exactly as stock mmdet would build it, with the connectors as one more group.

    Args:
        config: a full detector config with `optim_wrapper`; clipping, per-parameter settings and accumulation are its own.
        student: its parameters keep their own names, so per-parameter settings of the config apply.
        connectors: what aligns student to teacher; trained with the config's plain settings.
        learning_rate: replaces the config's, and `auto_scale_lr` then changes nothing.
        amp: mixed precision even where the config's optim_wrapper is none of mixed precision; its `loss_scale` holds, and its `dtype`
            unless amp is "bf16" or "fp16".
        gpu: without one, mixed precision is left out.
        batch_size: images per step over all processes, for a config whose `auto_scale_lr` is enabled.

    Raises:
        ConfigError: the config has no usable `optim_wrapper`.
    """
    if not isinstance(config.get("optim_wrapper"), dict) or "optimizer" not in config.optim_wrapper:
        raise ConfigError("the student's config must have an optim_wrapper with an optimizer, but has none; add one as mmdet's configs do.")
    options = _precision(copy.deepcopy(config.optim_wrapper), amp=amp, gpu=gpu)
    if learning_rate is not None:
        options.optimizer.lr = learning_rate
    init_default_scope("mmdet")
    with silence():
        wrapper = build_optim_wrapper(student, options)
    extra = list(connectors)
    if extra:
        wrapper.optimizer.add_param_group({"params": extra})
    scaling = config.get("auto_scale_lr") or {}
    if learning_rate is None and scaling.get("enable"):
        for group in wrapper.optimizer.param_groups:
            group["lr"] *= batch_size / scaling["base_batch_size"]
    return wrapper


DTYPES = {"bf16": "bfloat16", "fp16": "float16"}


def _precision(options: Any, *, amp: bool | str, gpu: bool) -> Any:
    """The options of an optim_wrapper with mixed precision where it is wanted and there is a GPU."""
    mixed = amp or options.get("type") == "AmpOptimWrapper"
    if mixed and gpu:
        dtype = {"dtype": DTYPES[amp]} if isinstance(amp, str) else {}
        return Config({"loss_scale": "dynamic", **options, **dtype, "type": "AmpOptimWrapper"})._cfg_dict
    if mixed:
        options = {key: value for key, value in options.items() if key not in ("loss_scale", "dtype", "use_fsdp")}
        return Config({**options, "type": "OptimWrapper"})._cfg_dict
    return options


def build_schedulers(config: Config, optimizer: OptimWrapper, *, steps: int) -> list[Any]:
    """The config's `param_scheduler` over `steps` training steps; each is to be stepped once a training step.

    Moments keep their share of the training: a milestone at epoch 8 of the config's 12 lies at two thirds of `steps`. Schedules by
    epoch move in steps, which is smoother and the same at whole epochs. For those in iterations see `moments.steps_per_unit`. Phases of
    less than two steps are left out.

    Raises:
        ConfigError: the config does not say how long it trains, or has a schedule that cannot be followed, see `moments.faults`.
    """
    if found := list(faults(config)):
        raise ConfigError("\n".join(found))
    init_default_scope("mmdet")
    wanted = [_stretched(options, steps_per_unit(options, config, steps), steps) for options in schedulers(config)]
    return [
        PARAM_SCHEDULERS.build(options, default_args={"optimizer": optimizer})
        for options in wanted
        if options["end"] - options.get("begin", 0) >= 2
    ]


def _stretched(options: dict[str, Any], ratio: float, steps: int) -> dict[str, Any]:
    """One scheduler's options with every moment in training steps, `ratio` of which are one of its own units."""
    stretched = {key: value for key, value in options.items() if key not in ("by_epoch", "convert_to_iter_based")}
    for name in _MOMENTS:
        if options.get(name) is not None:
            stretched[name] = round(options[name] * ratio)
    for name in _LISTS_OF_MOMENTS:
        if name in options:
            stretched[name] = [round(value * ratio) for value in options[name]]
    if "Exponential" in str(options.get("type")):
        stretched["gamma"] **= 1 / ratio  # so many times as often
    for name in ("T_max", "step_size", "total_steps"):
        if stretched.get(name) is not None:
            stretched[name] = max(stretched[name], 1)
    return {**stretched, "end": stretched.get("end", steps), "by_epoch": False}
