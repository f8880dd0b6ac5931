"""`python -m pipelines.lint`: KFP's own messages, and the exit code."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from pipelines.lint import lint, main

pytestmark = pytest.mark.filterwarnings("ignore")
TEXT = (files("detkds") / "compiled" / "transfer.yaml").read_text()


def test_our_pipelines_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("maxRetryCount:", "maxRetries:", "pipeline"),
        ("executorLabel: exec-evaluate", "executorLabel: [exec-evaluate]", "pipeline"),
        ("runAsNonRoot:", "runAsNonroot:", "executor exec-"),
        ("mountPath: /dev/shm", "mountpath: /dev/shm", "executor exec-"),
    ],
)
def test_fields_that_the_messages_of_kfp_do_not_have_are_found(old: str, new: str, where: str) -> None:
    assert old in TEXT
    assert any(finding.rule == "schema" and finding.where.startswith(where) for finding in lint(TEXT.replace(old, new)))


def test_findings_are_printed_one_a_line_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(TEXT.replace("runAsNonRoot: true", "runAsNonRoot: false"))
    assert main([str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6, "one for each task of the pipeline transfer"
    assert all(line.startswith(f"{path}: task ") and line.endswith("[identity]") for line in lines)


def test_digests_are_demanded_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "versions.yaml"
    path.write_text(TEXT)
    assert main([str(path)]) == 0
    assert main(["--digest", str(path)]) == 1
    assert "must be named by its digest, got 'detkds:0.1.0'" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "a: [", "just text"])
def test_a_file_that_is_no_package_exits_with_2(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "none.yaml"
    if content is not None:
        path.write_text(content)
    assert main([str(path)]) == 2
