"""Watch a search, and take its trials elsewhere."""

from __future__ import annotations
