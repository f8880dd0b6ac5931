"""A head that is registered from outside of the package is read; what cannot read one is refused with one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from heads import DENSE, shaken
from mmdet.models.dense_heads import RetinaHead
from mmdet.registry import MODELS
from shrink import shrink

import detkds
from detkds.detectors import adapt, build_detector, load_config
from detkds.detectors.heads import family, mismatch, reader
from detkds.detectors.heads.cells import Cells
from detkds.detectors.heads.dense import HEADS
from detkds.detectors.heads.predictions import Family
from detkds.detectors.heads.register import FAMILIES
from detkds.detectors.taps import Tapped
from detkds.errors import ConfigError

pytestmark = pytest.mark.usefixtures("own_words")


class NegatedHead(RetinaHead):
    """Predicts the negative of the class logits."""


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    heads, families = dict(HEADS), dict(FAMILIES)
    MODELS.register_module(module=NegatedHead, force=True)
    yield
    MODELS._module_dict.pop("NegatedHead")
    for table, before in ((HEADS, heads), (FAMILIES, families)):
        table.clear()
        table.update(before)


def detector(kind: str) -> Any:
    config = shrink(load_config(DENSE["retinanet"], trust=False), width=16)
    config.model.bbox_head.type = kind
    return shaken(build_detector(adapt(config, ("ring", "bar", "dot")).config, seed=0))


def test_a_dense_head_is_read_after_it_is_registered() -> None:
    own, retina = detector("NegatedHead"), detector("RetinaHead")
    assert "docs/detectors.md says how to add a head" in str(mismatch(own, retina))

    @detkds.head("NegatedHead")
    class Negated(Cells):
        def scores(self, outputs: Any) -> torch.Tensor:
            return super().scores((-outputs[0], *outputs[1:]))

    assert mismatch(own, retina) is None
    levels = [torch.rand(1, 16, size, size) for size in (8, 4, 2, 1, 1)]
    outputs = tuple([[-level for level in kind] if place == 0 else kind for place, kind in enumerate(retina.bbox_head(levels))])
    ours, theirs = reader(own, retina)(Tapped(outputs=outputs), levels, [])
    for mine, taught in zip(ours.scores, theirs.scores, strict=True):
        torch.testing.assert_close(mine, taught)


def test_a_family_of_its_own_is_asked_last() -> None:
    own = detector("NegatedHead")

    @detkds.head("negated")
    class Negated(Family):
        @staticmethod
        def reads(detector: Any) -> bool:
            return type(detector.bbox_head).__name__ in ("NegatedHead", "RetinaHead")

        def predictions(self, tapped: Any, samples: Any) -> Any: ...

        def asked(self, levels: Any, samples: Any, about: Any) -> Any: ...

    assert family(own) is Negated
    assert family(detector("RetinaHead")) is FAMILIES["dense"]


def test_what_cannot_read_a_head_is_refused() -> None:
    class Open(Family):
        """Says nothing."""

    for name, wrong, message in (
        ("RetinaHead", type("Mine", (Cells,), {}), r"the head 'RetinaHead' is read by detkds\..*\.Cells already"),
        ("MyHead", lambda head: head, "must be read by a subclass of Cells"),
        ("MyHead", Open, "which leaves asked, predictions, reads open"),
        ("my head", Cells, "registered by the name of its class, got 'my head'"),
    ):
        with pytest.raises(ConfigError, match=message) as refused:
            detkds.head(name)(wrong)  # type: ignore[type-var]
        assert "\n" not in str(refused.value)
