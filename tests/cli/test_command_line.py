"""The command line: exit codes, one line an error, and what its small verbs print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from detkds.cli import main

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "160"}


def detkds(*arguments: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from detkds.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder or ROOT, env={**CLEAN, **environment}, capture_output=True, text=True, timeout=300)


def test_help_names_every_verb() -> None:
    result = detkds("--help")
    assert result.returncode == 0
    for verb in ("run", "demo", "check", "space", "pull", "doctor", "stage"):
        assert f" {verb} " in result.stdout
    stages = detkds("stage", "--help")
    assert stages.returncode == 0
    for verb in ("subset", "evolve", "weights", "train", "evaluate", "report"):
        assert f" {verb} " in stages.stdout


def test_space_prints_its_counts_and_samples() -> None:
    result = detkds("space", "--sample", "2")
    assert result.returncode == 0
    for number in ("18,256", "16,798", "16,807", "10,969", "21,049", "33,656"):
        assert number in result.stdout
    assert sum(line.startswith("localization: ") for line in result.stdout.splitlines()) == 2


def test_space_checks_a_genome() -> None:
    result = detkds("space", "global: none > none > norm_HW | l2 x 6")
    assert "canonical  global: none > none > none | pearson x 12" in result.stdout
    wrong = detkds("space", "global: cat > none > norm_HW | l2 x 6")
    assert wrong.returncode == 2
    assert wrong.stderr == "detkds: unknown global attention 'cat': did you mean catt?\n"


def test_space_says_what_it_does_not_offer_of_a_genome() -> None:
    shown = detkds("space", "global: none > none > norm_HW | l2 x 6").stdout
    assert "not in paper: it offers no weight 6 (its weights are 0.1, 0.5, 1, 2, 5, 8, 10)" in shown


def test_space_takes_presets_as_well() -> None:
    shown = detkds("space", "pkd x 5", "released-gfl").stdout
    assert "PKD (Cao et al., 2022)" in shown
    assert "global: none > none > norm_batch | l2 x 5\n" in shown
    assert "global: catt > scale_2 > norm_N | l1 x 10\n" in shown
    assert "in paper, with semantics released" in shown
    found = json.loads(detkds("space", "fgd", "--json").stdout)["genomes"]
    assert [loss["preset"] for loss in found] == ["fgd"] * 4
    assert "fgbg: tatt > none > none | l2 x 1" in [loss["genome"] for loss in found]
    found = json.loads(detkds("space", "defeat", "pkd x 5", "--json").stdout)["genomes"]
    assert [loss["in_space"] for loss in found] == [False, True]  # `bg 4` is not of the space `paper`
    assert detkds("space", "pdk").stderr == "detkds: unknown preset 'pdk': did you mean pkd?\n"


def test_a_wrong_run_file_is_one_line_per_fault(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("name: A\nserach: {}\n")
    result = detkds("check", "run.yaml", folder=tmp_path)
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 5  # name, three sections that are required, one unknown key
    assert all(line.startswith("detkds: run.yaml: ") for line in lines)


def test_an_unknown_verb_is_a_usage_error() -> None:
    assert detkds("serach").returncode == 2


def test_an_unreachable_store_is_one_line(tmp_path: Path) -> None:
    away = {
        "DETKDS_S3_ENDPOINT": "127.0.0.1:9",
        "DETKDS_S3_ACCESS_KEY": "who",
        "DETKDS_S3_SECRET_KEY": "a-secret-of-ours",
        "DETKDS_S3_DEADLINE_S": "1",
    }
    result = detkds("pull", "latest", folder=tmp_path, **away)
    assert result.returncode == 75
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("detkds: ")]
    assert "127.0.0.1:9" in line
    assert "a-secret-of-ours" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["demo.yaml", "coco.yaml"])
def test_check_of_an_example_names_what_lies_in_a_store_that_is_not_at_hand(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has imported mmdet; the next test is its twin in a process of its own."""
    monkeypatch.chdir(ROOT)
    for variable in [variable for variable in os.environ if variable.startswith("DETKDS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("COLUMNS", CLEAN["COLUMNS"])
    monkeypatch.setattr("sys.argv", ["detkds", "check", f"examples/{name}", "--not-timed"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 75, said.err
    assert f"examples/{name}: good, except for what was not looked at: " in said.out


def test_check_reads_the_blood_cells(shared_data: Path) -> None:
    result = detkds("check", "examples/bccd.yaml", "--not-timed")
    assert result.returncode == 0, result.stderr
    assert "205 images, 2804 objects, 3 classes" in result.stdout
