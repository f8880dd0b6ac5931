"""docs/api.md has every public name, and none besides."""

from __future__ import annotations

import re
from pathlib import Path

import detkds

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def test_the_api_page_has_every_public_name_once() -> None:
    named = re.findall(r"^::: detkds\.(\w+)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(named) == list(detkds.__all__)
