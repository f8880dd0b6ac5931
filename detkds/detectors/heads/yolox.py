"""YOLOX: a point with an offset and a log size."""

from __future__ import annotations

import torch
from torch import Tensor

from detkds.detectors.heads.cells import Cells


class YOLOX(Cells):
    """Reads YOLOXHead, whose third output, the objectness, is the quality factor of a cell."""

    def decode(self, priors: Tensor, encoded: Tensor, stride: int) -> Tensor:
        """Offset and size are in units of the stride; the head decodes by itself, it has no coder."""
        strides = torch.full_like(priors, stride)
        return self.head._bbox_decode(torch.cat([priors, strides], 1), encoded)  # type: ignore[no-any-return]
