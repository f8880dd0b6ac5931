"""How many classes weights tell apart, read from shapes alone: held against detectors of every tested family."""

from __future__ import annotations

import pytest
from shrink import shrink

from detkds.detectors.configs.config import adapt, build_detector
from detkds.detectors.configs.data_config import read_config
from detkds.pairs import PAIRS
from detkds.pipeline.known_heads import other_count

FAMILIES = {side.config.partition("/")[0]: side.config for pair in PAIRS for side in (pair.teacher, pair.student)}


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_a_tested_family_say_how_many_classes_they_tell_apart(family: str) -> None:
    config = shrink(read_config(FAMILIES[family]))
    for classes in (3, 80):
        names = tuple(f"class {place}" for place in range(classes))
        detector = build_detector(adapt(config, names, pretrained_backbone=False).config, seed=0)
        shapes = {name: tuple(tensor.shape) for name, tensor in detector.state_dict().items()}
        assert other_count(shapes, classes) is None
        assert other_count(shapes, 20) == classes


def test_weights_of_an_unknown_head_are_left_to_the_stages() -> None:
    assert other_count({"backbone.conv.weight": (4, 3, 3, 3), "head.scores.weight": (80, 4)}, 20) is None
