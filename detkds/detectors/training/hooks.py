"""The hooks of a config around our own training: mmengine's calls, in mmengine's order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import get_priority

from detkds.detectors.silence import silence

OWN = (
    "IterTimerHook",
    "LoggerHook",
    "ParamSchedulerHook",
    "CheckpointHook",
    "DistSamplerSeedHook",
    "RuntimeInfoHook",
    "DetVisualizationHook",
    "TrackVisualizationHook",
    "GroundingVisualizationHook",
    "ProfilerHook",
)
"""Hooks that do the Runner's own work or only look on; our loop, its log and its checkpoints do that work, so they never run."""


SWITCHES = ("PipelineSwitchHook", "YOLOXModeSwitchHook")
"""Hooks that change how images are made from some epoch on, of labelled and unlabelled ones alike."""


class Loading:
    """What hooks may see and change of the train loader.

    Attributes:
        dataset: mmdet's data set; worker processes see a change of it when the loader starts again.
        persistent_workers: True, so that hooks ask for that as they do in mmengine, by setting `_iterator` to None.
        batch_size: images per step.
    """

    persistent_workers = True

    def __init__(self, dataset: Any, batch_size: int) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        self.length = 0
        self._iterator: object | None = None
        self._seen: dict[str, int] = {}
        self.settled()

    def __len__(self) -> int:
        """Steps of the epoch that a hook is in."""
        return self.length

    def changed(self) -> bool:
        """Whether a hook has changed the data set since `settled`."""
        return self._iterator is None or self._seen != {name: id(value) for name, value in vars(self.dataset).items()}

    def settled(self) -> None:
        """The loader has started again."""
        self._iterator = self
        self._seen = {name: id(value) for name, value in vars(self.dataset).items()}


@dataclass
class View:
    """The part of mmengine's Runner that a hook of a training may read. Epochs and iterations are those of the config's own schedule, see
    `runtime.runtime`."""

    model: Any
    optim_wrapper: Any
    param_schedulers: list[Any]
    train_dataloader: Loading
    cfg: Config
    rank: int = 0
    world_size: int = 1
    epoch: int = 0
    iter: int = 0
    max_epochs: int = 0
    max_iters: int = 0
    _resume: bool = True
    logger: Any = field(default_factory=lambda: MMLogger("detkds", log_level="ERROR"))
    message_hub: MessageHub = field(default_factory=MessageHub.get_current_instance)


SEEN = frozenset(part.name for part in fields(View))
"""Attributes of a View."""


class Hooks:
    """The hooks of a config, first those of the highest priority.

    Args:
        config: a full detector config; hooks in it that only look on or do the Runner's work are left out, see OWN.
        view: what hooks see of the training.
        prepare: what the data set does with a pipeline of the config before it uses it.
        only: names of the hooks to build; none: all.
    """

    def __init__(self, config: Config, view: View, prepare: Callable[[list[Any]], list[Any]], only: tuple[str, ...] = ()) -> None:
        self.view = view
        init_default_scope("mmdet")
        with silence():
            built = [_build(options, prepare) for options in wanted(config) if not only or bare_name(options) in only]
        self._hooks = sorted(built, key=lambda hook: get_priority(hook.priority))

    def call(self, moment: str, **what: Any) -> None:
        """Call every hook at one of mmengine's moments, such as before_train_epoch."""
        for hook in self._hooks:
            getattr(hook, moment)(self.view, **what)

    def at(self, moment: dict[str, int]) -> None:
        """Say where in the schedule the training is."""
        vars(self.view).update(moment)

    def saved(self, model: Any) -> dict[str, Any]:
        """A checkpoint of the model as the hooks want it: its `state_dict` is the detector to keep, the rest is the hooks' own."""
        content: dict[str, Any] = {"state_dict": model.state_dict()}
        self.call("before_save_checkpoint", checkpoint=content)
        return content

    def restored(self, content: dict[str, Any]) -> dict[str, Any]:
        """The weights to continue training with, from what `saved` gave."""
        self.call("after_load_checkpoint", checkpoint=content)
        weights: dict[str, Any] = content["state_dict"]
        return weights


def wanted(config: Config) -> Iterator[dict[str, Any]]:
    """The hooks of a config that are not OWN, as it writes them."""
    default = config.get("default_hooks") or {}
    for options in [*default.values(), *(config.get("custom_hooks") or [])]:
        if options and bare_name(options) not in OWN:
            yield copy.deepcopy(dict(options))


def bare_name(options: Any) -> str:
    """The name of a hook's class, without its scope or module."""
    return str(options.get("type")).rpartition(".")[2]


def _build(options: dict[str, Any], prepare: Callable[[list[Any]], list[Any]]) -> Hook:
    if "switch_pipeline" in options:
        options["switch_pipeline"] = prepare(options["switch_pipeline"])
    priority = options.pop("priority", None)
    hook: Hook = HOOKS.build(options)
    if priority is not None:
        hook.priority = priority
    return hook
