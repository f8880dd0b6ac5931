"""Names of stored things: relative, with forward slashes, and unable to leave the place they are kept in."""

from __future__ import annotations

from detkds.errors import ArtifactError

MAX_KEY_BYTES = 1024
"""Amazon's limit, "Creating object key names"."""


def safe_key(key: str) -> str:
    """`key` itself, when it can be joined to a folder or bucket without leaving it.

    Raises:
        ArtifactError: empty, absolute, with `.`, `..` or empty segments, backslashes, control characters, or over 1024 bytes of UTF-8.
    """
    fault = _fault(key)
    if fault:
        raise ArtifactError(f"a stored name must be a relative path such as 'models/student.pth', got {key[:120]!r}: {fault}; rename it.")
    return key


def join(*parts: str) -> str:
    """The parts that are not empty, joined by slashes; checked as `safe_key` does.

    Raises:
        ArtifactError: the result is not a safe key.
    """
    return safe_key("/".join(part for part in parts if part))


def _fault(key: str) -> str | None:
    segments = key.split("/")
    if not key:
        return "it is empty"
    if any(ord(character) < 32 or ord(character) == 127 for character in key) or "\\" in key:
        return "it has a control character or a backslash"
    if key.startswith("/"):
        return "it is absolute"
    if not all(segments) or "." in segments or ".." in segments:
        return "it has an empty, '.' or '..' segment"
    try:
        return "it is longer than 1024 bytes" if len(key.encode()) > MAX_KEY_BYTES else None
    except UnicodeEncodeError:
        return "it is not UTF-8"
