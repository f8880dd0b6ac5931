"""The contract of readers of dense heads: what is read of each cell is what mmdet decodes there."""

from __future__ import annotations

from typing import Any

import torch

from detkds.detectors.heads.dense import cells_of


class HeadContract:
    """A subclass has the fixtures `detector`, one of mmdet in evaluation mode whose head predicts something different in every cell, and
    `data`, the preprocessed batch of one image."""

    def test_every_cell_is_among_what_mmdet_decodes(self, detector: Any, data: Any) -> None:
        with torch.no_grad():
            self._compare(detector, data)

    def _compare(self, detector: Any, data: Any) -> None:
        outputs = detector.bbox_head(detector.extract_feat(data["inputs"]))
        metas = [sample.metainfo for sample in data["data_samples"]]
        cfg = detector.test_cfg.copy()
        cfg.update(nms_pre=100_000, score_thr=-1.0, min_bbox_size=-1)
        (decoded,) = detector.bbox_head.predict_by_feat(*outputs, batch_img_metas=metas, cfg=cfg, with_nms=False)
        edge = max(metas[0]["img_shape"][:2])
        rows = torch.cat([decoded.bboxes.clamp(0, edge), 100 * decoded.scores[:, None], 100 * decoded.labels[:, None]], 1)
        for index, level in enumerate(outputs[0]):
            (scores, boxes, _, _), _ = cells_of(detector.bbox_head).read([kind[index] for kind in outputs], index)
            best, label = scores.flatten(2)[0].max(0)
            cells = torch.cat([boxes.flatten(2)[0].T.clamp(0, edge), 100 * best[:, None], 100 * label[:, None]], 1)
            assert len(cells) == level.shape[-2] * level.shape[-1]
            assert torch.cdist(cells.double(), rows.double()).amin(1).max() < 1e-2
