"""How many classes the shapes of a detector's weights tell apart, for the heads whose layers say so."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SCORES = {
    r"bbox_head\.retina_cls\.weight": "bbox_head.retina_reg.weight",
    r"bbox_head\.conv_cls\.weight": "bbox_head.conv_reg.weight",
    r"bbox_head\.atss_cls\.weight": "bbox_head.atss_reg.weight",
    r"bbox_head\.tood_cls\.weight": "bbox_head.tood_reg.weight",
    r"bbox_head\.(gfl_cls|reppoints_cls_out|(multi_level_conv|rtm)_cls\.0|cls_branches\.0)\.weight": "",
}
"""Layers of scores, each with the layer of boxes beside it, which has 4 rows for each anchor; without one there is one anchor."""
_ROI = re.compile(r"roi_head\.bbox_head(\.0)?\.fc_cls\.weight")
"""Scores of an RoI head; one row is the background's."""


def other_count(shapes: Mapping[str, tuple[int, ...]], classes: int) -> int | None:
    """How many classes weights tell apart where that is not `classes`; None where it is, and where no layer is known.

    Args:
        shapes: of tensors by name.
        classes: of the data.
    """
    for name, shape in shapes.items():
        if _ROI.fullmatch(name):
            return None if shape[0] - 1 == classes else shape[0] - 1
        for scores, boxes in _SCORES.items():
            if re.fullmatch(scores, name):
                anchors = shapes.get(boxes, (4,))[0] // 4
                count, rest = divmod(shape[0], anchors) if anchors else (0, 1)
                return None if rest or classes in (count, count - 1) else count  # a softmax head has a row for the background
    return None
