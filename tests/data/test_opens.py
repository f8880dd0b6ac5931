"""Which files are opened when a hostile data set is checked, repaired and compared: its own, and none outside its image folder (S2)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

CHILD = """
import json, sys
from pathlib import Path
from detkds.data.coco import inspect
from detkds.data.repair import repair
from detkds.data.checking.twins import image_files, note_same_content
from PIL import Image
Image.init()  # imports the decoders
annotations, images = map(Path, sys.argv[1:])
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
for folder in (images, None):
    found = inspect(annotations, folder, look="pixels", near=True)
    note_same_content(image_files("x", found.document, images), [], found.findings)
    repair(found, look="pixels")
said = {"opened": sorted(set(opened)), "rules": sorted({fault.rule for fault in found.findings.faults})}
print(json.dumps(said | {"refused": found.findings.counts["image.file-name"]}))
"""

# What leads, or might be made to lead, to secret.png beside the image folder, or elsewhere on the machine.
HOSTILE = ["../secret.png", "/etc/passwd", "a/../../secret.png", "..\\secret.png", "link.png", "folder/secret.png", "file:///etc/passwd"]
HOSTILE += [
    "..\u2215secret.png",
    "\uff0e\uff0e/secret.png",
    "\u2025/secret.png",
    "C:secret.png",
    "..//secret.png",
    "\x00../secret.png",
    "/",
]
HOSTILE += ["secret.png\u202e", "x" * 2000, ".", "..", "", "a:http://localhost/secret.png"]


def test_no_file_outside_the_image_folder_is_opened(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for path in (tmp_path / "secret.png", images / "good.png"):
        Image.new("L", (20, 10)).save(path)
    absolute = [str(tmp_path / "secret.png"), str(images / "good.png")]
    (images / "link.png").symlink_to(tmp_path / "secret.png")
    (images / "folder").symlink_to(tmp_path)
    names: list[Any] = ["good.png", *HOSTILE, *absolute, None, 5, ["good.png"]]
    entries = [{"id": n, "file_name": name, "width": 20, "height": 10} for n, name in enumerate(names)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0} for n in range(len(names))]
    annotations = tmp_path / "instances.json"
    annotations.write_text(json.dumps({"images": entries, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}))
    command = [sys.executable, "-c", CHILD, str(annotations), str(images)]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout)
    assert answer["opened"] == [str(images / "good.png"), str(annotations)]
    assert answer["rules"] == ["image.file-name"]
    assert answer["refused"] == len(names) - 1
