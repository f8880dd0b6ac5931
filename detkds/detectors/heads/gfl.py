"""GFL: a box is a distribution over bins for each of its four distances from the anchor's centre."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from detkds.detectors.heads.cells import Cells


class GFL(Cells):
    """Reads GFLHead and LDHead."""

    def bins(self, outputs: Sequence[Tensor]) -> Tensor:
        """The logits as they are: one anchor a cell, sides left, top, right, bottom."""
        return outputs[1].float()

    def decode(self, priors: Tensor, encoded: Tensor, stride: int) -> Tensor:
        """The mean of each distribution, in units of the stride, is the distance."""
        return super().decode(self.head.anchor_center(priors), self.head.integral(encoded) * stride, stride)
