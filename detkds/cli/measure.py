"""Measure detectors, and tell about runs."""

from __future__ import annotations
