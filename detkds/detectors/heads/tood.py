"""TOOD: scores and boxes come out of the head aligned with each other and decoded."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from detkds.detectors.heads.cells import Cells


class TOOD(Cells):
    """Reads TOODHead."""

    def scores(self, outputs: Sequence[Tensor]) -> Tensor:
        """The head applies the sigmoid itself."""
        return outputs[0].float()[:, None]

    def decode(self, priors: Tensor, encoded: Tensor, stride: int) -> Tensor:
        """Corners in units of the stride."""
        return encoded * stride
