"""Views of small random batches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from detkds.genome import Genome
from detkds.losses import Views
from detkds.testing.views import gradients_of, imitated, random_views, student_tensors


@pytest.fixture(scope="session")
def make_views() -> Callable[..., Views]:
    """A factory of views: two images with three boxes on two levels unless told otherwise."""
    return random_views


@pytest.fixture(scope="session")
def gradients() -> Callable[[Tensor, Views], list[Tensor]]:
    """The gradient of a loss to each of the student's tensors; zeros where it does not reach."""

    return gradients_of


@pytest.fixture(scope="session")
def leaves_of() -> Callable[[Views], list[Tensor]]:
    """What of the views takes a gradient."""
    return student_tensors


@pytest.fixture(scope="session")
def says_nothing() -> Callable[[Genome, str], bool]:
    """Whether a genome leaves nothing to compare, under a semantics."""
    return empty_handed


@pytest.fixture(scope="session")
def imitate() -> Callable[[Views], Views]:
    """Turns views into those of a student that has the teacher's values."""

    return imitated


def empty_handed(genome: Genome, semantics: str) -> bool:
    """Words that leave nothing to compare: a map of one channel has no direction over channels, one value a channel no shape over
    positions."""
    slots = genome.slots
    attention, norm, distance = (slots.get(slot) for slot in ("attention", "norm", "distance"))
    over_channels = norm == "norm_C" or distance == "cosine" or (semantics == "released" and distance == "pearson")
    over_positions = semantics == "paper" and (norm in ("norm_HW", "norm_minmax") or distance in ("kl", "pearson"))
    return (attention == "smap" and over_channels) or (attention == "cmap" and over_positions)
