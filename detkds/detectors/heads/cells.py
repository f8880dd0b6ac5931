"""One level of a dense head as cells: scores and the box of the best anchor or point of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Level = tuple[Tensor, Tensor, Tensor, Tensor]
"""scores (N, K, H, W), boxes (N, 4, H, W), centres (1, 2, H, W), units (1, 2, 1, 1) of one level, as in Response."""


class Cells:
    """Reads a head that returns class logits, encoded boxes and perhaps a quality factor, and whose coder decodes the boxes.

    So do RetinaNet and ATSS. A head that differs has a subclass with what differs: `scores`, `encoded` or `decode`.

    Args:
        head: the mmdet head.
    """

    def __init__(self, head: Any) -> None:
        self.head = head

    def read(self, outputs: Sequence[Tensor], index: int, choice: Tensor | None = None) -> tuple[Level, Tensor]:
        """One level.

        Args:
            outputs: what the head returned for the level: class scores (N, A K, H, W), boxes (N, A D, H, W), …
            index: of the level.
            choice: (N, H, W) which anchor's box to take in each cell; None takes the best scored.

        Returns:
            The level, float32, and the choice made. Gradients flow to the outputs.
        """
        scores_NAKHW = self.scores(outputs)
        if choice is None:
            choice = scores_NAKHW.detach().amax(2).argmax(1)
        boxes = self._boxes(self.encoded(outputs), choice, scores_NAKHW.shape[1], index)
        return (scores_NAKHW.amax(1), boxes, *self._grid(choice, index)), choice

    def scores(self, outputs: Sequence[Tensor]) -> Tensor:
        """(N, A, K, H, W) in [0, 1]: the numbers by which the head ranks its detections."""
        N, _, H, W = outputs[0].shape
        logits = outputs[0].float().reshape(N, -1, self.head.cls_out_channels, H, W)
        scores = logits.sigmoid() if self.head.use_sigmoid_cls else logits.softmax(2)[:, :, :-1]  # the last one is background
        return scores * outputs[2].float().sigmoid()[:, :, None] if len(outputs) > 2 else scores

    def encoded(self, outputs: Sequence[Tensor]) -> Tensor:
        """(N, A D, H, W): the head's own form of a box, as `decode` takes it."""
        return outputs[1]

    def bins(self, outputs: Sequence[Tensor]) -> Tensor | None:
        """(N, 4 (n + 1), H, W): logits of the distributions over a side's distance, of heads that predict them; None for all others."""
        return None

    def decode(self, priors: Tensor, encoded: Tensor, stride: int) -> Tensor:
        """(M, 4) pixels, not clipped, of anchors (M, 4) or points (M, 2) and the head's own form of a box (M, D)."""
        return self.head.bbox_coder.decode(priors, encoded)  # type: ignore[no-any-return]

    def _boxes(self, encoded: Tensor, choice: Tensor, anchors: int, index: int) -> Tensor:
        """(N, 4, H, W) pixels: the box of the chosen anchor of each cell."""
        N, H, W = choice.shape
        encoded_NHWAD = encoded.float().reshape(N, anchors, -1, H, W).permute(0, 3, 4, 1, 2)
        generator = self.head.prior_generator
        priors = generator.single_level_grid_priors((H, W), index, dtype=torch.float32, device=encoded.device)
        priors_NHWAP = priors.reshape(1, H, W, anchors, -1).expand(N, -1, -1, -1, -1)
        chosen, priors = (_choose(values, choice) for values in (encoded_NHWAD, priors_NHWAP))
        return self.decode(priors, chosen, int(generator.strides[index][0])).reshape(N, H, W, 4).permute(0, 3, 1, 2)

    def _grid(self, choice: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Centres (1, 2, H, W) and sizes (1, 2, 1, 1) of the cells in pixels."""
        stride = self.head.prior_generator.strides[index]
        x, y = ((torch.arange(cells, device=choice.device) + 0.5) * side for cells, side in zip(choice.shape[:0:-1], stride, strict=True))
        centres = torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
        return centres, torch.stack([torch.full((1, 1), float(side), device=choice.device) for side in stride])[None]


def _choose(values_NHWAD: Tensor, choice: Tensor) -> Tensor:
    """(N H W, D): the values of the chosen anchor of each cell."""
    index = choice[..., None, None].expand(*choice.shape, 1, values_NHWAD.shape[-1])
    return values_NHWAD.gather(3, index).flatten(0, 3)
