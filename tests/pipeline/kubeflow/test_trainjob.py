"""TrainJobs: the manifest that Trainer takes, and following one against an API that answers as Kubernetes does."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_kubernetes import FakeKubernetes, serving
from kubernetes import client
from trainer_rules import refusal

from detkds.errors import ClusterError, Interrupted
from detkds.pipeline.kubeflow import trainer as trainer_module
from detkds.pipeline.kubeflow import trainjob
from detkds.pipeline.kubeflow.trainer import Trainer
from detkds.pipeline.kubeflow.trainjob import State, TrainJob, state

ROOT = Path(__file__).resolve().parents[3]
JOB = TrainJob(
    "train-1234",
    "registry.example/detkds@sha256:0",
    ("torchrun", "-m", "detkds.pipeline.rank"),
    nodes=2,
    gpus=8,
    secret_keys={"endpoint": "DETKDS_S3_ENDPOINT"},
    environment={"DETKDS_RUN": "coco"},
    node_selector={"nvidia.com/gpu.product": "NVIDIA-L4"},
    claims=("coco",),
    queue="gpu",
)
COMPLETE = {"conditions": [{"type": "Complete", "status": "True", "message": "jobset completed"}]}
FAILED = {"conditions": [{"type": "Failed", "status": "True", "message": "pod node-0-0 was evicted"}]}
ACTIVE = {"jobsStatus": [{"name": "node", "active": 1, "ready": 1, "succeeded": 0, "failed": 0, "suspended": 0}]}


def trainer(api: FakeKubernetes) -> Trainer:
    configuration = client.Configuration(host=api.url)
    configuration.retries = False
    return Trainer("detkds", client.CustomObjectsApi(client.ApiClient(configuration)))


def follow(api: FakeKubernetes) -> list[str]:
    """Run JOB with nothing between two questions; what was shown."""
    shown: list[str] = []
    with serving(api):
        trainer(api).run(JOB, show=shown.append, interval_s=0)
    return shown


def test_the_manifest_is_what_trainer_takes() -> None:
    manifest = JOB.manifest()
    assert (manifest["apiVersion"], manifest["kind"]) == ("trainer.kubeflow.org/v1alpha1", "TrainJob")
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"
    spec = manifest["spec"]
    assert spec.keys() == {"runtimeRef", "trainer", "runtimePatches"}
    assert spec["runtimeRef"] == {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": "torch-distributed"}
    trained = spec["trainer"]
    assert (trained["numNodes"], trained["numProcPerNode"]) == (2, 8)
    assert trained["resourcesPerNode"]["limits"] == {"memory": "64G", "nvidia.com/gpu": "8"}
    assert trained["env"] == [
        {"name": "DETKDS_RUN", "value": "coco"},
        {"name": "DETKDS_S3_ENDPOINT", "valueFrom": {"secretKeyRef": {"name": "detkds-s3", "key": "endpoint"}}},
    ]
    (patch,) = spec["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    assert refusal(manifest) is None
    (container,) = pod["containers"]
    assert (job["name"], container["name"]) == ("node", "node")
    assert container.keys() == {"name", "volumeMounts", "securityContext"}  # env is refused here
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]} == {
        "dshm", "detkds-home", "coco",
    }  # fmt: skip
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_a_job_without_gpus_tolerates_and_asks_for_none() -> None:
    spec = TrainJob("a", "image", ("true",), nodes=2, gpus=0).manifest()["spec"]
    assert spec["trainer"]["numProcPerNode"] == 1
    assert "nvidia.com/gpu" not in str(spec)


def test_the_role_of_the_manifests_allows_what_is_asked() -> None:
    role, *_ = yaml.safe_load_all((ROOT / "manifests/components/trainjob/trainjob.yaml").read_text())
    allowed = next(rule for rule in role["rules"] if rule["apiGroups"] == ["trainer.kubeflow.org"])
    assert {"create", "get", "list", "delete"} <= set(allowed["verbs"])
    assert allowed["resources"] == ["trainjobs"]


def test_the_nodes_account_is_made_by_the_manifests_and_has_no_token() -> None:
    """Trainer lets a patch name an account; it has no field for `automountServiceAccountToken`."""
    account = yaml.safe_load((ROOT / "manifests/components/trainjob/account.yaml").read_text())
    assert account["kind"] == "ServiceAccount"
    assert account["automountServiceAccountToken"] is False
    (patch,) = JOB.manifest()["spec"]["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert job["template"]["spec"]["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (lambda spec: spec["runtimePatches"][0].update(manager="detkds"), 403, 'must be a domain-prefixed path (such as "acme.io/foo")'),
        (lambda spec: spec.update(podTemplateOverrides=[{"targetJobs": []}, 1]), 400, 'unknown field "spec.podTemplateOverrides'),
        (lambda spec: node(spec).update(automountServiceAccountToken=False), 400, "automountServiceAccountToken"),
        (lambda spec: node(spec)["containers"][0].update(env=[{"name": "A", "value": "1"}]), 403, "must not have envs"),
        (lambda spec: spec["trainer"]["env"].append({"name": "PET_NNODES", "value": "2"}), 403, "reserved envs"),
        (lambda spec: spec["trainer"]["env"].append({"name": "DETKDS_RUN", "value": "2"}), 422, "Duplicate value"),
        (lambda spec: spec["runtimeRef"].update(name=""), 422, "Required value"),
    ],
)
def test_the_fake_api_refuses_what_trainer_refuses(change: Callable[[dict[str, Any]], object], status: int, words: str) -> None:
    manifest = JOB.manifest()
    assert refusal(manifest) is None
    change(manifest["spec"])
    refused = refusal(manifest)
    assert refused is not None
    assert refused[0] == status
    assert words in refused[1]


def node(spec: dict[str, Any]) -> Any:
    """The pod of the nodes."""
    return spec["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]


def test_a_refusal_of_the_webhook_is_no_missing_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainjob, "MANAGER", "detkds")
    with pytest.raises(ClusterError) as refused:
        follow(FakeKubernetes([COMPLETE]))
    assert 'Invalid value: "detkds": must be a domain-prefixed path (such as "acme.io/foo"); correct what it names.' in str(refused.value)
    assert "role" not in str(refused.value)


def test_nodes_that_do_not_come_up_are_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two TrainJobs each can hold half of the nodes that both need."""
    monkeypatch.setattr(trainer_module, "WAIT_S", 0.0)
    waiting = {"jobsStatus": [{"name": "node", "active": 1, "ready": 0, "succeeded": 0, "failed": 0, "suspended": 0}]}
    shown = follow(FakeKubernetes([{}, waiting, waiting, ACTIVE, COMPLETE]))
    told = [line for line in shown if "not all ready" in line]
    assert told == ["TrainJob train-1234: its nodes are not all ready; kubectl -n detkds describe jobset/train-1234 and get events say why"]
    assert not any("not all ready" in line for line in follow(FakeKubernetes([ACTIVE, COMPLETE])))


