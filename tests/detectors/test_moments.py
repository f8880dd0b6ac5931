"""Schedules of learning rates: stretched to the training, and refused where it is not known when they act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from pictures import make_config

from detkds.detectors.training.asked import refusals
from detkds.detectors.training.moments import shortened_warm_up, stated_iterations
from detkds.detectors.training.schedule import build_schedulers
from detkds.errors import ConfigError

WARM_UP = {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 500}


def optimizer() -> OptimWrapper:
    return OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.003))


def scheduled(*schedulers: dict[str, Any], **length: int) -> Config:
    """A config of 12 epochs, or of another length, with these schedulers."""
    config = make_config()
    config.train_cfg = length or {"max_epochs": 12}
    config.param_scheduler = list(schedulers)
    return config


def rates(build: Callable[[OptimWrapper], list[Any]], steps: int) -> list[float]:
    wrapper = optimizer()
    schedulers, found = build(wrapper), []
    for _ in range(steps):
        found.append(wrapper.optimizer.param_groups[0]["lr"])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


def ours(config: Config, steps: int) -> list[float]:
    return rates(lambda wrapper: build_schedulers(config, wrapper, steps=steps), steps)


def of_mmengine(config: Config, steps: int) -> list[float]:
    """The rates that mmengine's own schedulers give where each step is an iteration."""
    given = config.param_scheduler
    return rates(lambda wrapper: [PARAM_SCHEDULERS.build(dict(one), default_args={"optimizer": wrapper}) for one in given], steps)


def test_schedule_is_stretched() -> None:
    # 12 epochs become 120 steps, so the milestones 8 and 11 lie at steps 80 and 110; the 500 warm-up iterations at most at a tenth, 12.
    rates = ours(make_config(), 120)
    # LinearLR reaches the full rate after 12 - 1 steps: 0.1 + 0.9 * 5 / 11 of it after 5.
    assert rates[0] == pytest.approx(0.0003)
    assert rates[5] == pytest.approx(0.003 * (0.1 + 0.9 * 5 / 11))
    assert rates[11:80] == pytest.approx([0.003] * 69)
    assert rates[80:110] == pytest.approx([0.0003] * 30)
    assert rates[110:] == pytest.approx([0.00003] * 10)


@pytest.mark.parametrize(("steps", "lasts"), [(120, 12), (5000, None), (4990, 499)])
def test_a_warm_up_that_is_cut_short_is_named(steps: int, lasts: int | None) -> None:
    named = f"the config's warm-up of 500 steps lasts {lasts}, a tenth of the {steps} steps" if lasts else ""
    assert shortened_warm_up(make_config(), steps).startswith(named)
    assert bool(shortened_warm_up(make_config(), steps)) is bool(lasts)


@pytest.mark.parametrize("scheduler", [{"type": "ConstantLR"}, {"type": "mmdet.QuadraticWarmupLR"}, {"type": "LinearLR"}])
def test_a_rate_that_rises_from_the_first_step_is_a_warm_up(scheduler: dict[str, Any]) -> None:
    config = scheduled({**WARM_UP, **scheduler})
    assert "warm-up of 500 steps lasts 12" in shortened_warm_up(config, 120)
    assert list(refusals(config)) == []


def test_two_warm_ups_after_each_other_keep_their_shares_of_a_tenth() -> None:
    """100 and 400 of 500 iterations: 2 and 10 of the first 12 steps of 120."""
    held = {"type": "ConstantLR", "factor": 0.1, "by_epoch": False, "begin": 0, "end": 100}
    config = scheduled(held, {**WARM_UP, "begin": 100})
    assert "warm-up of 500 steps lasts 12" in shortened_warm_up(config, 120)
    assert ours(config, 120) == pytest.approx(of_mmengine(scheduled({**held, "end": 2}, {**WARM_UP, "begin": 2, "end": 12}), 120))


COSINE = {"type": "CosineAnnealingLR", "by_epoch": False, "begin": 500, "end": 9000, "T_max": 8500}
STEPS = {"type": "MultiStepLR", "by_epoch": False, "begin": 0, "end": 9000, "milestones": [6000, 8000], "gamma": 0.1}


