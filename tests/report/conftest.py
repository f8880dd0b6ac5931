"""A run as the stage would fill it in."""

from __future__ import annotations

import pytest
from sample_run import sample

from detkds.report import ReportData


@pytest.fixture
def data() -> ReportData:
    return sample()
