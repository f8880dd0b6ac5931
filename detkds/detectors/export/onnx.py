"""A dense detector as an ONNX graph: pixels in, boxes and scores of candidates out, before NMS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detkds.detectors.export.onnx_detector import INPUT, Letterbox, Suppression
from detkds.detectors.heads.dense import Dense, cells_of
from detkds.detectors.normalization import Normalization
from detkds.detectors.silence import silence
from detkds.errors import ConfigError

TRIED = ("ATSSHead", "FCOSHead", "GFLHead", "RTMDetSepBNHead", "RetinaHead", "YOLOXHead")
"""Heads whose exported graphs are tested against mmdet's predictions."""
BOXES, SCORES = "boxes", "scores"
OPSET = 18


def suppression_of(head: Any) -> Suppression:
    """What mmdet does with the candidates of a head.

    Raises:
        ConfigError: it is not plain NMS within classes.
    """
    nms = dict(head.test_cfg.nms)
    if nms.pop("type", "nms") != "nms" or set(nms) != {"iou_threshold"}:
        raise ConfigError(f"an exported detector needs plain NMS, but test_cfg.nms is {dict(head.test_cfg.nms)}; change the config.")
    clip = type(head).__name__ != "YOLOXHead"
    return Suppression(float(head.test_cfg.score_thr), float(nms["iou_threshold"]), int(head.test_cfg.get("max_per_img", -1)), clip)


class Candidates(nn.Module):
    """The graph: of each level the `nms_pre` most confident anchors or points, decoded.

    A score is that by which the head ranks its detections, a quality factor (centerness, objectness) included.

    Args:
        detector: in evaluation mode, with a head of TRIED.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector
        self.cells = cells_of(detector.bbox_head)
        self.most = int(detector.bbox_head.test_cfg.get("nms_pre", -1))
        self.one_label = type(detector.bbox_head).__name__ == "YOLOXHead"
        known = Normalization(detector.data_preprocessor)
        self.rgb = known.swapped  # mmdet's pipelines load BGR
        self.register_buffer("mean", known.mean.float()[:, None, None], persistent=False)
        self.register_buffer("std", known.std.float()[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (N, P, 4), x1 y1 x2 y2 in pixels of the input, not clipped, and scores (N, P, K) in [0, 1].

        Args:
            images: (N, 3, H, W) float32, RGB, 0 to 255.
        """
        pixels = ((images if self.rgb else images.flip(1)) - self.mean) / self.std
        outputs = self.detector.bbox_head(self.detector.extract_feat(pixels))
        levels = [self._level([kind[index] for kind in outputs], index) for index in range(len(outputs[0]))]
        boxes, scores = (torch.cat(parts, 1) for parts in zip(*levels, strict=True))
        if self.one_label:  # YOLOX detects one class a cell
            scores = scores.where(scores == scores.amax(2, keepdim=True), scores.new_zeros(()))
        return boxes, scores

    def _level(self, outputs: Sequence[Tensor], index: int) -> tuple[Tensor, Tensor]:
        scores = self.cells.scores(outputs).permute(0, 3, 4, 1, 2)  # (N, H, W, A, K), the order of the priors
        N, H, W, A, K = scores.shape
        scores = scores.reshape(N, -1, K)
        encoded = self.cells.encoded(outputs).float().reshape(N, A, -1, H, W).permute(0, 3, 4, 1, 2).reshape(N, H * W * A, -1)
        generator = self.detector.bbox_head.prior_generator
        priors = generator.single_level_grid_priors((H, W), index, device=encoded.device).expand(N, -1, -1)
        if 0 < self.most < H * W * A:
            chosen = scores.amax(2).topk(self.most).indices[..., None]
            scores, encoded, priors = (part.gather(1, chosen.expand(-1, -1, part.shape[2])) for part in (scores, encoded, priors))
        boxes = self.cells.decode(priors.flatten(0, 1), encoded.flatten(0, 1), int(generator.strides[index][0]))
        return boxes.reshape(N, -1, 4), scores


def require_exportable(detector: nn.Module) -> None:
    """Refuse a detector whose export was not tried.

    Raises:
        ConfigError: with the reason.
    """
    name, head = type(detector).__name__, type(getattr(detector, "bbox_head", None)).__name__
    if hasattr(detector, "roi_head"):
        reason = f"{name} has two stages"
    elif hasattr(detector, "encoder") or hasattr(detector, "decoder"):
        reason = f"{name} answers queries"
    elif head not in TRIED or not Dense.reads(detector):
        reason = f"{head} of {name} was not tried"
    else:
        return
    raise ConfigError(f"ONNX is for dense heads ({', '.join(TRIED)}), but {reason}; docs/deploy.md says how to deploy it without ONNX.")


def export(detector: nn.Module, letterbox: Letterbox, path: Path, *, classes: Sequence[str], config_sha256: str = "") -> None:
    """Write the graph of `Candidates` for pictures of one size, in batches of any.

    The file's metadata has, as JSON, what is needed to use it: classes, and the fields of Letterbox and Suppression.

    Args:
        detector: with its weights, on the CPU; put into evaluation mode.
        letterbox: size of the input.
        path: of the file.
        classes: names in label order.
        config_sha256: of the detector's config.

    Raises:
        ConfigError: the detector was not tried, or torch cannot export one of its parts.
    """
    require_exportable(detector)
    metadata = {"classes": list(classes), **asdict(letterbox), **asdict(suppression_of(detector.bbox_head)), "config_sha256": config_sha256}
    graph = Candidates(detector.eval())
    picture = torch.zeros(2, 3, letterbox.height, letterbox.width)
    try:
        with silence(), torch.no_grad():
            _write(graph, picture, path)
    except Exception as error:  # the exporter runs through code of many libraries
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(f"{type(detector).__name__} cannot be exported to ONNX: {reason}; deploy it with mmdet.") from error
    _describe(path, metadata)


def _write(graph: nn.Module, picture: Tensor, path: Path) -> None:
    program = torch.onnx.export(
        graph,
        (picture,),
        input_names=[INPUT],
        output_names=[BOXES, SCORES],
        opset_version=OPSET,
        dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(path, external_data=False)


def _describe(path: Path, metadata: dict[str, Any]) -> None:
    import onnx

    model = onnx.load(path)
    # torch writes the lines of its program into every node, with the paths of this machine
    for part in (*model.graph.node, *model.graph.value_info, *model.functions, *(node for one in model.functions for node in one.node)):
        del part.metadata_props[:]
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
