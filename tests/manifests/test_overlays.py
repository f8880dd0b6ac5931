"""The manifests: they build, keep the schemas of Kubernetes and our rules, fit each other and the pipelines, and hold no secret."""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from detkds.pipeline.kubeflow.package import RUN_LABEL
from manifests.check import FOLDER, OVERLAYS, documents, faults, pods, render, validate
from pipelines.resources import STORE_KEYS, Resources

Objects = list[dict[str, Any]]
RENDERED = [(overlay, everything) for overlay in OVERLAYS for everything in (False, True)]


@pytest.fixture(scope="module")
def texts() -> dict[tuple[str, bool], str]:
    return {(overlay, everything): render(overlay, everything=everything) for overlay, everything in RENDERED}


@pytest.fixture(scope="module")
def full(texts: dict[tuple[str, bool], str]) -> Objects:
    return documents(texts["gpu", True])


def one(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    (found,) = [entry for entry in objects if entry["kind"] == kind and entry["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("key", RENDERED, ids=str)
def test_overlays_keep_the_schemas_and_our_rules(texts: dict[tuple[str, bool], str], key: tuple[str, bool]) -> None:
    validate(texts[key])
    assert faults(documents(texts[key])) == []


def test_the_schemas_are_strict(texts: dict[tuple[str, bool], str]) -> None:
    with pytest.raises(SystemExit, match="kubernetes-validate"):
        validate(texts["kind", False].replace("accessModes:", "accesModes:"))


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (["securityContext", "readOnlyRootFilesystem"], False, "readOnlyRootFilesystem must be true"),
        (["securityContext", "capabilities"], {}, "capabilities must drop ALL"),
        (["image"], "detkds-light", "the image must have a version"),
        (["image"], "detkds-light:latest", "the image must have a version"),
        (["resources", "limits"], {}, "a limit of memory must be set"),
    ],
)
def test_our_rules_catch_what_breaks_them(full: Objects, path: list[str], value: Any, fault: str) -> None:
    objects = copy.deepcopy(full)
    place = one(objects, "Job", "detkds-loader")["spec"]["template"]["spec"]["containers"][0]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (found,) = faults(objects)
    assert found.startswith("Job detkds-loader: container loader: ")
    assert fault in found


def test_a_pod_outside_every_policy_and_a_written_secret_are_faults(full: Objects) -> None:
    job = copy.deepcopy(one(full, "Job", "detkds-loader"))
    job["spec"]["template"]["metadata"]["labels"] = {}
    assert faults([job]) == ["Job detkds-loader: no NetworkPolicy for ingress and egress selects it"]
    secret = {"kind": "Secret", "metadata": {"name": "mine"}, "data": {}}
    assert faults([secret]) == ["Secret mine: not made by the secret generator"]


def test_pods_are_found_in_every_kind_that_makes_them(full: Objects) -> None:
    assert {name for name, _ in pods(full)} == {"Deployment detkds-store", "Job detkds-bucket", "Job detkds-loader"}


def test_everything_with_a_namespace_is_in_the_one_of_the_overlay(texts: dict[tuple[str, bool], str]) -> None:
    cluster_wide = {"Namespace", "ClusterQueue", "ResourceFlavor"}
    for (overlay, _), text in texts.items():
        found = {entry["metadata"].get("namespace") for entry in documents(text) if entry["kind"] not in cluster_wide}
        assert found == {{"kind": "kubeflow", "gpu": "detkds"}[overlay]}


def test_the_namespace_is_restricted_and_that_of_kfp_is_never_made_or_removed(texts: dict[tuple[str, bool], str]) -> None:
    labels = one(documents(texts["gpu", False]), "Namespace", "detkds")["metadata"]["labels"]
    assert labels == {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}, (
        "another label would go over those of a profile, by which Kubeflow's services let it in"
    )
    assert not [entry for entry in documents(texts["kind", True]) if entry["kind"] == "Namespace"]


def test_the_secret_has_the_name_and_the_keys_that_tasks_and_launcher_read(full: Objects) -> None:
    secret = one(full, "Secret", Resources().store_secret)
    assert secret["data"].keys() == STORE_KEYS.keys()
    assert base64.b64decode(secret["data"]["secretkey"]) == b"canary-secret"
    providers = yaml.safe_load(one(full, "ConfigMap", "kfp-launcher")["data"]["providers"])
    reference = providers["minio"]["default"]["credentials"]["secretRef"]
    assert reference["secretName"] == Resources().store_secret
    assert {reference["accessKeyKey"], reference["secretKeyKey"]} < STORE_KEYS.keys()
    role = one(full, "Role", "detkds-runner")
    secrets = [rule["resourceNames"] for rule in role["rules"] if rule["resources"] == ["secrets"]]
    assert secrets == [[Resources().store_secret, "mlpipeline-minio-artifact"]], "without the component launcher KFP keeps its own store"


def test_the_keys_are_in_the_secret_only(texts: dict[tuple[str, bool], str]) -> None:
    for text in texts.values():
        others = [entry for entry in documents(text) if entry["kind"] != "Secret"]
        assert "canary" not in yaml.safe_dump_all(others)


def test_no_file_of_the_repository_holds_a_key() -> None:
    ignored = (FOLDER.parent / ".gitignore").read_text().split()
    assert "manifests/overlays/*/store.env" in ignored
    for overlay in OVERLAYS:
        lines = (FOLDER / "overlays" / overlay / "store.env.example").read_text().splitlines()
        assert [line for line in lines if line.startswith(("accesskey=", "secretkey="))] == ["accesskey=", "secretkey="]


@pytest.mark.parametrize("policy", ["detkds-runs", "detkds-clients", "detkds-store", "detkds-trainjobs", "default-deny"])
def test_policies_close_both_directions(full: Objects, policy: str) -> None:
    assert set(one(full, "NetworkPolicy", policy)["spec"]["policyTypes"]) == {"Ingress", "Egress"}


def test_runs_reach_the_dns_kfp_the_store_and_https(full: Objects) -> None:
    rules = one(full, "NetworkPolicy", "detkds-runs")["spec"]["egress"]
    assert [sorted({port["port"] for port in rule["ports"]}) for rule in rules] == [
        [53, 5353],
        [8080, 8333, 8887, 8888, 9000],
        [8333],
        [443, 6443],
    ]


def test_the_stores_claim_has_room_for_three_buckets(full: Objects) -> None:
    (container,) = one(full, "Deployment", "detkds-store")["spec"]["template"]["spec"]["containers"]
    (limit,) = [word.partition("=")[2] for word in container["args"] if word.startswith("-master.volumeSizeLimitMB=")]
    claim = one(full, "PersistentVolumeClaim", "detkds-store")["spec"]["resources"]["requests"]["storage"]
    # SeaweedFS makes seven volumes for a bucket: that of the runs, KFP's, and the store's own records
    assert int(claim.removesuffix("Gi")) * 1024 / int(limit) >= 3 * 7


def test_the_quota_counts_no_cpu_and_no_memory(full: Objects) -> None:
    hard = one(full, "ResourceQuota", "detkds")["spec"]["hard"]
    assert not [name for name in hard if "cpu" in name or "memory" in name]


def test_the_account_of_runs_may_make_trainjobs_with_their_component_only(texts: dict[tuple[str, bool], str], full: Objects) -> None:
    def groups(objects: Objects) -> set[str]:
        return {group for entry in objects if entry["kind"] == "Role" for rule in entry["rules"] for group in rule["apiGroups"]}

    assert "trainer.kubeflow.org" in groups(full)
    assert "trainer.kubeflow.org" not in groups(documents(texts["gpu", False]))
    for role in (entry for entry in full if entry["kind"] == "Role"):
        assert "*" not in {word for rule in role["rules"] for word in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])}


