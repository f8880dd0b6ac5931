"""What goes into an image: clean Dockerfiles, the check of its imports, the list of its packages."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = ("Dockerfile", "Dockerfile.light")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"image_{name}", ROOT / "images" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_is_content(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [str(hadolint), "--config", str(ROOT / ".hadolint.yaml"), str(ROOT / "images" / name)]
    assert subprocess.run(command, capture_output=True, text=True).stdout == ""


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_base_has_a_version_and_the_last_user_is_a_number_that_is_not_root(name: str) -> None:
    text = (ROOT / "images" / name).read_text()
    (base,) = re.findall(r"^ARG BASE=(.+)$", text, re.MULTILINE)
    assert re.fullmatch(r"debian:12\.\d+-slim", base)
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["1000:1000"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_only_locked_packages_are_installed_and_pip_does_not_stay(name: str) -> None:
    text = (ROOT / "images" / name).read_text().replace("\\\n", " ")
    installs = re.findall(r"(?<!un)\bpip install\b([^;&\n]*)", text)
    own, torch = [" --no-deps --no-build-isolation . "], [' ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --requirement torch.txt']
    for options in installs:
        assert "--require-hashes" in options or options in [*own, *torch]
    assert "pip uninstall --yes pip" in text


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_is_in_the_context(name: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for words in re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "images" / name).read_text(), re.MULTILINE):
        for source in words.split():
            assert (ROOT / source).exists()
            assert source.split("/")[0] in allowed


def test_no_light_stage_imports_what_the_light_image_does_not_have() -> None:
    code = (
        "import sys; sys.path.insert(0, 'images'); import check; import importlib;"
        "[importlib.import_module(f'detkds.pipeline.{stage}') for stage in check.LIGHT_STAGES];"
        "print(*[name for name in check.HEAVY if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


@pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils")  # looking for pip makes setuptools do so
def test_the_check_names_pip_and_what_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    check = script("check")
    monkeypatch.setattr(check, "STAGES", ("subset", "nosuch"))
    found = check.faults("cpu")
    assert found == [
        "detkds.pipeline.nosuch cannot be imported: ModuleNotFoundError: No module named 'detkds.pipeline.nosuch'",
        "pip is installed: nothing may be installed at run time",
    ]


def test_the_check_runs_an_operator_and_knows_a_build_without_cuda() -> None:
    code = "import sys; sys.path.insert(0, 'images'); import check; print(check.operator_faults('cpu'), check.operator_faults('cuda'))"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.startswith("[] ["), result.stderr
    assert "a CUDA image needs CUDA" in result.stdout


def test_the_list_of_packages_is_cyclonedx_and_has_both_kinds() -> None:
    sbom = script("sbom")
    debian = sbom.debian_components("libc6\t2.36-9+deb12u14\tamd64\nperl\t1:5.36.0-7\tamd64\n")
    assert [entry["purl"] for entry in debian] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64",
        "pkg:deb/debian/perl@1%3A5.36.0-7?arch=amd64",
    ]
    python = sbom.python_components()
    names = [entry["name"] for entry in python]
    assert {"torch", "numpy", "detkds"} <= set(names)
    references = [entry["bom-ref"] for entry in [*python, *debian]]
    assert len(references) == len(set(references)), "an identity names one component"
    assert json.loads(json.dumps(sbom.document(debian)))["specVersion"] == "1.6"
