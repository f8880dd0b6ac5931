"""The optimizer and learning-rate schedule of a detector's own config, stretched to the training that is asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from torch import nn

from detkds.detectors.silence import silence
from detkds.errors import ConfigError

_MOMENTS = ("begin", "end", "T_max", "step_size", "total_steps")
_LISTS_OF_MOMENTS = ("milestones", "periods")
WARM_UP_SHARE = 0.1


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
    epoch move in steps, which is smoother and the same at whole epochs. A warm-up counted in iterations inside a config counted in
    epochs keeps its iterations, but lasts at most a tenth of the training. Phases of less than two steps are left out.

    Raises:
        ConfigError: the config does not say how long it trains, or has a schedule that waits for validation results.
    """
    given = config.get("param_scheduler") or []
    init_default_scope("mmdet")
    wanted = [_stretched(dict(options), config, steps) for options in (given if isinstance(given, list | tuple) else [given])]
    return [
        PARAM_SCHEDULERS.build(options, default_args={"optimizer": optimizer})
        for options in wanted
        if options["end"] - options.get("begin", 0) >= 2
    ]


def shortened_warm_up(config: Config, steps: int) -> str:
    """For people: what a training of `steps` steps cuts short of the schedulers that an epoch-based config counts in steps, its warm-up
    above all; empty where each of them lasts as long as it says."""
    if not length(config)[1]:
        return ""
    given = config.get("param_scheduler") or []
    limit = _ratio(config, steps, by_epoch=False)[1]
    cut = {
        _called(options): int(options["end"])
        for options in (given if isinstance(given, list | tuple) else [given])
        if not options.get("by_epoch", True) and (options.get("end") or 0) > limit
    }
    if not cut:
        return ""
    named = " and ".join(f"{name} of {end} steps" for name, end in cut.items())
    return f"the config's {named} lasts {limit}, a tenth of the {steps} steps of this training; mmdet's train.py would not shorten it"


def _called(options: Mapping[str, Any]) -> str:
    """A scheduler in a sentence: a warm-up is one that begins with the training and raises the learning rate."""
    name = str(options.get("type")).removeprefix("mmdet.")
    rising = (
        "Warmup" in name
        or (name == "LinearLR" and options.get("start_factor", 1 / 3) < options.get("end_factor", 1.0))
        or (name == "ConstantLR" and options.get("factor", 1 / 3) < 1)
    )
    return "warm-up" if rising and not options.get("begin") else name


def _stretched(options: dict[str, Any], config: Config, steps: int) -> dict[str, Any]:
    """One scheduler's options with every moment in training steps."""
    if "Plateau" in str(options.get("type")):
        raise ConfigError(f"{options['type']} waits for validation results, which this training does not make; use MultiStepLR instead.")
    by_epoch = options.pop("by_epoch", True)
    options.pop("convert_to_iter_based", None)
    ratio, limit = _ratio(config, steps, by_epoch)

    def moment(value: float) -> int:
        return min(round(value * ratio), limit)

    for name in _MOMENTS:
        if options.get(name) is not None:
            options[name] = moment(options[name])
    for name in _LISTS_OF_MOMENTS:
        if name in options:
            options[name] = [moment(value) for value in options[name]]
    if "Exponential" in str(options.get("type")):
        options["gamma"] **= 1 / ratio  # so many times as often
    for name in ("T_max", "step_size", "total_steps"):
        if options.get(name) is not None:
            options[name] = max(options[name], 1)
    return {**options, "end": options.get("end", steps), "by_epoch": False}


def _ratio(config: Config, steps: int, by_epoch: bool) -> tuple[float, int]:
    """Training steps a unit of the config's time, and the last step a moment may lie at."""
    whole, in_epochs = length(config)
    if by_epoch or not in_epochs:
        return steps / whole, steps
    return 1.0, max(int(steps * WARM_UP_SHARE), 1)


def length(config: Config) -> tuple[int, bool]:
    """How long the config's schedule is, and whether that is in epochs; else it is in iterations.

    Raises:
        ConfigError: it does not say.
    """
    loop = config.get("train_cfg") or {}
    for name in ("max_epochs", "max_iters"):
        if loop.get(name):
            return int(loop[name]), name == "max_epochs"
    raise ConfigError("the student's config must say how long its schedule is, but does not; add train_cfg.max_epochs or max_iters.")
