"""`make images`: the engine, the base by its digest, a record that invents nothing. The engines here are scripts that note their calls."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "build.py"
BASE, PUSHED = "sha256:" + "a" * 64, "sha256:" + "b" * 64
# Answers as the engine does: docker and podman list name@digest, buildah gives the digest; both last ones write it when they push.
ENGINE = f"""#!{sys.executable}
import os, sys
name, args = os.path.basename(sys.argv[0]), sys.argv[1:]
open(os.environ["CALLS"], "a").write(name + " " + " ".join(args) + "\\n")
if os.environ.get("DOWN") == name and args[0] == "info":
    sys.exit(1)
if os.environ.get("FAILS") == args[0]:
    sys.exit(7)
if "inspect" in args and os.environ.get("ABSENT") and args[-1] == os.environ["ABSENT"] and "--format" not in args:
    sys.exit(1)
if "--format" in args and not os.environ.get("UNKNOWN"):
    digest = "{PUSHED}" if "detkds" in args[-1] else "{BASE}"
    print(digest if name == "buildah" else "example.org/x@" + digest)
if "--digestfile" in args:
    open(args[args.index("--digestfile") + 1], "w").write("{PUSHED}\\n")
"""


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_build", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with the three engines; `calls` in it lists what they were asked."""
    for name in ("docker", "podman", "buildah"):
        path = tmp_path / name
        path.write_text(ENGINE)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path


def calls(engines: Path, word: str) -> list[str]:
    return [line for line in (engines / "calls").read_text().splitlines() if f" {word} " in f"{line} "]


@pytest.mark.parametrize(("down", "chosen"), [("", "docker"), ("docker", "podman")])
def test_the_first_engine_that_answers_is_taken(
    build: ModuleType, engines: Path, monkeypatch: pytest.MonkeyPatch, down: str, chosen: str
) -> None:
    monkeypatch.setenv("DOWN", down)
    assert build.engine() == chosen


def test_no_engine_is_said_with_the_remedy(build: ModuleType, engines: Path) -> None:
    with pytest.raises(SystemExit, match="none of nosuch is installed and answers; apt install podman"):
        build.engine(("nosuch",))


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_the_base_is_used_by_the_digest_that_the_engine_reports(build: ModuleType, engines: Path, name: str) -> None:
    assert build.resolved(name, "debian:12.15-slim") == f"debian@{BASE}"
    assert build.resolved(name, "registry.example.org:5000/debian:12.15-slim") == f"registry.example.org:5000/debian@{BASE}"
    assert calls(engines, "pull") == []


def test_a_base_that_is_not_there_is_pulled(build: ModuleType, engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABSENT", "debian:12.15-slim")
    build.resolved("podman", "debian:12.15-slim")
    assert calls(engines, "pull") == ["podman pull debian:12.15-slim"]


def test_a_base_without_a_digest_stops_the_build(build: ModuleType, engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNKNOWN", "1")
    with pytest.raises(SystemExit, match=r"knows no digest of debian:12\.15-slim"):
        build.resolved("docker", "debian:12.15-slim")


@pytest.mark.parametrize("base", ["debian", "debian:latest", "registry.example.org:5000/debian"])
def test_a_base_without_a_version_is_refused(build: ModuleType, base: str) -> None:
    with pytest.raises(SystemExit, match="must have a version tag or a digest"):
        build.exact(base)


def test_both_images_are_built_and_recorded_without_digests_before_they_are_pushed(
    build: ModuleType, engines: Path, tmp_path: Path
) -> None:
    record = tmp_path / "record" / "images.json"
    build.main(["--record", str(record), "--device", "cpu", "--tag", "9.9", "--flags", "--network host"])
    written = json.loads(record.read_text())
    assert written["engine"] == "docker"
    assert written["base"] == {"name": "debian:12.15-slim", "used": f"debian@{BASE}"}
    assert written["images"] == {
        "full": {"name": "detkds:9.9", "digest": None},
        "light": {"name": "detkds-light:9.9", "digest": None},
    }
    full, light = calls(engines, "build")
    for words in ("--file images/Dockerfile ", f"--build-arg BASE=debian@{BASE}", "--build-arg DEVICE=cpu", "--network host"):
        assert words in full
    assert "--file images/Dockerfile.light " in light
    assert "DEVICE" not in light


@pytest.mark.parametrize("down", ["", "docker"])
def test_pushed_images_are_recorded_by_the_digest_of_the_registry(
    build: ModuleType, engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, down: str
) -> None:
    monkeypatch.setenv("DOWN", down)
    record = tmp_path / "images.json"
    build.main(["light", "--record", str(record), "--repository", "registry.example.org/team", "--tag", "9.9", "--push"])
    written = json.loads(record.read_text())["images"]
    assert written == {"light": {"name": "registry.example.org/team/detkds-light:9.9", "digest": PUSHED}}


def test_a_failing_build_stops_with_the_command_and_leaves_no_record(
    build: ModuleType, engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "build")
    with pytest.raises(SystemExit, match="docker build failed with code 7: docker build --file images/Dockerfile"):
        build.main(["--record", str(tmp_path / "images.json")])
    assert not (tmp_path / "images.json").exists()


def test_an_unknown_image_is_a_usage_error(build: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build.main(["heavy"])
    assert "unknown image heavy: choose from full, light" in capsys.readouterr().err
