"""An annotation file as a JSON document: read within bounds, written in one form, identified by its content."""

from __future__ import annotations

import codecs
import hashlib
import json
from pathlib import Path
from typing import Any

from detkds.data.checking.bombs import why_bomb
from detkds.data.checking.faults import Findings
from detkds.data.checking.foreign import foreign
from detkds.data.checking.parsing import OddError, parse_exact, parse_fast
from detkds.data.checking.rules import MAX_BYTES


def read(path: Path, findings: Findings) -> Any:
    """The parsed document, or None after noting why it cannot be had. Other faults of the text are noted too."""
    try:
        if not path.is_file():
            findings.add("file.missing", "no such file")
            return None
        size = path.stat().st_size
        if size > MAX_BYTES:
            findings.add("file.too-large", f"{size:,} bytes, at most {MAX_BYTES:,}")
            return None
        if what := foreign(path, leave_out=()):
            findings.add("file.not-json", what)
            return None
        if reason := why_bomb(path):
            findings.add("file.bomb", reason)
            return None
        try:
            return parse_fast(path)
        except OddError:
            return _read_exactly(path, findings)
    except OSError as error:
        findings.add("file.missing", f"cannot be read: {error.strerror}")
    except RecursionError:
        findings.add("file.not-json", "nested too deep")
    except UnicodeDecodeError as error:
        findings.add("file.not-utf8", f"byte {error.start} is {error.object[error.start]:#04x}; save the file as UTF-8")
    except ValueError as error:  # wrong syntax, a whole number of thousands of digits
        findings.add("file.not-json", str(error)[:200].replace("\n", " ") or "it is empty")
    return None


def _read_exactly(path: Path, findings: Findings) -> Any:
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        findings.add("file.not-utf8", "it begins as UTF-16; save the file as UTF-8")
        return None
    if raw.startswith(codecs.BOM_UTF8):
        findings.add("file.not-utf8", "it begins with a byte-order mark")
        raw = raw.removeprefix(codecs.BOM_UTF8)
    text = raw.decode()
    del raw
    document, doubled = parse_exact(text)
    for detail in doubled:
        findings.add("file.duplicate-key", detail)
    return document


def to_json(coco: dict[str, Any]) -> str:
    """The text DetKDS writes for a COCO dict: the same for equal dicts with keys in the same order; ASCII, one line."""
    return json.dumps(coco, separators=(",", ":"))


def content_digest(coco: dict[str, Any]) -> str:
    """sha256 (hex) of a COCO dict's content; neither key order nor white space matters."""
    return hashlib.sha256(json.dumps(coco, separators=(",", ":"), sort_keys=True).encode()).hexdigest()