@pytest.mark.parametrize("later", [COSINE, STEPS], ids=["cosine", "steps"])
@pytest.mark.parametrize("length", [{"max_epochs": 12}, {"max_iters": 9000}], ids=str)
def test_a_schedule_in_iterations_gives_the_rates_of_mmengine_over_the_length_that_it_states(
    later: dict[str, Any], length: dict[str, int]
) -> None:
    """Its last `end` says that it is for 9000 iterations, in a config of epochs too; then the warm-up shrinks with it."""
    config = scheduled({**WARM_UP}, {**later}, **length)
    assert list(refusals(config)) == []
    expected = of_mmengine(config, 9000)
    assert ours(config, 9000) == pytest.approx(expected, rel=1e-6)
    assert shortened_warm_up(config, 900) == ""
    tenth = ours(config, 900)
    places = [0, 200, 599, 601, 799, 801, 899]
    # Endpoints of phases are reached a step before their end, so a tenth as many steps are up to 1/50 of the warm-up ahead.
    assert [tenth[place] for place in places] == pytest.approx([expected[10 * place] for place in places], rel=0.02, abs=1e-6)


OPEN = {"type": "MultiStepLR", "by_epoch": False, "milestones": [60000, 80000]}
BY_EPOCH = {"type": "CosineAnnealingLR", "by_epoch": True, "T_max": 12}


@pytest.mark.parametrize(
    ("schedulers", "length", "line"),
    [
        (
            [OPEN], {"max_epochs": 12},
            "param_scheduler: MultiStepLR counts in iterations, train_cfg.max_epochs in epochs, so when it acts is not known: "
            "write by_epoch: true, and epochs; or its `end`, the iterations of the whole training.",
        ),
        ([WARM_UP, OPEN], {"max_epochs": 12}, "MultiStepLR counts in iterations"),
        ([{**WARM_UP, "start_factor": 1.0, "end_factor": 0.0, "type": "mmengine.LinearLR"}, OPEN], {"max_epochs": 12}, "LinearLR counts"),
        ([{"type": "LinearLR", "by_epoch": False}], {"max_epochs": 12}, "LinearLR counts in iterations"),
        ([{**WARM_UP, "begin": 10}, BY_EPOCH], {"max_epochs": 12}, "so when it acts is not known: write by_epoch: true, and epochs."),
        ([STEPS, BY_EPOCH], {"max_epochs": 12}, "MultiStepLR counts in iterations"),
        ([WARM_UP, BY_EPOCH], {"max_iters": 9000}, "CosineAnnealingLR counts in epochs, train_cfg.max_iters in iterations: write"),
        ([{"type": "MultiStepLR", "milestones": [8]}], {"max_iters": 9000}, "MultiStepLR counts in epochs"),
        ([BY_EPOCH], {"max_epochs": 12, "max_iters": 9000}, "train_cfg has max_epochs and max_iters: leave out"),
    ],
)  # fmt: skip
def test_a_schedule_of_which_nothing_says_when_it_acts_is_refused(
    schedulers: list[dict[str, Any]], length: dict[str, int], line: str
) -> None:
    config = scheduled(*schedulers, **length)
    found = refusals(config)
    assert line in found[0]
    assert not any("\n" in one for one in found)
    with pytest.raises(ConfigError) as refused:
        build_schedulers(config, optimizer(), steps=1000)
    assert str(refused.value) == "\n".join(found)


def test_only_ends_of_schedules_beside_the_warm_up_state_how_long_a_training_is() -> None:
    assert stated_iterations(scheduled(WARM_UP, COSINE)) == stated_iterations(scheduled(STEPS)) == 9000
    one_cycle = {"type": "OneCycleLR", "by_epoch": False, "total_steps": 7000, "eta_max": 0.01}
    assert stated_iterations(scheduled(one_cycle)) == 7000
    assert [stated_iterations(scheduled(*given)) for given in ([WARM_UP], [], [OPEN], [COSINE, OPEN], [WARM_UP, BY_EPOCH])] == [0] * 5


def test_what_lies_beyond_the_configs_training_is_not_reached() -> None:
    """As in mmengine: of a cosine over 24 epochs a training of 12 has the first half, and a milestone at 20 never comes."""
    cosine = {"type": "CosineAnnealingLR", "by_epoch": True, "T_max": 24, "end": 24}
    late = {"type": "MultiStepLR", "by_epoch": True, "milestones": [20], "gamma": 0.1}
    rates = ours(scheduled(cosine, late), 120)
    assert rates[-1] == pytest.approx(0.0015, rel=0.02)
    assert rates[60] == pytest.approx(0.003 * (1 + 2**-0.5) / 2, rel=1e-6)


def test_schedule_without_a_length_is_an_error() -> None:
    config = make_config()
    config.train_cfg = None
    with pytest.raises(ConfigError, match="max_epochs"):
        build_schedulers(config, optimizer(), steps=10)
