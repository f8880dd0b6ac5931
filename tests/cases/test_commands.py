"""Cases that a person meets at the command line."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from detkds.cli.app import app
from detkds.errors import ConfigError


def told(*words: object) -> tuple[str, BaseException | None]:
    """What a command printed, and the error that it ended with."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.output, result.exception


def test_case_11_ids_from_0_work_and_other_results_are_refused_by_what_is_wrong(cases: Path) -> None:
    refused = {"strings": "write them without quotes", "catoff": "category 1", "nan": "finite score", "unknown": "first one of image 7"}
    for name, words in refused.items():
        _, error = told("evaluate", cases / "11/gt.json", "--results", cases / f"11/{name}.json")
        assert words in str(error)
        assert "\n" not in str(error)
    printed, error = told("evaluate", cases / "11/gt.json", "--results", cases / "11/results.json")
    assert ["results", "100.0"] in [line.split()[:2] for line in printed.splitlines()]
    assert error is None


def test_case_27_a_python_config_with_a_base_is_trusted_by_name_and_then_read_whole(cases: Path, tmp_path: Path) -> None:
    _, error = told("check", cases / "27/run.yaml", "--home", tmp_path)
    assert isinstance(error, ConfigError)
    assert "student.py is code that would run here; add --trust-config" in str(error)
    printed, error = told("check", cases / "27/run.yaml", "--home", tmp_path, "--trust-config", "--json")
    assert error is None, error
    found = json.loads(printed[printed.index("{") :])
    assert found["parameters"]["student"] > 0
    assert found["trained_on"]["images"] == 16
