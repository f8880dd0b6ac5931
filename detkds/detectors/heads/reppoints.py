"""RepPoints: a box is what a set of points spans."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from detkds.detectors.heads.cells import Cells


class RepPoints(Cells):
    """Reads RepPointsHead: its refined points, which are the ones that it detects with."""

    def scores(self, outputs: Sequence[Tensor]) -> Tensor:
        """In training the third output are points and no quality factor."""
        return super().scores(outputs[:1])

    def encoded(self, outputs: Sequence[Tensor]) -> Tensor:
        """In training the head returns first and refined points, else the box of the refined ones."""
        return outputs[1] if len(outputs) == 2 else self.head.points2bbox(outputs[2].float())

    def decode(self, priors: Tensor, encoded: Tensor, stride: int) -> Tensor:
        """The box lies around the cell's point, in units of the stride."""
        return priors.repeat(1, 2) + encoded * stride
