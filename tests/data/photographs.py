"""Pictures of every kind that annotation tools meet, made by code: four coloured quarters, so that every turn shows."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 60, 40
TURNING = ("JPEG", "PNG", "MPO", "TIFF")
ORIENTATION = 0x0112


def quarters(size: tuple[int, int] = SIZE) -> Image.Image:
    """Red, green / blue, black."""
    width, height = size
    array = np.zeros((height, width, 3), np.uint8)
    array[: height // 2, : width // 2, 0] = 250
    array[: height // 2, width // 2 :, 1] = 250
    array[height // 2 :, : width // 2, 2] = 250
    return Image.fromarray(array)


def photograph(form: str, orientation: int = 1, size: tuple[int, int] = SIZE) -> bytes:
    """A file of `quarters` with an EXIF orientation."""
    picture, exif = quarters(size), Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"tiffinfo": {ORIENTATION: orientation}} if form == "TIFF" else {"exif": exif}
    if form == "MPO":
        options |= {"save_all": True, "append_images": [picture]}
    return saved(picture, form, **options)


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def late_exif(orientation: int) -> bytes:
    """A PNG whose EXIF block comes after its pixels, where Pillow does not look before it decodes."""
    whole, exif = saved(quarters(), "PNG"), Image.Exif()
    exif[ORIENTATION] = orientation
    data = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return whole[:-12] + chunk + whole[-12:]


def xmp(form: str) -> bytes:
    """A file whose XMP block says orientation 6, which Pillow believes and OpenCV does not read."""
    text = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    return saved(quarters(), form, xmp=text.encode())


def exif_block(order: str, kind: int, value: int, count: int = 1) -> bytes:
    """An EXIF block with one entry, the orientation, as type `kind` (1 byte, 3 short, 4 long)."""
    data = {1: bytes([value, 0, 0, 0]), 3: struct.pack(f"{order}HH", value, 0), 4: struct.pack(f"{order}I", value)}[kind]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHI", ORIENTATION, kind, count) + data
    return b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def with_block(*blocks: bytes) -> bytes:
    """A JPEG with these EXIF blocks, in this order."""
    whole = saved(quarters(), "JPEG")
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block for block in blocks)
    return whole[:2] + segments + whole[2:]


def deep(form: str, highest: int, orientation: int = 1) -> bytes:
    """A grey file of 16 bits per sample whose values reach from 0 to `highest`."""
    ramp = np.linspace(0, highest, SIZE[0] * SIZE[1]).round().astype(np.uint16).reshape(SIZE[::-1])
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"tiffinfo": {ORIENTATION: orientation}} if form == "TIFF" else {"exif": exif}
    return saved(Image.fromarray(ramp), form, **options)


def kinds() -> dict[str, bytes]:
    """A file of every kind that detectors can be given."""
    half = Image.new("L", SIZE, 128)
    alpha = quarters()
    alpha.putalpha(half)
    found = {f"{form} {turn}": photograph(form, turn) for form in (*TURNING, "WEBP") for turn in range(1, 9)}
    found |= {f"late {turn}": late_exif(turn) for turn in (3, 6)} | {f"xmp {form}": xmp(form) for form in ("JPEG", "PNG", "WEBP")}
    found |= {f"{mode} PNG": saved(quarters().convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA")}
    found |= {f"{mode} TIFF": saved(quarters().convert(mode), "TIFF") for mode in ("1", "L", "P", "RGBA", "CMYK", "YCbCr")}
    found |= {"alpha PNG": saved(alpha, "PNG"), "alpha WEBP": saved(alpha, "WEBP"), "BMP": saved(quarters(), "BMP")}
    found |= {"CMYK JPEG": saved(quarters().convert("CMYK"), "JPEG"), "L JPEG": saved(quarters().convert("L"), "JPEG")}
    found |= {"progressive JPEG": saved(quarters(), "JPEG", progressive=True)}
    found |= {f"16 bits {form} {turn}": deep(form, 65535, turn) for form in ("PNG", "TIFF") for turn in (1, 3, 6)}
    found |= {"frames WEBP": saved(quarters(), "WEBP", save_all=True, append_images=[half.convert("RGB")])}
    for name, block in blocks().items():
        found[f"block {name}"] = with_block(*block)
    return found


def blocks() -> dict[str, tuple[bytes, ...]]:
    """EXIF blocks, odd and broken ones among them."""
    six = exif_block("<", 3, 6)
    return {
        "little": (six,),
        "big": (exif_block(">", 3, 6),),
        "long": (exif_block("<", 4, 6),),
        "big long": (exif_block(">", 4, 6),),
        "byte": (exif_block("<", 1, 6),),
        "two values": (exif_block("<", 3, 6, 2),),
        "zero": (exif_block("<", 3, 0),),
        "nine": (exif_block("<", 3, 9),),
        "cut off": (six[:24],),
        "cut off within the entry": (six[:20],),
        "junk": (b"Exif\0\0II*\0junkjunk",),
        "six then one": (six, exif_block("<", 3, 1)),
        "one then six": (exif_block("<", 3, 1), six),
    }


def four_corners(array: NDArray[Any]) -> list[tuple[bool, ...]]:
    """Which colours are bright in the middle of each quarter of an (H, W, 3) array."""
    height, width = array.shape[:2]
    places = [(height // 4, width // 4), (height // 4, 3 * width // 4), (3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return [tuple(bool(value > 128) for value in array[place]) for place in places]