def test_a_job_is_made_once_the_nodes_of_every_other_are_at_work() -> None:
    """Two trainings of one run begin together; each job could get half of the nodes."""
    other = {**JOB.manifest(), "metadata": {"name": "other"}, "status": {"jobsStatus": [{"name": "node", "active": 1, "ready": 0}]}}
    api, shown, held = FakeKubernetes([{}, ACTIVE, COMPLETE], jobs={"other": other}, crowded=2), list[str](), list[str]()

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        held.append(f"taken after {len(api.asked)} questions")
        yield
        held.append(f"given back after {len(api.asked)} questions")

    with serving(api):
        trainer(api).run(JOB, show=shown.append, turn=turn(), interval_s=0)
    assert [asked.split("=")[0] for asked in api.asked] == [
        "GET train-1234", "GET ?labelSelector", "GET ?labelSelector", "GET ?labelSelector", "POST",
        "GET train-1234", "GET train-1234", "GET train-1234",
    ]  # fmt: skip
    assert held == ["taken after 1 questions", "given back after 7 questions"]  # when its own nodes are at work, not at its end
    assert shown[0] == (
        "TrainJob train-1234 is not made yet: other waits for its nodes; delete it if nobody needs it: "
        "kubectl -n detkds delete trainjob other"
    )
    assert not any("other" in line for line in shown[1:])


def test_a_job_that_nobody_follows_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "OTHERS_S", 0.0)
    api = FakeKubernetes([COMPLETE], jobs={"other": {"metadata": {"name": "other"}}}, crowded=10**6)
    with serving(api):
        trainer(api).run(JOB, show=lambda line: None, turn=contextlib.nullcontext(), interval_s=0)
    assert "train-1234" in api.jobs


