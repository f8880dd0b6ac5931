"""`make rehearsal`: which container is started when, with which rights, and that nothing stays. The engine here is a script."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from images.rehearsal import __main__ as rehearsal
from images.rehearsal.driver import Driver

# Answers as podman does: `run --name` is the store, which lives until it is killed; `exec` shows what the task before it left.
ENGINE = f"""#!{sys.executable}
import json, os, signal, sys
here, args = os.path.dirname(sys.argv[0]), sys.argv[1:]
open(here + "/calls", "a").write(json.dumps(args) + "\\n")
given = args[args.index("--executor_input") + 1] if "--executor_input" in args else None
if args[0] == "run" and "--name" in args:
    if os.environ.get("STORE") == "broken":
        sys.exit(3)
    open(here + "/pid", "w").write(str(os.getpid()))
    print(open(here + "/world").read(), flush=True)
    signal.pause()
elif args[0] == "kill" and os.path.exists(here + "/pid"):
    os.kill(int(open(here + "/pid").read()), signal.SIGKILL)
elif args[0] == "ps":
    print("deadbeef")
elif given:
    open(here + "/given", "w").write(given)
    print("the last words of", args[-1])
    sys.exit(70 if os.environ.get("FAILS") == args[-1] else 0)
elif args[0] == "exec":
    outputs = json.load(open(here + "/given"))["outputs"]["artifacts"]
    if os.environ.get("FORGETS"):
        sys.exit("ls: cannot access the output")
    for output in outputs.values():
        output["artifacts"][0]["metadata"] = {{"said": "by the task"}}
    named = json.load(open(here + "/given"))["outputs"].get("parameters", {{}})
    print(json.dumps({{"artifacts": outputs, "parameterValues": {{name: "1" if name in ("gpus", "one_gpu") else {{}} for name in named}}}}))
"""


def package() -> dict[str, Any]:
    return dict(next(yaml.safe_load_all((files("detkds") / "compiled" / "search.yaml").read_text())))


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, with the engine and what its store says."""
    (tmp_path / "podman").write_text(ENGINE)
    (tmp_path / "podman").chmod(0o755)
    said = {"environment": {"DETKDS_S3_ENDPOINT": "http://127.0.0.1:1"}, "parameters": {"run_name": "rehearsal"}, "package": package()}
    (tmp_path / "world").write_text(json.dumps(said))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def calls(podman: Path) -> list[list[str]]:
    return [json.loads(line) for line in (podman / "calls").read_text().splitlines()]


def tasks(podman: Path) -> list[list[str]]:
    return [call for call in calls(podman) if "--executor_input" in call]


def test_every_task_runs_in_its_image_without_rights_and_with_no_network_but_the_stores(podman: Path) -> None:
    rehearsal.main(["--image", "full:1", "--light-image", "light:1", "--flags", "--gpus all"])
    store = next(call for call in calls(podman) if "--name" in call)
    assert "--network none" in " ".join(store)
    started = tasks(podman)
    assert [call[-1] for call in started] == [
        "check",
        "subset",
        *["evolve"] * 5,
        "weights",
        "train",
        "train_found",
        "evaluate",
        "report_search",
    ]
    for call in started:
        light = call[-1] in ("check", "subset", "report_search")
        words = " ".join(call[: call.index("light:1" if light else "full:1")])
        for right in (
            "--user 1000:1000",
            "--cap-drop ALL",
            "--security-opt no-new-privileges",
            "--read-only",
            "--pull never",
            "--gpus all",
        ):
            assert right in words
        assert f"--network container:{store[store.index('--name') + 1]} --env DETKDS_S3_ENDPOINT=http://127.0.0.1:1" in words
        assert "--user 0" not in words


def test_a_task_is_handed_what_the_tasks_before_it_said_of_their_outputs(podman: Path) -> None:
    rehearsal.main([])
    given = json.loads((podman / "given").read_text())
    (model,) = given["inputs"]["artifacts"]["model"]["artifacts"]
    assert (model["type"], model["name"].isdigit()) == ({"instanceSchema": ""}, True)
    assert model["metadata"].keys() == {"said", "display_name", "store_session_info"}
    assert "/train-found/" in model["uri"]
    assert given["inputs"]["parameterValues"]["plan"] == {}, "what the task check handed on"


@pytest.mark.parametrize(
    ("variable", "value", "message", "last"),
    [
        ("FAILS", "weights", "the last words of weights\n\nsearch/weights in detkds:.* ended with code 70", "weights"),
        ("FORGETS", "1", "check in detkds-light:.* left an output out: ls: cannot access the output", "check"),
    ],
)
def test_the_first_fault_stops_the_rehearsal_and_nothing_stays(
    podman: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str, last: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit, match=message):
        rehearsal.main([])
    assert tasks(podman)[-1][-1] == last
    (name,) = {call[call.index("--name") + 1] for call in calls(podman) if "--name" in call}
    looked, removed, freed = calls(podman)[-3:]
    assert calls(podman)[-4] == ["kill", name]
    assert looked[-1] == f"volume={name}"
    assert (removed, freed) == (["rm", "--force", "deadbeef"], ["volume", "rm", "--force", name])


def test_a_store_that_does_not_start_is_said(podman: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "broken")
    with pytest.raises(SystemExit, match="the store in full:1 ended with code 3"):
        rehearsal.main(["--image", "full:1"])
    assert tasks(podman) == []
    assert calls(podman)[-1][:2] == ["volume", "rm"]


def test_parameters_are_of_the_run_then_of_the_pipeline_and_numbers_are_written_as_go_does() -> None:
    given = {"dataset": "s3://data/set", "epochs": 3.0, "light_image": "light:1"}
    given |= dict.fromkeys(("run_name", "teacher_config", "teacher_checkpoint", "student_config"), "x")
    execution = Driver(package(), given, "s3://bucket/root").execution("check")
    values = json.loads(execution.command[-3])["inputs"]["parameterValues"]
    assert (values["dataset"], values["budget"], values["epochs"], values["settings"]) == ("s3://data/set", "paper-20", 3, {})
    assert isinstance(values["epochs"], int)
    assert execution.image == "light:1"


def test_a_task_that_moves_its_output_is_refused() -> None:
    driver = Driver(package(), {}, "s3://bucket/root")
    driver.ended("check", driver.execution("check"), {"artifacts": {}, "parameterValues": {"subset": {}}})
    execution = driver.execution("subset")
    said = {"artifacts": {name: {"artifacts": [{"uri": "s3://elsewhere", "metadata": {}}]} for name in execution.outputs}}
    with pytest.raises(ValueError, match=r"task subset must leave subset at s3://bucket/root/detkds-search/.*but says s3://elsewhere"):
        driver.ended("subset", execution, said)
    assert "subset" not in driver.outputs
