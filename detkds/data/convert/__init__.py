"""Data sets of other formats as COCO dicts, one for each of their splits; images stay where they are."""

from detkds.data.convert.kinds import Kind, converted, kind_of
from detkds.data.convert.voc import voc
from detkds.data.convert.yolo import yolo

__all__ = ["Kind", "converted", "kind_of", "voc", "yolo"]