def test_states() -> None:
    assert state({}) == (State.RUNNING, "")
    assert state({"status": FAILED}) == (State.FAILED, "pod node-0-0 was evicted")
    assert state({"status": {"conditions": [{"type": "Complete", "status": "False"}]}}) == (State.RUNNING, "")
    suspended = [{"type": "Suspended", "status": "True", "message": "TrainJob is suspended"}]
    assert state({"status": {"conditions": suspended}}) == (State.SUSPENDED, "TrainJob is suspended")


def test_a_job_is_made_and_followed_to_its_end() -> None:
    api = FakeKubernetes([{}, ACTIVE, ACTIVE, COMPLETE], broken=2)
    assert follow(api) == [
        "TrainJob detkds/train-1234 on 2 nodes with 8 GPU(s) each",
        "TrainJob train-1234: running",
        "TrainJob train-1234: running, node: 1 active, 0 failed",
    ]
    assert api.jobs["train-1234"] == JOB.manifest()


def test_a_job_that_is_there_is_taken_up() -> None:
    api = FakeKubernetes([ACTIVE, COMPLETE], jobs={"train-1234": JOB.manifest()})
    follow(api)
    assert not any(asked.startswith(("POST", "DELETE")) for asked in api.asked)


def test_a_job_that_failed_before_is_made_anew() -> None:
    api = FakeKubernetes([COMPLETE], jobs={"train-1234": {**JOB.manifest(), "status": FAILED}})
    follow(api)
    assert [asked.split()[0] for asked in api.asked] == ["GET", "DELETE", "GET", "POST", "GET"]


QUOTA = 'trainjobs "train-1234" is forbidden: exceeded quota: gpus, requested: 16, limited: 8'
RBAC = 'trainjobs.trainer.kubeflow.org is forbidden: User "runner" cannot create resource "trainjobs"'


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (("GET", 404, ""), "does not read the TrainJob in detkds: 404 Not Found; install Kubeflow Trainer 2"),
        (("POST", 403, QUOTA), "exceeded quota: gpus, requested: 16, limited: 8; ask for fewer nodes or GPUs"),
        (("POST", 403, RBAC), "give the service account the role of manifests/components/trainjob"),
        (("POST", 404, 'namespaces "detkds" not found'), 'namespaces "detkds" not found; correct what it names'),
        (("POST", 422, "spec.runtimeRef: torch-distributed not found"), "torch-distributed not found; correct what it names"),
    ],
)
def test_a_refusal_is_one_line_that_names_the_remedy(refusal: tuple[str, int, str], words: str) -> None:
    with pytest.raises(ClusterError) as refused:
        follow(FakeKubernetes(refuse=refusal))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.final


def test_a_job_that_fails_is_told_with_its_reason() -> None:
    with pytest.raises(ClusterError, match="train-1234 failed: pod node-0-0 was evicted; see the logs of its pods"):
        follow(FakeKubernetes([ACTIVE, FAILED]))


def test_a_server_that_stays_away_is_given_up() -> None:
    api = FakeKubernetes([COMPLETE], broken=100)
    with pytest.raises(ClusterError, match=r"503 etcdserver: leader changed; run again\."):
        follow(api)


def test_an_unreachable_server_is_named() -> None:
    api = FakeKubernetes(url="http://127.0.0.1:9")
    with pytest.raises(ClusterError, match="the Kubernetes API cannot be reached"):
        trainer(api).run(JOB, show=print, interval_s=0)


def test_outside_a_cluster_it_says_so() -> None:
    with pytest.raises(ClusterError, match="made from a pod with a service account"):
        Trainer()


def test_sigterm_deletes_the_job() -> None:
    class Stopping(FakeKubernetes):
        def answer(self, verb: str, path: str, body: object) -> tuple[int, object]:  # type: ignore[override]
            if self.asked.count("GET train-1234") == 3 and verb == "GET":
                os.kill(os.getpid(), signal.SIGTERM)
            return super().answer(verb, path, body)  # type: ignore[arg-type]

    api = Stopping([ACTIVE])
    with pytest.raises(Interrupted, match="the TrainJob is deleted"):
        follow(api)
    assert api.jobs == {}
