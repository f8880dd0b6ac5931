"""An annotation file as a JSON document: read within bounds, written in one form, identified by its content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from detkds.data.faults import Findings

MAX_BYTES = 2**30  # instances_train2017.json of COCO has 448 MB


def read(path: Path, findings: Findings) -> Any:
    """The parsed document, or None after noting why it cannot be had."""
    try:
        if not path.is_file():
            findings.add("file.missing", "no such file")
            return None
        size = path.stat().st_size
        if size > MAX_BYTES:
            findings.add("file.too-large", f"{size:,} bytes, at most {MAX_BYTES:,}")
            return None
        return json.loads(path.read_bytes())
    except OSError as error:
        findings.add("file.missing", f"cannot be read: {error.strerror}")
    except RecursionError:
        findings.add("file.not-json", "nested too deep")
    except ValueError as error:  # wrong syntax, wrong encoding, a whole number of thousands of digits
        findings.add("file.not-json", str(error)[:200].replace("\n", " "))
    return None


def to_json(coco: dict[str, Any]) -> str:
    """The text DetKDS writes for a COCO dict: the same for equal dicts with keys in the same order; ASCII, one line."""
    return json.dumps(coco, separators=(",", ":"))


def content_digest(coco: dict[str, Any]) -> str:
    """sha256 (hex) of a COCO dict's content; neither key order nor white space matters."""
    return hashlib.sha256(json.dumps(coco, separators=(",", ":"), sort_keys=True).encode()).hexdigest()
