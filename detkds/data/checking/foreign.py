"""Files that are something else than what they are taken for, known by their first bytes."""

from __future__ import annotations

from pathlib import Path

_HEAD_BYTES = 560
_REPACKED = "unpack it"
_PICTURE = "write it as PNG or JPEG"
# Beginning, what it is, what to do.
_BEGINNINGS = (
    (b"PK\x03\x04", "a ZIP archive", _REPACKED),
    (b"PK\x05\x06", "an empty ZIP archive", "give the file itself"),
    (b"\x1f\x8b", "compressed by gzip", _REPACKED),
    (b"BZh", "compressed by bzip2", _REPACKED),
    (b"\xfd7zXZ\0", "compressed by xz", _REPACKED),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", _REPACKED),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _REPACKED),
    (b"Rar!", "a RAR archive", _REPACKED),
    (b"%PDF", "a PDF document", "give the file itself"),
    (b"\x93NUMPY", "an array of NumPy", "give the file itself"),
    (b"\x89HDF", "an HDF5 file", "give the file itself"),
    (b"SQLite format 3", "an SQLite data base", "export it"),
    (b"PAR1", "a Parquet file", "export it"),
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file with `git lfs pull`"),
    (b"<?xml", "XML", "give the file itself (Pascal VOC: `detkds data convert`)"),
    (b"<annotation", "XML of Pascal VOC", "convert it with `detkds data convert`"),
    (b"<!DOCTYPE", "a web page", "download the file again"),
    (b"<!doctype", "a web page", "download the file again"),
    (b"<html", "a web page", "download the file again"),
    (b"<svg", "an SVG drawing", _PICTURE),
    (b"GIF8", "a GIF", _PICTURE),
    (b"\xff\xd8\xff", "a JPEG image", "give the annotation file"),
    (b"\x89PNG", "a PNG image", "give the annotation file"),
    (b"8BPS", "a Photoshop file", _PICTURE),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image", _PICTURE),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image", _PICTURE),
    (b"v/1\x01", "an OpenEXR image", "write it as PNG with 8 bits per sample"),
    (b"\x80\x02", "a pickle of Python", "export it as JSON"),
    (b"\x80\x04", "a pickle of Python", "export it as JSON"),
    (b"\x80\x05", "a pickle of Python", "export it as JSON"),
)
_BRANDS = {b"avif": "an AVIF image", b"heic": "an HEIC image", b"heix": "an HEIC image", b"mif1": "an HEIF image", b"isom": "a video"}


def foreign(path: Path, *, leave_out: tuple[bytes, ...] = (b"\xff\xd8\xff", b"\x89PNG")) -> str | None:
    """`it is a GIF; write it as PNG or JPEG`: what a file is by its first bytes, and what to do; None where nothing is known.

    Args:
        path: of a plain file.
        leave_out: beginnings that say nothing, because files of that kind are what is looked for.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if not head:
        return "it is empty; fetch the file again"
    if brand := _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None:
        return f"it is {brand}; {_PICTURE}"
    if head[257:262] == b"ustar":
        return f"it is a tar archive; {_REPACKED}"
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip() or head
    found = next(((what, todo) for mark, what, todo in _BEGINNINGS if begins.startswith(mark) and mark not in leave_out), None)
    return f"it is {found[0]}; {found[1]}" if found else None
