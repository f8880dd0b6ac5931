"""Scores and boxes of a head that DetKDS does not know: one class reads it, and no file of the package is edited."""

from mmdet.models import RetinaHead
from mmdet.registry import MODELS

import detkds
from detkds.detectors import build_detector, load_config
from detkds.detectors.heads import mismatch
from detkds.detectors.heads.cells import Cells


@MODELS.register_module()
class OwnHead(RetinaHead):
    """A head of your own, in mmdet's registry. This one returns what RetinaNet's head returns."""


config = load_config("retinanet_r18_fpn_1x_coco", trust=False)
config.model.backbone.init_cfg = None  # random weights suffice here
teacher = build_detector(config, seed=0)
config.model.bbox_head.type = "OwnHead"
student = build_detector(config, seed=0)
print(mismatch(student, teacher))  # scores and boxes are not read yet


@detkds.head("OwnHead")
class ReadsOwnHead(Cells):
    """An empty subclass reads class logits and encoded boxes; override `scores`, `encoded` or `decode` where your head differs."""


print(mismatch(student, teacher))  # None: `logits` and `localization` can be shared
