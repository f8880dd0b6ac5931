"""Data sets: validation of COCO files, stratified subsets, and the demo's data set made by code."""

from detkds.data.checking.document import content_digest, to_json
from detkds.data.checking.faults import Fault
from detkds.data.checking.paths import safe_join
from detkds.data.checking.rules import RULES
from detkds.data.coco import check, load
from detkds.data.same_files import same_files
from detkds.data.sampling.counting import Counting
from detkds.data.sampling.nested import Nested, nested
from detkds.data.sampling.subset import Split, split
from detkds.data.scene import Scene
from detkds.data.synthetic import generate
from detkds.data.writing import write_coco

__all__ = [
    "RULES",
    "Counting",
    "Fault",
    "Nested",
    "Scene",
    "Split",
    "check",
    "content_digest",
    "generate",
    "load",
    "nested",
    "safe_join",
    "same_files",
    "split",
    "to_json",
    "write_coco",
]
