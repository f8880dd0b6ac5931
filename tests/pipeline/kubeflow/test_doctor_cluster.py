"""doctor --cluster: one line for each thing that can be wrong, whatever of it may be asked."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from fake_api import FakeApi, serving
from kubernetes import client
from rich.console import Console

from detkds.pipeline.doctor_cluster import examine
from detkds.pipeline.kubeflow.remote import Endpoint

STOCK = "spec:\n  templateDefaults:\n    retryStrategy:\n      limit: 2\n      retryPolicy: OnError\n"
"""The setting of KFP 2.17.0's workflow-controller-configmap, as seen on a live cluster; the limit as kubeflow/pipelines#13386 has it."""
PATCHED = STOCK.replace("OnError", "Always").replace("limit: 2", 'limit: "0"')


class FakeCore:
    """A cluster with one node."""

    def __init__(self, defaults: str = PATCHED, keys: tuple[str, ...] = ("endpoint", "accesskey", "secretkey"), status: int = 0) -> None:
        self.defaults, self.keys, self.status = defaults, keys, status

    def _refuse(self) -> None:
        if self.status:
            raise client.ApiException(status=self.status, reason="no")

    def read_namespaced_config_map(self, name: str, namespace: str, **_: Any) -> Any:
        self._refuse()
        assert (name, namespace) == ("workflow-controller-configmap", "kubeflow")
        return client.V1ConfigMap(data={"workflowDefaults": self.defaults})

    def read_namespaced_secret(self, name: str, namespace: str, **_: Any) -> Any:
        self._refuse()
        return client.V1Secret(data=dict.fromkeys(self.keys, "Y2FuYXJ5"))

    def list_namespaced_resource_quota(self, namespace: str, **_: Any) -> Any:
        self._refuse()
        status = client.V1ResourceQuotaStatus(hard={"requests.nvidia.com/gpu": "8"}, used={"requests.nvidia.com/gpu": "4"})
        return client.V1ResourceQuotaList(items=[client.V1ResourceQuota(metadata=client.V1ObjectMeta(name="detkds"), status=status)])

    def list_node(self, **_: Any) -> Any:
        self._refuse()
        node = client.V1Node(metadata=client.V1ObjectMeta(name="one"), status=client.V1NodeStatus(allocatable={"nvidia.com/gpu": "8"}))
        return client.V1NodeList(items=[node])


@pytest.fixture(autouse=True)
def _no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)


def told(core: FakeCore, version: str = "2.17.0") -> tuple[bool, dict[str, str]]:
    """Whether it passed, and each line by its name."""
    output = StringIO()
    with serving(FakeApi([], version=version)) as api:
        found = examine(Endpoint(api.url), bucket="detkds", console=Console(file=output, width=300), api=core)
    passed = all(one["passed"] is not False for one in found)
    json.dumps(found)
    lines = [line.split(maxsplit=2) for line in output.getvalue().splitlines()]
    assert "Y2FuYXJ5" not in output.getvalue()
    return passed, {name: f"{mark} {text}" for mark, name, text in lines}


def test_a_cluster_that_is_ready() -> None:
    passed, lines = told(FakeCore())
    assert passed
    assert lines["pipelines"].startswith("ok Kubeflow Pipelines 2.17.0 answers")
    assert lines["retries"].startswith("ok a task that fails is retried")
    assert lines["quota"] == "ok requests.nvidia.com/gpu 4 of 8 in use (detkds)"
    assert lines["gpus"] == "ok 8 nvidia.com/gpu on 1 of 1 nodes"
    assert lines["bucket"].startswith("? DETKDS_S3_ENDPOINT is not set")


@pytest.mark.parametrize(
    ("core", "version", "name", "words"),
    [
        (FakeCore(STOCK), "2.17.0", "retries", "FAIL tasks are retried OnError only"),
        (FakeCore(STOCK.replace("OnError", "Always")), "2.17.0", "retries", "FAIL every level of the engine retries 2 times"),
        (FakeCore(""), "2.17.0", "retries", "FAIL tasks are retried OnFailure only"),
        (FakeCore(keys=("endpoint",)), "2.17.0", "secret", "FAIL the Secret detkds-s3 in kubeflow lacks accesskey, secretkey"),
        (FakeCore(), "2.15.0", "pipelines", "FAIL Kubeflow Pipelines is 2.15.0, which refuses the packages"),
        (FakeCore(status=404), "2.17.0", "secret", "FAIL Kubernetes answers 404"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_remedy(core: FakeCore, version: str, name: str, words: str) -> None:
    passed, lines = told(core, version)
    assert not passed
    assert lines[name].startswith(words)


def test_what_may_not_be_asked_is_no_failure() -> None:
    passed, lines = told(FakeCore(status=403))
    assert passed
    assert {line[0] for name, line in lines.items() if name != "pipelines"} == {"?"}
