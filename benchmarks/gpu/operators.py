"""mmcv's compiled operators from torchvision and plain torch, for a machine on which mmcv's own are not compiled.

`install()` puts a module in the place of `mmcv._ext`. It answers for what training and prediction of the seven families call on a GPU: nms,
focal loss, RoIAlign and multi-scale deformable attention. Any other operator raises NotImplementedError when it is called.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor


class _Operators(ModuleType):
    """Has every name that mmcv asks for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args: Any, **options: Any) -> None:
            raise NotImplementedError(f"the operator {name} of mmcv is not compiled on this machine.")

        return missing


def install() -> bool:
    """Stand in for mmcv's operators where they are missing; whether they were."""
    try:
        import mmcv._ext
    except ImportError:
        pass
    else:
        return False
    import torchvision

    module: Any = _Operators("mmcv._ext")
    module.__spec__ = ModuleSpec("mmcv._ext", None)  # mmengine asks whether there is one
    module.nms = lambda bboxes, scores, iou_threshold, offset: torchvision.ops.nms(bboxes, scores, iou_threshold)
    module.sigmoid_focal_loss_forward = focal_forward
    module.sigmoid_focal_loss_backward = focal_backward
    module.roi_align_forward = roi_align_forward
    module.roi_align_backward = roi_align_backward
    sys.modules["mmcv._ext"] = module
    import mmcv
    from mmcv.ops import multi_scale_deform_attn as attention

    mmcv._ext = module
    attention.MultiScaleDeformableAttnFunction.apply = lambda value, shapes, starts, places, weights, step: (
        attention.multi_scale_deformable_attn_pytorch(value, shapes, places, weights)
    )
    return True


def _focal(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Focal loss of each element (N, K), of class indices (N,) in [0, K], K the background; weight (K,) or empty."""
    hit = torch.nn.functional.one_hot(target, input.shape[1] + 1)[:, :-1].to(input)
    p = input.sigmoid()
    found = -alpha * hit * (1 - p) ** gamma * torch.nn.functional.logsigmoid(input)
    left = -(1 - alpha) * (1 - hit) * p**gamma * torch.nn.functional.logsigmoid(-input)
    return (found + left) * (weight if weight.numel() else 1.0)


def focal_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float) -> None:
    """Write the losses into `output` (N, K)."""
    output.copy_(_focal(input, target, weight, gamma, alpha))


def focal_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float) -> None:
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
