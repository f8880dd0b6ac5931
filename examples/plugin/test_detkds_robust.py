"""The plugin's tests: the contracts of DetKDS, and its values by hand. Run them with pytest."""

import math

import detkds_robust
import pytest
import torch

import detkds
from detkds.testing import DistanceContract, TransformContract


class TestPseudoHuber(DistanceContract):
    word = "pseudo_huber"


class TestSignedRoot(TransformContract):
    word = "signed_root"
    slot = "norm"


def test_pseudo_huber_by_hand():
    # sqrt(1 + 3) - 1 = 1 and sqrt(1 + 0) - 1 = 0
    student, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([math.sqrt(3), 0.0]).view(1, 1, 1, 2)
    assert detkds.loss("global: none > none > none | pseudo_huber", student, teacher).item() == pytest.approx(0.5)


def test_signed_root_by_hand():
    assert detkds_robust.signed_root(torch.tensor([3.0, -8.0, 0.0])).tolist() == [1.0, -2.0, 0.0]
