"""The tested pairs of detectors, as data: mmdet's own configs, what is changed in them, and which knowledges they share.

Imports neither torch nor mmdet: naming a pair costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from detkds.errors import ConfigError
from detkds.genome import Knowledge

BEYOND = "beyond"
"""Stands in `Pair.table` for a pair that the paper does not report."""


TIMM = "timm/"
"""How the name of a teacher begins that is a backbone of timm and no detector, such as `timm/convnext_tiny.fb_in1k`."""


@dataclass(frozen=True)
class Side:
    """One detector of a pair.

    Args:
        config: name of one of mmdet's own configs.
        options: merged over it, as mmdet's `--cfg-options`.
        published: name of the model in mmdet's metafile whose weights fit; None where there is none, "" where it is the config's own.
    """

    config: str
    options: Mapping[str, Any] = field(default_factory=dict)
    published: str | None = ""


@dataclass(frozen=True)
class Pair:
    """One tested combination.

    Args:
        name: as `detkds run --pair` and run.yaml's `pair` take it.
        student: to be trained.
        teacher: to be learnt from.
        table: the paper's table that reports it, or BEYOND.
        unsupported: why a knowledge cannot be shared; those that are not named here can.
    """

    name: str
    student: Side
    teacher: Side
    table: str
    unsupported: Mapping[Knowledge, str] = field(default_factory=dict)


_RETINANET_R50 = Side("retinanet/retinanet_r50_fpn_2x_coco")
_RETINANET_X101 = Side("retinanet/retinanet_x101-64x4d_fpn_ms-640-800-3x_coco")
_FASTER_RCNN_R50 = Side("faster_rcnn/faster-rcnn_r50_fpn_2x_coco")
_CASCADE_MASK_RCNN_X101 = Side("cascade_rcnn/cascade-mask-rcnn_x101-64x4d_fpn_20e_coco")
_GFL_R101 = Side("gfl/gfl_r101_fpn_ms-2x_coco")
_TOOD_X101 = Side("tood/tood_x101-64x4d_fpn_ms-2x_coco")
_DINO_SWIN_L = Side("dino/dino-5scale_swin-l_8xb2-36e_coco")
_RTMDET_S = Side("rtmdet/rtmdet_s_8xb32-300e_coco")
_RTMDET_L = Side("rtmdet/rtmdet_l_8xb32-300e_coco")
_YOLOX_S = Side("yolox/yolox_s_8xb8-300e_coco", published="yolox_s_8x8_300e_coco")
_CASCADE = "a cascade student trains each stage on other proposals"

PAIRS = (
    Pair("faster-rcnn-r50-r101", _FASTER_RCNN_R50, Side("faster_rcnn/faster-rcnn_r101_fpn_2x_coco"), "6"),
    Pair("faster-rcnn-r50-cascade-mask-rcnn-x101", _FASTER_RCNN_R50, _CASCADE_MASK_RCNN_X101, "9"),
    Pair("retinanet-r50-r101", _RETINANET_R50, Side("retinanet/retinanet_r101_fpn_2x_coco"), "6"),
    Pair("retinanet-r50-x101", _RETINANET_R50, _RETINANET_X101, "9, 14"),
    Pair("retinanet-r34-x101", Side("retinanet/retinanet_r18_fpn_1x_coco", {"model.backbone.depth": 34}, None), _RETINANET_X101, "14"),
    Pair("retinanet-r18-x101", Side("retinanet/retinanet_r18_fpn_1x_coco"), _RETINANET_X101, "14"),
    Pair("retinanet-r50-faster-rcnn-x101", _RETINANET_R50, Side("faster_rcnn/faster-rcnn_x101-32x4d_fpn_1x_coco"), "8"),
    Pair("retinanet-r50-fcos-x101", _RETINANET_R50, Side("fcos/fcos_x101-64x4d_fpn_gn-head_ms-640-800-2x_coco"), "8"),
    Pair("retinanet-r50-gfl-r101", _RETINANET_R50, _GFL_R101, "8"),
    Pair("retinanet-r50-mask-rcnn-swin-s", _RETINANET_R50, Side("swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco"), "8"),
    Pair("gfl-r50-r101", Side("gfl/gfl_r50_fpn_1x_coco"), _GFL_R101, "6"),
    Pair(
        "fcos-r50-r101",
        Side("fcos/fcos_r50-caffe_fpn_gn-head_ms-640-800-2x_coco"),
        Side("fcos/fcos_r101-caffe_fpn_gn-head_ms-640-800-2x_coco"),
        "6",
    ),
    Pair(
        "reppoints-r50-x101",
        Side("reppoints/reppoints-moment_r50_fpn-gn_head-gn_2x_coco"),
        Side("reppoints/reppoints-moment_x101-dconv-c3-c5_fpn-gn_head-gn_2x_coco"),
        "9",
    ),
    Pair(
        "deformable-detr-r50-r101",
        Side("deformable_detr/deformable-detr_r50_16xb2-50e_coco"),
        Side("deformable_detr/deformable-detr_r50_16xb2-50e_coco", {"model.backbone.depth": 101}, None),
        "7",
    ),
    Pair("mask-rcnn-r50-cascade-mask-rcnn-x101", Side("mask_rcnn/mask-rcnn_r50_fpn_2x_coco"), _CASCADE_MASK_RCNN_X101, "10"),
    Pair("atss-r50-r101", Side("atss/atss_r50_fpn_1x_coco"), Side("atss/atss_r101_fpn_1x_coco"), BEYOND),
    Pair("atss-r50-tood-x101", Side("atss/atss_r50_fpn_1x_coco"), _TOOD_X101, BEYOND),
    Pair("tood-r50-x101", Side("tood/tood_r50_fpn_1x_coco"), _TOOD_X101, BEYOND),
    Pair("rtmdet-s-l", _RTMDET_S, _RTMDET_L, BEYOND),
    Pair("yolox-s-l", _YOLOX_S, Side("yolox/yolox_l_8xb8-300e_coco", published="yolox_l_8x8_300e_coco"), BEYOND),
    Pair("yolox-s-rtmdet-l", _YOLOX_S, _RTMDET_L, BEYOND),
    Pair("dino-r50-swin-l", Side("dino/dino-4scale_r50_8xb2-12e_coco"), _DINO_SWIN_L, BEYOND),
    Pair("retinanet-r50-dino-swin-l", _RETINANET_R50, _DINO_SWIN_L, BEYOND),
    Pair("faster-rcnn-r50-gfl-r101", _FASTER_RCNN_R50, _GFL_R101, BEYOND),
    Pair(
        "cascade-rcnn-r50-x101",
        Side("cascade_rcnn/cascade-rcnn_r50_fpn_20e_coco"),
        Side("cascade_rcnn/cascade-rcnn_x101-64x4d_fpn_1x_coco"),
        BEYOND,
        {Knowledge.LOGITS: _CASCADE, Knowledge.LOCALIZATION: _CASCADE},
    ),
)


def pair(name: str) -> Pair:
    """The pair of a name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    table = {entry.name: entry for entry in PAIRS}
    if name not in table:
        near = get_close_matches(name, table, n=1)
        hint = f"did you mean {near[0]}?" if near else "`detkds pairs` lists them."
        raise ConfigError(f"unknown pair {name!r}: {hint}")
    return table[name]


def published(side: Side) -> str | None:
    """The address of the weights that mmdet publishes for a detector, from its metafiles; None where it publishes none.

    For the user's information: nothing here downloads it.

    Raises:
        ConfigError: mmdet is not installed.
    """
    folder, _, stem = side.config.partition("/")
    if side.published is None:
        return None
    mmdet = find_spec("mmdet")  # its folder: importing it would take seconds
    if mmdet is None or mmdet.origin is None:
        raise ConfigError(
            "mmdet's metafiles name the published weights, but mmdet is not installed; `detkds doctor` says what else is not."
        )
    metafile = Path(mmdet.origin).parent / ".mim" / "configs" / folder / "metafile.yml"
    models = yaml.safe_load(metafile.read_text())["Models"]
    return next((str(model["Weights"]) for model in models if model["Name"] == (side.published or stem)), None)
