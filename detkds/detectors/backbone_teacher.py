"""A backbone alone as a teacher: its feature maps teach, and it has neither scores nor boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmdet.models import DetDataPreprocessor
from mmengine.model import BaseModel
from torch import Tensor, nn

from detkds.detectors import timm_networks
from detkds.errors import ConfigError
from detkds.pairs import TIMM

TYPE = "BackboneTeacher"
"""The `type` of the model in the config of such a teacher."""
SIZES = ((160, 224), (256, 256))
"""Heights and widths in pixels that such a teacher must accept: batches of a training have many sizes."""


def model_of(address: str) -> dict[str, Any]:
    """The `model` of a teacher's config that is named `timm/NAME` instead of being a file."""
    return {"type": TYPE, "name": address.removeprefix(TIMM), "options": {}}


def is_backbone(model: Mapping[str, Any]) -> bool:
    """Whether the `model` of a config is that of a backbone alone."""
    return model.get("type") == TYPE


class FeatureMaps(nn.Module):
    """The feature maps of a network of timm, the deepest one of each stride, fine to coarse, as (N, C, H, W).

    The batch is resized to whole cells of the coarsest map where it is not of such a size, so that every map covers all of it; networks
    that divide an image into patches or windows take nothing else.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        info = network.feature_info
        strides = [int(level["reduction"]) for level in (info if isinstance(info, list) else info.info)]
        deepest = {stride: index for index, stride in enumerate(strides)}
        self.indices = sorted(deepest.values())
        self.cell = max(strides)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps of (N, 3, H, W)."""
        size = [math.ceil(side / self.cell) * self.cell for side in inputs.shape[-2:]]
        if size != list(inputs.shape[-2:]):
            inputs = nn.functional.interpolate(inputs, size=size, mode="bilinear", align_corners=False)
        return tuple(self.network.forward_intermediates(inputs, indices=self.indices, norm=True, stop_early=True, intermediates_only=True))


class BackboneTeacher(BaseModel):  # type: ignore[misc]
    """A network of timm where a teacher's detector would be. It is shown the pixel values that timm states for its weights.

    Args:
        name: as timm lists it, such as `convnext_tiny.fb_in1k`.
        options: further arguments of `timm.create_model`.

    Raises:
        ConfigError: timm is not installed, or the network does not exist or does not accept images of any size.
    """

    with_neck = False

    def __init__(self, name: str, options: Mapping[str, Any] | None = None) -> None:
        network: Any = timm_networks.build(name, options)
        mean, std = ([255 * value for value in network.pretrained_cfg[key]] for key in ("mean", "std"))
        super().__init__(data_preprocessor=DetDataPreprocessor(mean=mean, std=std, bgr_to_rgb=True))
        self.name, self.backbone = name, FeatureMaps(network)
        self.eval()
        for height, width in SIZES:
            self._try(height, width)

    def _try(self, height: int, width: int) -> None:
        try:
            with torch.no_grad():
                levels = self.extract_feat(torch.zeros(1, 3, height, width))
        except Exception as error:  # networks of many authors: anything may come out of them
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ConfigError(
                f"timm/{self.name} does not accept images of {height} x {width} px: {reason}; take another network."
            ) from None
        if not levels or any(level.dim() != 4 for level in levels):
            raise ConfigError(f"timm/{self.name} returns no feature maps of the form (N, C, H, W); take another network.")

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Feature maps, fine to coarse, of (N, 3, H, W) as its preprocessor gives them."""
        maps: tuple[Tensor, ...] = self.backbone(inputs)
        return maps

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Nothing: it detects nothing."""
        raise ConfigError(f"timm/{self.name} is a backbone, which detects nothing.")

    def own_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a file as the network has them: its classifier is not used, so it stays as it is, whatever the file has."""
        given: Any = self.backbone.network.pretrained_cfg["classifier"] or ()
        heads = tuple(f"{name}." for name in ((given,) if isinstance(given, str) else given))
        own = {name: tensor for name, tensor in self.backbone.network.state_dict().items() if name.startswith(heads)}
        return {**own, **{name: tensor for name, tensor in weights.items() if not name.startswith(heads)}}


def detects(detector: nn.Module) -> bool:
    """Whether a teacher has scores and boxes; a backbone alone has none."""
    return not isinstance(detector, BackboneTeacher)
