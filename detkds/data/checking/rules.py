"""What a COCO data set must be: every rule as one table, and the limits in it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MAX_BYTES = 2**30  # instances_train2017.json of COCO has 448 MB
MAX_VALUE_BYTES = 4 * 2**20  # more than that of text without a comma is not an annotation
MAX_CONTAINERS = 20_000_000  # lists and objects of a file; COCO's train2017 has 4 million
MAX_VALUES = 150_000_000  # commas of a file; COCO's train2017 has 50 million
OBJECT_BYTES, LIST_BYTES = 24, 8  # a sound file spends at least so much text on each
MAX_ID = 2**53  # the largest whole number that every JSON reader and numpy's float64 keep exact
MAX_NUMBER = 1e12  # an area of a million by a million pixels
MAX_OTHER_NUMBER = 2.0**63  # no JSON reader turns smaller whole numbers into others
MAX_PIXELS = 100_000_000  # an image of 10,000 x 10,000; larger ones are taken for decompression bombs
MAX_SCAN_PIXELS = 2_000_000_000  # a progressive JPEG is decoded once for each of its scans, some ten in photographs
MIN_PEAK = 2**14  # files of 16 bits per sample whose values all are below were recorded with 14 bits or fewer
OUTSIDE_PX = 1.0  # boxes and polygons may leave their image so far: rounding, and tools that count pixels from 1
MAX_DEPTH = 32  # nesting of values that COCO does not define
MAX_NAME = 200

_ALIKE = "differ by more than case, accents' encoding, spaces at the ends and invisible characters"
_OTHER = f"have at most {MAX_DEPTH} levels, numbers below 2^63 in size and text in whole Unicode characters"

RULES: Mapping[str, str] = MappingProxyType(
    {
        "file.missing": "the annotation file exists and can be read",
        "file.too-large": "the annotation file is at most 1 GiB",
        "file.bomb": f"the file has at least {OBJECT_BYTES} bytes an object and {LIST_BYTES} a list, at most {MAX_CONTAINERS:,} of them, "
        f"at most {MAX_VALUES:,} values, and none of over 4 MiB",
        "file.not-utf8": "the annotation file is UTF-8 without a byte-order mark",
        "file.not-json": "the annotation file is JSON, not nested beyond what the parser bears",
        "file.duplicate-key": "an object has each key once",
        "file.structure": "the top level is an object with the lists images, annotations and categories",
        "file.empty": "there is at least one image, one annotation and one category",
        "file.other-value": f"values that COCO does not define {_OTHER}",
        "folder.missing": "the image folder exists",
        "image.type": "each entry of images is an object",
        "image.missing-key": "an image has id, file_name, width and height",
        "image.id": "an id is a whole number from 0 to 2^53",
        "image.id-duplicate": "image ids are unique",
        "image.size": "width and height are positive whole numbers",
        "image.too-large": f"width x height is at most {MAX_PIXELS:,} pixels",
        "image.file-name": "file_name is a plain path below the image folder",
        "image.file-name-duplicate": "no two images share a file",
        "image.file-name-alike": f"file names {_ALIKE}",
        "image.missing-file": "the image's file exists",
        "image.unreadable": "the image's file decodes as JPEG, PNG, BMP, TIFF or WEBP, and by OpenCV, as detectors read it",
        "image.depth": f"of a set's files of 16 bits per sample one has a value of {MIN_PEAK:,} or more; scale the values to 0 to 65535, "
        "or write 8 bits",
        "image.scans": f"a JPEG's scans times its pixels are at most {MAX_SCAN_PIXELS:,}",
        "image.size-differs": "width and height are those of the array that detectors read from the file",
        "image.exif": "sizes and annotations are in the frame that detectors read, which OpenCV turns by the file's EXIF orientation; "
        "--fix turns them (--frame stored or upright says which frame they are in where the set does not show it)",
        "image.same-content": "no two image files have the same bytes",
        "image.other-value": f"values that COCO does not define {_OTHER}",
        "category.type": "each entry of categories is an object",
        "category.missing-key": "a category has id and name",
        "category.id": "an id is a whole number from 0 to 2^53",
        "category.id-duplicate": "category ids are unique",
        "category.name": f"a category's name is text of 1 to {MAX_NAME} characters without control or invisible characters",
        "category.name-duplicate": "category names are unique",
        "category.name-alike": f"category names {_ALIKE}",
        "category.other-value": f"values that COCO does not define {_OTHER}",
        "annotation.type": "each entry of annotations is an object",
        "annotation.missing-key": "an annotation has id, image_id, category_id, bbox, area and iscrowd",
        "annotation.id": "an id is a whole number from 0 to 2^53",
        "annotation.id-duplicate": "annotation ids are unique",
        "annotation.image-unknown": "image_id names an image of the file",
        "annotation.category-unknown": "category_id names a category of the file",
        "annotation.ids-shifted": "image_id and category_id are counted from the same first number as images and categories",
        "annotation.box-reading": "boxes are [x, y, width, height] in pixels; --fix converts them where --boxes names what they are",
        "annotation.box": "bbox is [x, y, width, height], four finite numbers",
        "annotation.box-negative": "a box's width and height are not negative",
        "annotation.box-empty": "a box's width and height are not zero",
        "annotation.box-thin": "a box is at least 1 pixel wide and high",
        "annotation.box-outside": f"a box overlaps its image and leaves it by at most {OUTSIDE_PX:g} pixel",
        "annotation.area": "area is a finite number, 0 or more",
        "annotation.area-box": "area is above 0 and at most the box's, give or take 1 %",
        "annotation.iscrowd": "iscrowd is 0 or 1",
        "annotation.segmentation": "segmentation is a list of polygons or a run-length code",
        "annotation.polygon": "a polygon is a list of at least 3 points x, y: an even count of 6 or more finite numbers",
        "annotation.polygon-outside": f"a polygon leaves its image by at most {OUTSIDE_PX:g} pixel",
        "annotation.rle": "a run-length code has the image's [height, width] as size, and counts that add up to height x width",
        "annotation.repeated": "no two annotations have the same image, category and box",
        "annotation.other-value": f"values that COCO does not define {_OTHER}",
    }
)

# Reported, but no reason to stop a run. Stock COCO train2017 holds two boxes of height 0 (annotations 918 and 2206849); mmdet leaves out
# boxes and objects below 1 pixel and pycocotools never matches empty ones. Names that look alike are different files on Linux.
TOLERATED = frozenset(
    {
        "image.file-name-alike",
        "image.same-content",
        "category.name-alike",
        "annotation.box-empty",
        "annotation.box-thin",
        "annotation.area-box",
        "annotation.repeated",
    }
)
