"""The rules by which a subset is drawn: what counts as an object, how large it is, and which images may be drawn."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from detkds.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Counting:
    """Rules of a subset, each with COCO's usual choice as its default.

    Args:
        sizes: the area that makes an object small, medium or large: `box`, width x height of bbox, as COCO minitrain does; `mask`,
            the annotation's own `area`, as COCO's figures APs, APm and APl do.
        crowd: `ignore`, crowd regions are not objects and come along with their image; `count`, they are objects, as COCO minitrain
            has it; `exclude`, images with a crowd region are never drawn.
        empty: images without objects: `share`, they come in proportion; `exclude`, they are never drawn, as COCO minitrain has it.

    Raises:
        ConfigError: a value that is none of these.
    """

    sizes: Literal["box", "mask"] = "box"
    crowd: Literal["ignore", "count", "exclude"] = "ignore"
    empty: Literal["share", "exclude"] = "share"

    def __post_init__(self) -> None:
        hints: dict[str, Any] = get_type_hints(Counting)
        for field in fields(self):
            known, value = get_args(hints[field.name]), getattr(self, field.name)
            if value not in known:
                raise ConfigError(f"`{field.name}` of a subset is one of {', '.join(known)}, got {value!r}.")
