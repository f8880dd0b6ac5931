"""mmdet's own configs made small: the same parts in the same order, but narrow, shallow and for images of 96 pixels."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

CLASSES = ("wide", "tall")
WIDTHS = {"ResNet": [8, 16, 32, 64], "ResNeXt": [32, 64, 128, 256], "SwinTransformer": [12, 24, 48, 96]}
SIZE = 96
"""Three cells at stride 32: a deformable convolution takes no fewer."""


def shrink(config: Config, *, width: int = 16) -> Config:
    """Narrow a config in place: backbone of a few channels, neck and head of `width`, pipelines of 96 x 96 pixels."""
    model = config.model
    if model.backbone.type in WIDTHS:
        _backbone(model.backbone)
        _neck(model, width)
    else:  # CSPDarknet and CSPNeXt: widen_factor 0.125 makes 32, 64, 128
        model.backbone.update(deepen_factor=0.167, widen_factor=0.125)
        model.neck.update(in_channels=[32, 64, 128], out_channels=width, num_csp_blocks=1)
    if "encoder" in model:
        _transformer(model, width)
    elif "roi_head" in model:
        _two_stage(model, width)
    else:
        _dense_head(model.bbox_head, width)
    for name in ("train_dataloader", "test_dataloader", "val_dataloader"):
        _pixels(config[name])
        config[name].batch_size = 2
    return config


def _backbone(backbone: Any) -> None:
    if backbone.type == "ResNet":
        backbone.update(depth=18, base_channels=8)
    elif backbone.type == "ResNeXt":
        backbone.update(depth=50, base_channels=8, groups=2, base_width=4)
    else:
        backbone.update(embed_dims=12, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8])


def _neck(model: Any, width: int) -> None:
    indices = model.backbone.out_indices
    model.neck.update(in_channels=[WIDTHS[model.backbone.type][index] for index in indices], out_channels=width)
    _groups(model.neck)


def _dense_head(head: Any, width: int) -> None:
    head.update(in_channels=width, feat_channels=width, stacked_convs=1)
    if head.type == "TOODHead":
        head.stacked_convs = 2
    if head.type == "RepPointsHead":
        head.point_feat_channels = width
    _groups(head)
    if head.type in ("ATSSHead", "FCOSHead", "GFLHead", "TOODHead"):
        head.norm_cfg = {"type": "GN", "num_groups": 4}


def _two_stage(model: Any, width: int) -> None:
    model.rpn_head.update(in_channels=width, feat_channels=width)
    for part in ("bbox", "mask"):
        if f"{part}_roi_extractor" in model.roi_head:
            model.roi_head[f"{part}_roi_extractor"].out_channels = width
            heads = model.roi_head[f"{part}_head"]
            narrow = {"in_channels": width} | ({"fc_out_channels": 32} if part == "bbox" else {"conv_out_channels": width, "num_convs": 1})
            for head in heads if isinstance(heads, list) else [heads]:
                head.update(narrow)
    model.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=20)
    model.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
    stages = model.train_cfg.rcnn
    for stage in stages if isinstance(stages, list) else [stages]:
        stage.sampler.num = 16


def _transformer(model: Any, width: int) -> None:
    model.num_queries = 12
    model.test_cfg.max_per_img = 12
    model.positional_encoding.num_feats = width // 2
    model.bbox_head.embed_dims = width
    for part in (model.encoder, model.decoder):
        part.num_layers = 2
        part.layer_cfg.ffn_cfg.update(embed_dims=width, feedforward_channels=2 * width)
        for attention in ("self_attn_cfg", "cross_attn_cfg"):
            if attention in part.layer_cfg:
                part.layer_cfg[attention].update(embed_dims=width, num_heads=2)
    if "dn_cfg" in model:
        model.dn_cfg.group_cfg.num_dn_queries = 4


def _groups(part: Any) -> None:
    if part.get("norm_cfg") and part.norm_cfg.type == "GN":
        part.norm_cfg.num_groups = 4


def _pixels(node: Any) -> None:
    """Every size in a pipeline becomes 96 x 96."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("scale", "img_scale", "size") and isinstance(value, tuple):
                node[key] = (SIZE, SIZE)
            elif key == "scales":
                node[key] = [(SIZE, SIZE)]
            elif key == "crop_size":
                node[key] = (SIZE - 32, SIZE)
            elif key == "border":
                node[key] = (-SIZE // 2, -SIZE // 2)
            else:
                _pixels(value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            _pixels(item)
