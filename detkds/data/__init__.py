"""Data sets: validation of COCO files, stratified subsets, and the demo's data set made by code."""

from detkds.data.coco import check, load
from detkds.data.document import content_digest, to_json
from detkds.data.faults import RULES, Fault
from detkds.data.paths import safe_join
from detkds.data.scene import Scene
from detkds.data.subset import Split, split
from detkds.data.synthetic import generate

__all__ = ["RULES", "Fault", "Scene", "Split", "check", "content_digest", "generate", "load", "safe_join", "split", "to_json"]
