"""mmcv's compiled operators from torchvision and plain torch, for a machine on which mmcv's own are not compiled.

`pack.py` stores this file as `mmcv/_ext.py`, the module that mmcv imports. It has what training and prediction of the seven families call
on a GPU: nms, focal loss, RoIAlign and multi-scale deformable attention. Any other operator raises NotImplementedError when it is called.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def __getattr__(name: str) -> Any:
    """mmcv asks for the names of all its operators when it is imported."""
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args: Any, **options: Any) -> None:
        raise NotImplementedError(f"the operator {name} of mmcv is not compiled on this machine.")

    return missing


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that are kept, best first."""
    import torchvision

    kept: Tensor = torchvision.ops.nms(bboxes, scores, iou_threshold)
    return kept


def _focal(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Focal loss of each element (N, K), of class indices (N,) in [0, K], K the background; weight (K,) or empty."""
    hit = torch.nn.functional.one_hot(target, input.shape[1] + 1)[:, :-1].to(input)
    p = input.sigmoid()
    found = -alpha * hit * (1 - p) ** gamma * torch.nn.functional.logsigmoid(input)
    left = -(1 - alpha) * (1 - hit) * p**gamma * torch.nn.functional.logsigmoid(-input)
    return (found + left) * (weight if weight.numel() else 1.0)


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float) -> None:
    """Write the losses into `output` (N, K)."""
    output.copy_(_focal(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float) -> None:
    """Write the gradient of the summed losses into `grad_input` (N, K)."""
    with torch.enable_grad():
        leaf = input.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_focal(leaf, target, weight, gamma, alpha).sum(), leaf)
    grad_input.copy_(gradient)


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, *,
    aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    """Average pooling into `output` (R, C, h, w)."""
    import torchvision  # noqa: F401  # registers the operator

    size = (aligned_height, aligned_width)
    output.copy_(torch.ops.torchvision.roi_align(input, rois, spatial_scale, *size, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, *,
    aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    """The gradient to the features (N, C, H, W)."""
    size = (aligned_height, aligned_width)
    shape, gradient = grad_input.shape, grad_output.float()  # torchvision's kernel knows no bfloat16
    back = torch.ops.torchvision._roi_align_backward(gradient, rois.float(), spatial_scale, *size, *shape, sampling_ratio, aligned)
    grad_input.copy_(back)


def ms_deform_attn_forward(value: Tensor, shapes: Tensor, starts: Tensor, places: Tensor, weights: Tensor, im2col_step: int) -> Tensor:
    """What attention gathers (N, queries, channels) from values (N, cells, heads, channels per head)."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    gathered: Tensor = multi_scale_deformable_attn_pytorch(value.float(), shapes, places.float(), weights.float())
    return gathered.to(value)


def ms_deform_attn_backward(
    value: Tensor, shapes: Tensor, starts: Tensor, places: Tensor, weights: Tensor, grad_output: Tensor,
    grad_value: Tensor, grad_places: Tensor, grad_weights: Tensor, im2col_step: int,
) -> None:  # fmt: skip
    """The gradients to values, sampling places and weights."""
    with torch.enable_grad():
        leaves = [part.detach().requires_grad_() for part in (value, places, weights)]
        gathered = ms_deform_attn_forward(leaves[0], shapes, starts, leaves[1], leaves[2], im2col_step)
        gradients = torch.autograd.grad(gathered, leaves, grad_output)
    for into, gradient in zip((grad_value, grad_places, grad_weights), gradients, strict=True):
        into.copy_(gradient)
