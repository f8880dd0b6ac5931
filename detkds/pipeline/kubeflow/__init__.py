"""Kubeflow Pipelines: the compiled package, run on this machine or submitted to a cluster. The one place that imports kfp."""
