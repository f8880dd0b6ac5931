"""What is wrong with a text that should be YAML: line, column and reason on one line."""

from __future__ import annotations

import yaml


def yaml_fault(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """`line 3, column 1: a tab; YAML indents with spaces only`."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is {error.object[error.start]:#04x}; save the file as UTF-8"
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position} is {chr(int(error.character))!r}; take it out"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    if "'\\t'" in reason:
        reason = "a tab; YAML indents with spaces only"
    return f"line {mark.line + 1}, column {mark.column + 1}: {reason}" if mark else reason
