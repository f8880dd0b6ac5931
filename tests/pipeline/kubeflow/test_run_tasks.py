"""Tasks of runs as the API of a live KFP 2.17.0 told of them, and why their pods wait."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kfp_server_api
import pytest
from kubernetes import client

from detkds.pipeline.kubeflow import run_progress, run_tasks
from detkds.pipeline.kubeflow.remote import Outcome, outcome_of
from detkds.pipeline.kubeflow.run_pods import RunPods
from detkds.pipeline.kubeflow.run_progress import Progress

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "kfp"
NAMES = {"evolve": "evolve-global", "evolve-2": "evolve-fgbg", "train": "train-baseline", "train-2": "train-distilled"}


def captured(name: str) -> Any:
    """A captured answer as the client reads it."""
    path = CASES / f"run_{name}.json"
    if not path.exists():
        pytest.skip(f"needs the captured answers in {CASES}")
    return kfp_server_api.ApiClient().deserialize(SimpleNamespace(data=path.read_text()), "V2beta1Run")


def lines(name: str) -> list[str]:
    return [f"{task.name} {task}" for task in run_tasks.read(captured(name).run_details.task_details, NAMES)]


def test_a_cancelled_run_has_its_tasks_with_durations_and_tries() -> None:
    assert lines("failed") == [
        "subset succeeded in 20 s",
        "evolve-global succeeded in 8 min 13 s, 2 tries",
        "evolve-fgbg succeeded in 7 min 42 s",
        "evolve-3 succeeded in 7 min 42 s",
        "evolve-4 succeeded in 7 min 42 s",
        "evolve-5 succeeded in 7 min 42 s",
        "train-baseline succeeded in 6 min 15 s",
        "weights succeeded in 1 min 09 s",
        "train-distilled failed in 2 min 08 s, 2 tries",
    ]


def test_what_the_cache_answered_is_told_from_what_ran() -> None:
    told = lines("succeeded")
    assert {line.split()[0] for line in told if line.endswith("answered by KFP's cache")} == {
        "subset", "evolve-global", "evolve-fgbg", "evolve-3", "evolve-4", "evolve-5", "weights",
    }  # fmt: skip
    assert told[-1] == "report succeeded in 21 s"
    assert "evaluate succeeded in 1 min 06 s" in told


def test_running_tasks_have_no_duration_and_one_pod_waits() -> None:
    told = lines("running")
    assert told[:2] == ["subset succeeded, answered by KFP's cache", "evolve-global running, try 2"]
    assert len(run_tasks.waiting(captured("running").run_details.task_details)) == 1


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("failed", Outcome.CANCELED), ("succeeded", Outcome.SUCCEEDED), ("transfer", Outcome.SUCCEEDED), ("running", None)],
)
def test_a_run_that_was_cancelled_while_a_try_waited_ends_as_cancelled(name: str, outcome: Outcome | None) -> None:
    assert outcome_of(captured(name)) == outcome


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (75, "1 min 15 s"), (3780, "1 h 03 min")])
def test_durations(seconds: float, text: str) -> None:
    assert run_tasks.duration(seconds) == text


class FakeCore:
    """The Kubernetes API of a cluster with one pod that waits, in the words of its objects."""

    def __init__(self, phase: str = "Pending") -> None:
        condition = client.V1PodCondition(
            type="PodScheduled", status="False", reason="Unschedulable", message="0/1 nodes are available: 1 Insufficient cpu."
        )
        metadata = client.V1ObjectMeta(
            name="pod-1", annotations={"workflows.argoproj.io/node-name": "detkds-search-q5bmn(0).root(0).evolve-2(0).executor(1)"}
        )
        status = client.V1PodStatus(phase=phase, conditions=[condition])
        self.pods = [client.V1Pod(metadata=metadata, status=status)]
        self.asked: list[str] = []

    def list_namespaced_pod(self, namespace: str, label_selector: str, _request_timeout: float) -> Any:
        self.asked.append(f"{namespace} {label_selector}")
        return client.V1PodList(items=self.pods)

    def read_namespaced_pod_log(self, name: str, namespace: str, **options: Any) -> str:
        fault = "annotations/train.json does not exist; correct the path."
        return f"[subset] begins\ndetkds: {fault}\nI1127 launcher_v2.go:151] failed to execute component: exit status 65\n"


def test_a_pod_that_waits_for_a_minute_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_progress, "WAIT_S", 0.0)
    run, shown, core = captured("running"), list[str](), FakeCore()
    progress = Progress("id-1", shown.append, NAMES, RunPods("kubeflow", core))
    progress.tell(run)
    progress.tell(run)
    assert [line for line in shown if "waits" in line] == ["[evolve-fgbg] waits: 0/1 nodes are available: 1 Insufficient cpu."]
    assert core.asked[0] == "kubeflow pipeline/runid=id-1"


def test_without_a_kubeconfig_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_progress, "WAIT_S", 0.0)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    shown: list[str] = []
    Progress("id-1", shown.append, NAMES, RunPods("team")).tell(captured("running"))
    (line,) = [line for line in shown if "waited" in line]
    assert "kubectl -n team get pods -l pipeline/runid=id-1, then kubectl describe pod POD, say why" in line


def test_a_failed_task_is_shown_with_the_error_that_it_ended_with() -> None:
    run, shown, core = captured("failed"), list[str](), FakeCore("Failed")
    core.pods[0].metadata.annotations["workflows.argoproj.io/node-name"] = (
        run_tasks.read(run.run_details.task_details, NAMES)[-1].path + "(0).executor(1)"
    )
    Progress("id-1", shown.append, NAMES, RunPods("kubeflow", core)).tell(run)
    place = shown.index("[train-distilled] failed in 2 min 08 s, 2 tries")
    assert shown[place + 1] == "[train-distilled] | annotations/train.json does not exist; correct the path."
