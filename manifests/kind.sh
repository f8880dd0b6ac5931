#!/usr/bin/env bash
# A cluster on this machine, Kubeflow Pipelines, our manifests, the demo's data, and a run of the demo: docs/install.md in one command.
# Needs docker, kind, kubectl and openssl, 4 CPUs and 12 GiB. What is there already is kept; `kind delete cluster --name detkds` removes it.
#
# usage: make kind
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
release=2.17.0
overlay=$root/manifests/overlays/kind
work=$root/build/kind
python=$root/.venv/bin/python
detkds=$root/.venv/bin/detkds

for tool in docker kind kubectl openssl; do
    command -v "$tool" >/dev/null || { echo "make kind needs $tool, which is not installed" >&2; exit 2; }
done
cd "$root"
mkdir -p "$work"

echo "1/7 images"
for image in detkds:0.1.0 detkds-light:0.1.0; do
    docker image inspect "$image" >/dev/null 2>&1 || { "$python" images/build.py --device cpu; break; }
done

echo "2/7 cluster"
kind get clusters | grep -qx detkds || kind create cluster --name detkds
kind load docker-image --name detkds detkds:0.1.0 detkds-light:0.1.0

echo "3/7 Kubeflow Pipelines $release"
kubectl apply -k "github.com/kubeflow/pipelines/manifests/kustomize/cluster-scoped-resources?ref=$release"
kubectl wait --for condition=established --timeout=60s crd/applications.app.k8s.io
kubectl apply -k "github.com/kubeflow/pipelines/manifests/kustomize/env/platform-agnostic?ref=$release"
kubectl -n kubeflow wait --for=condition=available --timeout=900s deployment --all
kubectl -n kubeflow patch configmap workflow-controller-configmap --type merge --patch-file manifests/retries.yaml

echo "4/7 manifests"
if [ ! -f "$overlay/store.env" ]; then
    keys=$(openssl rand -hex 16)-$(openssl rand -hex 16)
    sed -e "s/^accesskey=.*/accesskey=${keys%-*}/" -e "s/^secretkey=.*/secretkey=${keys#*-}/" "$overlay/store.env.example" >"$overlay/store.env"
fi
kubectl apply -k "$overlay"
kubectl -n kubeflow wait --for=condition=complete --timeout=300s job/detkds-bucket

echo "5/7 the UI at http://localhost:8080, the store at http://localhost:8333"
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
kubectl -n kubeflow port-forward service/ml-pipeline-ui 8080:80 >/dev/null &
kubectl -n kubeflow port-forward service/detkds-store 8333:8333 >/dev/null &
sleep 5
DETKDS_S3_ENDPOINT=http://localhost:8333
DETKDS_S3_ACCESS_KEY=$(sed -n 's/^accesskey=//p' "$overlay/store.env")
DETKDS_S3_SECRET_KEY=$(sed -n 's/^secretkey=//p' "$overlay/store.env")
export DETKDS_S3_ENDPOINT DETKDS_S3_ACCESS_KEY DETKDS_S3_SECRET_KEY

echo "6/7 the demo here: its data set and teacher go into the store"
"$detkds" demo
"$detkds" doctor --cluster --endpoint http://localhost:8080

echo "7/7 the demo on the cluster"
cp -r examples/configs "$work/"
{ cat examples/demo.yaml; echo; cat manifests/overlays/kind/resources.yaml; } >"$work/run.yaml"
"$detkds" submit "$work/run.yaml" --endpoint http://localhost:8080 --image detkds:0.1.0 --light-image detkds-light:0.1.0 --any-image --retries 1
"$detkds" pull demo --to "$work/student"
