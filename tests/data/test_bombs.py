"""Files that are small and would cost much: refused with the limit named, within 512 MB for the whole process."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

LIMIT_MB = 512
CHILD = """
import json, sys
from pathlib import Path
from detkds.data.coco import inspect
look = sys.argv[2] if len(sys.argv) > 2 else "headers"
faults = inspect(Path(sys.argv[1]), Path(sys.argv[1]).parent, look=look).findings.faults
# getrusage's maximum would be the parent's where that is larger: Linux hands it on.
peak_mb = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
print(json.dumps({"faults": [[fault.rule, fault.detail] for fault in faults], "peak_mb": peak_mb}))
"""


def judged(path: Path, look: str = "headers") -> list[list[str]]:
    """Rule and detail of each fault, found by a process of its own within the limit."""
    command = [sys.executable, "-c", CHILD, str(path), look]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    answer = json.loads(outcome.stdout)
    assert answer["peak_mb"] < LIMIT_MB
    faults: list[list[str]] = answer["faults"]
    return faults


START = b'{"images": [], "categories": [], "annotations": ['


@pytest.mark.parametrize(
    ("begin", "piece", "count", "rule", "said"),
    [
        (START, b"{},", 30_000_000, "file.bomb", "objects"),
        (START, b"[],", 30_000_000, "file.bomb", "lists"),
        (b"", b"[", 90_000_000, "file.bomb", "a value of more than 4,194,304 bytes"),
        (START, b'{"a":', 30_000_000, "file.bomb", "objects"),
        (START + b'{"id": ', b"9", 90_000_000, "file.bomb", "a value of more than 4,194,304 bytes"),
        (START, b" ", 90_000_000, "file.bomb", "a value of more than 4,194,304 bytes"),
        (START + b'{"id": ', b"9", 3_000_000, "file.not-json", "Exceeds the limit (4300 digits)"),
        (b"", b"[", 100_000, "file.not-json", "nested too deep"),
        (START, b'{"a": [0,' + b" " * 30, 70_000, "file.not-json", "nested too deep"),
    ],
)
def test_json_bombs_are_refused(tmp_path: Path, begin: bytes, piece: bytes, count: int, rule: str, said: str) -> None:
    path = tmp_path / "instances.json"
    with path.open("wb") as file:
        file.write(begin)
        for _ in range(10):
            file.write(piece * (count // 10))
    ((found, detail),) = judged(path)
    assert found == rule
    assert said in detail


def png(path: Path, width: int, height: int, *chunks: tuple[bytes, bytes]) -> None:
    """A grey PNG file of these chunks between header and end."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in ((b"IHDR", header), *chunks, (b"IEND", b"")):
            file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))


def zeros(megabytes: int) -> bytes:
    """So many bytes of zero, compressed to a thousandth."""
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()


def many_scans(path: Path, side: int, scans: int) -> None:
    """A progressive JPEG that repeats its last scan: each makes the decoder go over the whole image again."""
    Image.new("L", (side, side)).save(path, progressive=True)
    whole = path.read_bytes()
    last = whole.rindex(b"\xff\xda")
    path.write_bytes(whole[:-2] + (whole[last:-2]) * scans + whole[-2:])


def test_image_bombs_are_refused(tmp_path: Path) -> None:
    png(tmp_path / "wide.png", 50_000, 50_000, (b"IDAT", zlib.compress(b"")))
    png(tmp_path / "large.png", 12_000, 9_000, (b"IDAT", zlib.compress(b"")))
    png(tmp_path / "deep.png", 20, 10, (b"IDAT", zeros(700)))  # 700 MB in an image of 200 pixels
    png(tmp_path / "text.png", 20, 10, (b"zTXt", b"a\x00\x00" + zeros(700)), (b"IDAT", zlib.compress(bytes(210))))
    many_scans(tmp_path / "scans.jpg", 4_000, 150)  # 16 million pixels, over 150 scans
    (tmp_path / "archive.png").write_bytes(b"PK\x03\x04" + zeros(1))
    names = ["wide.png", "large.png", "deep.png", "text.png", "scans.jpg", "archive.png"]
    sizes = {"wide.png": (50, 50), "large.png": (120, 90), "scans.jpg": (4_000, 4_000)}
    images = [
        {"id": n, "file_name": name, "width": sizes.get(name, (20, 10))[0], "height": sizes.get(name, (20, 10))[1]}
        for n, name in enumerate(names)
    ]
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0}
    document = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "instances.json").write_text(json.dumps(document))
    rules = [rule for rule, _ in judged(tmp_path / "instances.json", "pixels")]
    # deep.png is sound: of what follows the image's last pixel nothing is unpacked.
    assert rules == ["image.too-large", "image.too-large", "image.unreadable", "image.scans", "image.unreadable"]
    assert [rule for rule, _ in judged(tmp_path / "instances.json")][:2] == ["image.too-large"] * 2
