"""Submission and following, against an API that answers as Kubeflow Pipelines does."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from fake_api import FakeApi, serving

from detkds.cli import main
from detkds.pipeline.form import Form

ROOT = Path(__file__).resolve().parents[3]
IMAGE = f"registry.example/detkds@sha256:{'0' * 64}"
CANARY = "token-that-no-one-may-see"
STARTED = ("RUNNING", {"subset": ("CACHED", ""), "evolve-global": ("RUNNING", "")})
DONE = ("SUCCEEDED", {"subset": ("CACHED", ""), "evolve-global": ("SUCCEEDED", "")})
RUN = """
name: blood
data:
  root: {root}
  train: {{annotations: annotations/train.json, images: train}}
  test: {{annotations: annotations/val.json, images: val}}
teacher: {{config: retinanet_r101_fpn_1x_coco, checkpoint: s3://detkds/models/teacher.pth}}
student: {{config: retinanet_r50_fpn_1x_coco}}
resources: {{memory_gb: 48, node_selector: {{nvidia.com/gpu.product: NVIDIA-L4}}, queue: gpu}}
"""


Submit = Callable[..., "Ended"]


class Ended(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def detkds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Submit:
    """Run the command line in this process, in `tmp_path`, with these variables and none of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("KFP_ENDPOINT", "KFP_NAMESPACE", "KFP_EXISTING_TOKEN", "DETKDS_IMAGE", "DETKDS_S3_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str, **environment: str) -> Ended:
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["detkds", *arguments])
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        told = capsys.readouterr()
        return Ended(int(ended.value.code or 0), told.out, told.err)

    return call


@pytest.fixture
def run_yaml(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN.format(root="pvc://coco/bccd"))
    return path


@pytest.fixture
def submit(detkds: Submit, run_yaml: Path) -> Submit:
    def call(api: FakeApi, *more: str, **environment: str) -> Ended:
        return detkds("submit", run_yaml.name, "--endpoint", api.url, "--image", IMAGE, *more, **environment)

    return call


def test_a_run_is_created_followed_and_its_end_is_the_exit_code(submit: Submit) -> None:
    with serving(FakeApi([STARTED, DONE], broken=1)) as api:
        result = submit(api, "--every", "0.1")
    assert result.returncode == 0, result.stderr
    shown = [line.split(maxsplit=1) for line in result.stdout.splitlines() if line.startswith(("evolve", "subset", "executor", "root"))]
    assert shown == [
        ["evolve-global", "running"],
        ["subset", "succeeded, answered by KFP's cache"],
        ["evolve-global", "succeeded in 1 min 00 s"],
    ]
    assert f"{api.url}/#/runs/details/run-1" in result.stdout
    assert "s3://detkds/runs/blood" in result.stdout
    assert "detkds watch blood --work s3://detkds/work" in result.stdout
    assert [experiment["display_name"] for experiment in api.experiments] == ["detkds"]
    (sent,) = api.runs
    assert sent["display_name"] == "blood"
    assert sent["experiment_id"] == "experiment-1"
    parameters = sent["runtime_config"]["parameters"]
    assert parameters["image"] == IMAGE
    assert parameters["dataset"] == "/data/coco/bccd"
    assert parameters["results"] == "s3://detkds/runs"
    assert parameters["student_config"] == "retinanet_r50_fpn_1x_coco"


def test_resources_of_the_run_reach_the_tasks_that_ask_for_a_gpu(submit: Submit) -> None:
    with serving(FakeApi([DONE])) as api:
        assert submit(api).returncode == 0
    specification = api.runs[0]["pipeline_spec"]
    containers = {n: e["container"]["resources"] for n, e in specification["pipeline_spec"]["deploymentSpec"]["executors"].items()}
    platform = specification["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert all(settings["pvcMount"][0]["mountPath"] == "/data/coco" for settings in platform.values())
    assert all(settings["podMetadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu" for settings in platform.values())
    gpu = {name for name, asked in containers.items() if "accelerator" in asked}
    assert any(name.startswith("exec-evolve") for name in gpu)
    for name, settings in platform.items():
        assert ("nodeSelector" in settings) == (name in gpu)
        assert containers[name]["resourceMemoryLimit"] == ("48G" if name in gpu else "16G")


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [("FAILED", 1, "failed"), ("CANCELED", 4, "was cancelled"), ("RUNNING", 3, "detkds submit --follow run-1")],
)
def test_every_other_end_has_its_exit_code(submit: Submit, state: str, code: int, words: str) -> None:
    quota = 'pods "x" is forbidden: exceeded quota: gpus, requested: 1, limited: 0'
    with serving(FakeApi([(state, {"evolve-global": (state, quota if state == "FAILED" else "")})])) as api:
        result = submit(api, "--timeout", "0.00005", "--every", "0.05")
    assert result.returncode == code, result.stdout + result.stderr
    assert words in result.stdout
    assert (quota in result.stdout) == (state == "FAILED")


def test_a_run_that_failed_is_created_anew_as_often_as_wanted(submit: Submit) -> None:
    failed = ("FAILED", {"evolve-global": ("FAILED", "")})
    with serving(FakeApi([failed, failed, DONE])) as api:
        result = submit(api, "--retries", "2", "--every", "0.05")
    assert result.returncode == 0, result.stderr
    assert len(api.runs) == 3
    assert api.runs[0] == api.runs[1] == api.runs[2]
    assert [line for line in result.stdout.splitlines() if line.startswith("created again")] == [
        "created again, 1 of 2: finished tasks and journals are kept",
        "created again, 2 of 2: finished tasks and journals are kept",
    ]
    with serving(FakeApi([failed])) as api:
        assert submit(api, "--retries", "1", "--every", "0.05").returncode == 1
    assert len(api.runs) == 2
    with serving(FakeApi([("CANCELED", {})])) as api:
        assert submit(api, "--retries", "1", "--every", "0.05").returncode == 4
    assert len(api.runs) == 1, "who cancelled it wants no other"


def test_a_run_is_followed_again_by_its_id(detkds: Submit) -> None:
    with serving(FakeApi([STARTED, DONE])) as api:
        assert detkds("submit", "--follow", "run-1", "--endpoint", api.url, "--every", "0.05").returncode == 0
        unknown = detkds("submit", "--follow", "run-2", "--endpoint", api.url)
    assert unknown.returncode == 75
    assert "404" in unknown.stderr
    assert api.runs == []


def test_a_token_opens_the_door_and_is_shown_nowhere(submit: Submit, tmp_path: Path) -> None:
    with serving(FakeApi([DONE], token=CANARY)) as api:
        refused = submit(api, KFP_EXISTING_TOKEN=f"wrong-{CANARY}")
        by_variable = submit(api, KFP_EXISTING_TOKEN=CANARY)
        (tmp_path / "token").write_text(f"{CANARY}\n")
        by_file = submit(api, "--token-file", "token")
    assert refused.returncode == 75
    (line,) = refused.stderr.splitlines()
    assert "401" in line
    assert "--token-file" in line
    assert (by_variable.returncode, by_file.returncode) == (0, 0), by_file.stderr
    for result in (refused, by_variable, by_file):
        assert CANARY not in result.stdout + result.stderr
    assert CANARY not in json.dumps(api.runs)


def test_a_certificate_of_ones_own_is_believed_only_when_named(submit: Submit, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2"]
    subprocess.run([*words, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    with serving(FakeApi([DONE]), (certificate, key)) as api:
        stranger = submit(api)
        friend = submit(api, "--ca-cert", str(certificate))
    assert stranger.returncode == 75
    assert "--ca-cert" in stranger.stderr
    assert friend.returncode == 0, friend.stderr


def test_nobody_at_the_endpoint_is_one_line(submit: Submit) -> None:
    result = submit(FakeApi([], url="http://127.0.0.1:9"))
    assert result.returncode == 75
    (line,) = result.stderr.splitlines()
    assert line.startswith("detkds: http://127.0.0.1:9 cannot be reached")


def test_what_no_pod_can_read_is_refused_before_anything_is_sent(detkds: Submit, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for name in ("train", "val"):
        (tmp_path / "annotations" / f"{name}.json").write_text("{}")
        (tmp_path / name).mkdir()
    path = tmp_path / "run.yaml"
    path.write_text(RUN.format(root="."))
    with serving(FakeApi([DONE])) as api:
        result = detkds("submit", "run.yaml", "--endpoint", api.url, "--any-image")
    assert result.returncode == 2
    for words in ("data.root is the folder", "no image is named: give --image"):
        assert words in result.stderr
    assert posted(api) == []


def test_every_fault_is_told_at_once_and_the_same_only_once(detkds: Submit, tmp_path: Path) -> None:
    """Trust, store and image: what would be found one after the other, each after half a minute."""
    (tmp_path / "config.py").write_text("model = dict(type='RetinaNet')\n")
    (tmp_path / "teacher.pth").write_bytes(b"x")
    run = RUN.format(root="s3://detkds/data").replace("s3://detkds/models/teacher.pth", "teacher.pth")
    (tmp_path / "run.yaml").write_text(run.replace("retinanet_r50_fpn_1x_coco", "config.py"))
    with serving(FakeApi([DONE])) as api:
        result = detkds("submit", "run.yaml", "--endpoint", api.url, "--image", "detkds:0.1.0")
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert [sum(words in line for line in lines) for words in ("--trust-config", "must go into the store", "--any-image")] == [1, 1, 1], (
        lines
    )
    assert posted(api) == []


def posted(api: FakeApi) -> list[str]:
    """What was sent to the API beyond the question whether it exists."""
    return [asked for asked in api.asked if not asked.endswith("/healthz")]


def test_an_address_that_does_not_answer_is_given_up_within_five_seconds(submit: Submit) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes connections, says nothing
        began = time.monotonic()
        result = submit(FakeApi([], url=f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert time.monotonic() - began < 5
    assert result.returncode == 75
    assert "cannot be reached" in result.stderr or "timed out" in result.stderr


def test_an_image_named_by_a_tag_is_refused_unless_it_is_wanted(submit: Submit) -> None:
    with serving(FakeApi([DONE])) as api:
        refused = submit(api, "--image", "registry.example/detkds:0.1.0")
        assert posted(api) == []
        wanted = submit(api, "--image", "registry.example/detkds:0.1.0", "--any-image", "--service-account", "detkds-runner")
    assert refused.returncode == 2
    assert "digest" in refused.stderr
    assert wanted.returncode == 0, wanted.stderr
    assert api.runs[0]["service_account"] == "detkds-runner"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Our package with its images pinned by hand, and another limit of memory."""
    path = tmp_path / "mine.yaml"
    text = (ROOT / "detkds" / "compiled" / "search.yaml").read_text()
    for name in ("detkds", "detkds-light"):
        text = text.replace(f"defaultValue: {name}:0.1.0", f"defaultValue: {IMAGE}")
    assert text.count(IMAGE) == 2
    path.write_text(text.replace("resourceMemoryLimit: 16G", "resourceMemoryLimit: 17G"))
    return path


def test_a_given_package_goes_in_the_place_of_ours_with_its_images_and_the_resources_of_the_run(
    detkds: Submit, run_yaml: Path, mine: Path
) -> None:
    with serving(FakeApi([DONE])) as api:
        result = detkds("submit", run_yaml.name, "--endpoint", api.url, "--package", mine.name)
    assert result.returncode == 0, result.stderr
    (sent,) = api.runs
    asked = sent["runtime_config"]["parameters"]
    assert asked.keys() == parameters(mine).keys() - {"image", "light_image"}, "the package's own defaults stay"
    containers = sent["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    assert {each["container"]["resources"]["resourceMemoryLimit"] for each in containers.values()} == {"48G", "17G"}


def test_an_image_that_is_named_goes_over_that_of_a_given_package(submit: Submit, mine: Path) -> None:
    mine.write_text(mine.read_text().replace(IMAGE, "registry.example/detkds:0.1.0"))
    with serving(FakeApi([DONE])) as api:
        assert submit(api, "--package", mine.name).returncode == 0
    assert {api.runs[0]["runtime_config"]["parameters"][name] for name in ("image", "light_image")} == {IMAGE}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f"defaultValue: {IMAGE}", "defaultValue: registry.example/detkds:0.1.0", "must be named by its digest"),
        ("runAsNonRoot: true", "runAsNonRoot: false", "must run as a numeric user that is not root"),
        ("      budget:\n        defaultValue", "      effort:\n        defaultValue", "but has no budget; compile it"),
        ("      epochs:\n        defaultValue: 24.0\n", "      epochs:\n", None),
        (
            "      epochs:\n        defaultValue",
            "      lesson:\n        parameterType: STRING\n      epochs:\n        defaultValue",
            "requires lesson",
        ),
        ("resourceMemoryLimit: 17G", "resourceMemoryLimits: 17G", "resourceMemoryLimits"),
        ("activeDeadlineSeconds:", "deadlineSeconds:", "deadlineSeconds"),
        ("root:\n", "trunk:\n", "is not a pipeline of KFP: the package must have root"),
    ],
)
def test_a_given_package_is_held_against_kfp_the_rules_and_the_parameters_of_the_run(
    detkds: Submit, run_yaml: Path, mine: Path, old: str, new: str, words: str | None
) -> None:
    text = mine.read_text()
    assert old in text
    mine.write_text(text.replace(old, new))
    with serving(FakeApi([DONE])) as api:
        result = detkds("submit", run_yaml.name, "--endpoint", api.url, "--package", mine.name)
    if words is None:
        assert result.returncode == 0, "a default that the run gives anyway"
        return
    assert (result.returncode, posted(api)) == (2, [])
    lines = result.stderr.splitlines()
    assert all(line.removeprefix("detkds: ").startswith("mine.yaml: ") for line in lines)
    assert all(words in line for line in lines), lines


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"\xff\xfe\x00", "cannot be read (it is not text)"),
        (b"a: [", "is not a pipeline of KFP: the package is not YAML"),
        (b"apiVersion: v1\nkind: Pod\n", "is not a pipeline of KFP: the package must have root, components and deploymentSpec"),
    ],
)
def test_a_file_that_is_no_pipeline_is_one_line(submit: Submit, tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "other.yaml").write_bytes(content)
    with serving(FakeApi([DONE])) as api:
        result = submit(api, "--package", "other.yaml")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"detkds: other.yaml: {words}")
    assert (result.returncode, posted(api)) == (2, [])


def stock(api: FakeApi, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The stock command line of KFP."""
    command = [str(Path(sys.executable).with_name("kfp")), "--endpoint", api.url, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "HOME": str(home)}, cwd=ROOT)


def documented() -> list[str]:
    """The words of the command in docs/install.md that creates a run, after the endpoint."""
    text = (ROOT / "docs" / "install.md").read_text().replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if line.lstrip().startswith("kfp --endpoint") and "run create" in line]
    return shlex.split(line)[3:]


def test_the_documented_command_of_the_stock_client_creates_a_run_by_the_rules_of_the_api(tmp_path: Path) -> None:
    with serving(FakeApi([DONE])) as api:
        result = stock(api, tmp_path, *documented())
    assert result.returncode == 0, result.stderr
    sent = api.runs[0]["runtime_config"]["parameters"]
    assert (sent["gpus"], sent["run_name"], sent["budget"]) == (2, "2026", "quick")
    assert "platform_spec" in api.runs[0]["pipeline_spec"]
    values = Form(**{name: value for name, value in sent.items() if name not in ("image", "light_image")}).values()
    assert (values.gpus, values.data_version, values.population) == (2, "2", 10)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("run_name=2026", "input parameter run_name requires type string"),
        ("gpus=two", "input parameter gpus requires type double or integer"),
        ("settings=quick", "input parameter settings requires type struct"),
        ("population=5", "parameter(s) provided are not required by pipeline: population"),
    ],
)
def test_what_the_api_refuses_is_said_by_the_stock_client(tmp_path: Path, word: str, said: str) -> None:
    with serving(FakeApi([DONE])) as api:
        result = stock(api, tmp_path, *documented(), word)
    assert result.returncode != 0
    assert said in result.stderr + result.stdout
    assert api.runs == []


def parameters(package: Path) -> dict[str, dict[str, object]]:
    described: dict[str, dict[str, object]] = next(yaml.safe_load_all(package.read_text()))["root"]["inputDefinitions"]["parameters"]
    return described
