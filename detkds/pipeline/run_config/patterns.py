"""Names that run.yaml allows, as patterns, and what each pattern asks in words."""

from __future__ import annotations

NAME, BUCKET = r"^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$", r"^[a-z0-9][a-z0-9.-]{2,62}$"
MODULE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
PATTERNS = {
    MODULE: "the name of a Python module, such as my_package.words, not of a file",
    NAME: "at most 62 small letters, digits and hyphens, a letter or digit first and last, such as blood-cells-1",
    BUCKET: "3 to 63 small letters, digits, hyphens and dots, a letter or digit first",
}
"""What the patterns ask, in words."""
