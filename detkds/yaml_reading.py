"""YAML read as a person means it, and what is wrong with a text that should be YAML: line, column and reason on one line."""

from __future__ import annotations

from typing import Any

import yaml

MERGE = "tag:yaml.org,2002:merge"
"""Of `<<`, which a mapping may have several times: all that they name is merged."""


class _OncePerKey(yaml.SafeLoader):
    """Refuses a key that a mapping has twice: YAML would silently take the second."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}  # 1 and "1" are two keys
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            own = (key.tag, key.value)
            if own in lines:
                problem = f"the key {key.value!r} is in line {lines[own]} already; leave out one"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            lines[own] = key.start_mark.line + 1
        return node


def read_yaml(text: str) -> Any:
    """The content of a YAML text.

    Raises:
        yaml.YAMLError: it is no YAML, or a mapping has a key twice.
    """
    return yaml.load(text, Loader=_OncePerKey)


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
