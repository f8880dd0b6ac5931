"""FCOS: points with distances."""

from __future__ import annotations

from torch import Tensor

from detkds.detectors.heads.cells import Cells


class FCOS(Cells):
    """Reads FCOSHead and NASFCOSHead."""

    def decode(self, priors: Tensor, encoded: Tensor, stride: int) -> Tensor:
        """Where it regresses in units of the stride, the head leaves the stride out of what it returns in training."""
        in_strides = self.head.training and getattr(self.head, "norm_on_bbox", False)
        return super().decode(priors, encoded * stride if in_strides else encoded, stride)