def test_the_overlay_kind_leaves_the_rest_of_kfp_alone(texts: dict[tuple[str, bool], str]) -> None:
    """It goes into KFP's own namespace: no quota there, no policy for workflows of others, KFP's own launcher configuration."""
    found = documents(texts["kind", False])
    assert not [entry for entry in found if entry["kind"] in ("ResourceQuota", "Namespace")]
    assert not [entry for entry in found if entry["metadata"]["name"] == "kfp-launcher"]
    for entry in found:
        if entry["kind"] == "NetworkPolicy":
            assert "workflows.argoproj.io" not in str(entry["spec"]["podSelector"]), entry["metadata"]["name"]
            assert entry["spec"]["podSelector"] != {}
    assert one(found, "NetworkPolicy", "detkds-runs")["spec"]["podSelector"]["matchExpressions"] == [
        {"key": RUN_LABEL, "operator": "Exists"}
    ]


def test_the_loader_of_the_overlay_kind_reads_where_the_demo_writes(texts: dict[tuple[str, bool], str]) -> None:
    (container,) = one(documents(texts["kind", False]), "Job", "detkds-loader")["spec"]["template"]["spec"]["containers"]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert values["SOURCE"] == yaml.safe_load((FOLDER.parent / "examples" / "demo.yaml").read_text())["data"]["root"]


def test_the_store_is_named_in_full(texts: dict[tuple[str, bool], str]) -> None:
    """A short name is found in its own namespace only, and by a resolver with search domains only."""
    example = (FOLDER / "overlays" / "kind" / "store.env.example").read_text()
    assert "endpoint=http://detkds-store.kubeflow.svc.cluster.local:8333\n" in example
    launcher = yaml.safe_load((FOLDER / "components" / "launcher" / "kfp-launcher.yaml").read_text())
    assert "endpoint: detkds-store.detkds.svc.cluster.local:8333" in launcher["data"]["providers"]


def test_kueue_selects_the_namespace_by_the_name_that_kubernetes_gives_it(full: Objects) -> None:
    selector = one(full, "ClusterQueue", "detkds")["spec"]["namespaceSelector"]["matchLabels"]
    assert selector == {"kubernetes.io/metadata.name": one(full, "LocalQueue", "detkds")["metadata"]["namespace"]}


def test_a_service_mesh_puts_no_sidecar_into_our_pods(full: Objects) -> None:
    assert {template["metadata"]["labels"]["sidecar.istio.io/inject"] for _, template in pods(full)} == {"false"}


def test_every_policy_reaches_the_dns_wherever_it_is(full: Objects) -> None:
    for name in ("detkds-runs", "detkds-clients", "detkds-trainjobs"):
        (rule,) = [
            rule for rule in one(full, "NetworkPolicy", name)["spec"]["egress"] if {"port": 53, "protocol": "UDP"} in rule.get("ports", [])
        ]
        assert {"port": 5353, "protocol": "UDP"} in rule["ports"]
        assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in rule["to"]


def test_every_file_of_the_manifests_is_used() -> None:
    named = {
        (path.parent / name).resolve()
        for path in FOLDER.rglob("kustomization.yaml")
        for key in ("resources", "components")
        for name in yaml.safe_load(path.read_text()).get(key, [])
    }
    patched = {FOLDER / "overlays" / "gpu" / "kfp-launcher.yaml"}
    patched |= {FOLDER / "retries.yaml", FOLDER / "overlays" / "kind" / "resources.yaml"}  # of kind.sh and docs/install.md
    files = {path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml" and isinstance(path, Path)}
    assert files - named - patched == set()
