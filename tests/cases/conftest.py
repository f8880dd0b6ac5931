"""Public bug reports of this trade as small inputs, where their folder exists beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of the cases, each in a folder of its number; `common` has a data set and a teacher."""
    if not CASES.is_dir():
        pytest.skip("needs the cases in ../shared/cases")
    return CASES


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path / "home"))
