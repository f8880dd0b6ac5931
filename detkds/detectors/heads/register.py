"""A head of your own: a decorator that registers the class that reads it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import TypeVar

from detkds import plugins
from detkds.detectors.heads.cells import Cells
from detkds.detectors.heads.dense import HEADS, Dense
from detkds.detectors.heads.predictions import Family
from detkds.detectors.heads.query import Query
from detkds.detectors.heads.roi import RoI
from detkds.errors import ConfigError

Reader = TypeVar("Reader", bound=type[Cells] | type[Family])

FAMILIES: dict[str, type[Family]] = {"dense": Dense, "roi": RoI, "query": Query}
"""Name to family; the first that reads a detector is taken."""


def head(name: str) -> Callable[[Reader], Reader]:
    """Register the class that reads scores and boxes of a head, so that `logits` and `localization` can be shared with it.

    Args:
        name: for a subclass of `Cells`, which reads a dense head cell by cell: the exact name of the head's class in mmdet's registry. For
            a subclass of `Family`, which says itself what it reads: any name.

    Raises:
        ConfigError: the class is of neither kind or leaves methods open, or the name is taken.

    >>> @head("MyRetinaHead")
    ... class MyRetina(Cells):
    ...     '''Reads a head that returns what RetinaNet's does.'''
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ConfigError(f'a head is registered by the name of its class, got {name!r}; use @detkds.head("MyHead").')

    def accept(reader: Reader) -> Reader:
        if not (inspect.isclass(reader) and issubclass(reader, Cells | Family)):
            raise ConfigError(f"the head {name!r} must be read by a subclass of Cells (dense heads) or Family, got {reader!r}.")
        if missing := ", ".join(sorted(getattr(reader, "__abstractmethods__", ()))):
            raise ConfigError(f"the head {name!r} is read by {reader.__name__}, which leaves {missing} open; define it.")
        known = {**HEADS, **FAMILIES}.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (reader.__module__, reader.__qualname__):
            raise ConfigError(f"the head {name!r} is read by {known.__module__}.{known.__qualname__} already; leave out one of the two.")
        plugins.note(reader)
        if issubclass(reader, Cells):
            HEADS[name] = reader
        else:
            FAMILIES[name] = reader
        return reader

    return accept
