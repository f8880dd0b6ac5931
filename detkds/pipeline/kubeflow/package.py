"""The compiled pipelines as this library carries them. No kfp: a package is two YAML documents."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from detkds.lint import Package, documents

TRAIN = "exec-train"
"""How the names of the executors of the full training begin."""
SEARCH = ("exec-evolve", "exec-weights")
"""How those of the searches begin."""
NODE = "DETKDS_NODE"
"""The environment variable with what each node of a TrainJob is asked for, as JSON; it comes from the pod's annotation."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
RUN_LABEL = "detkds/run"
"""The label of a pod with the run's name. Unlike a task's inputs, a pod's metadata are not part of the key of KFP's cache."""
STORE_KEYS = {"endpoint": "DETKDS_S3_ENDPOINT", "accesskey": "DETKDS_S3_ACCESS_KEY", "secretkey": "DETKDS_S3_SECRET_KEY"}
"""The keys of the store's Secret and the variables that they become in a task."""
OPTIONAL_STORE_KEYS = {"sessiontoken": "DETKDS_S3_SESSION_TOKEN", "region": "DETKDS_S3_REGION"}
"""Keys that the Secret may have as well: the token of keys that were lent, and the store's region."""
LOGGER_SECRET = "detkds-loggers"
"""The Secret that a namespace may have with the variables of the services in `train.loggers`; its keys are the variables' names."""
LOGGER_KEYS = {
    name: name
    for name in (
        *("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT"),
        *("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    )
}
"""As `STORE_KEYS`, of the full trainings."""
VOLUMES = "/data"
"""Where a claim is mounted in a task: /data/CLAIM."""
SPARE_GB = 10
"""What a task may keep beside images: annotations, checkpoints, unfinished work."""


def compiled(pipeline: str) -> str:
    """The YAML of a pipeline, "search" or "transfer"."""
    return (files("detkds") / "compiled" / f"{pipeline}.yaml").read_text()


def task_titles(package: str) -> dict[str, str]:
    """The titles of a package's tasks, such as "evolve global", by the names that kfp.local gives them, those of their components."""
    pipeline = documents.read(package)[0]
    graphs = [pipeline["root"], *pipeline["components"].values()]
    tasks = [task for graph in graphs for task in graph.get("dag", {}).get("tasks", {}).values()]
    return {task["componentRef"]["name"].removeprefix("comp-"): task["taskInfo"]["name"].replace("-", " ") for task in tasks}


def parameter_defaults(package: str) -> dict[str, Any]:
    """The parameters of a package with their defaults; None where one has to be given."""
    return {name: described.get("defaultValue") for name, described in Package.parse(package).parameters.items()}


def disk_size(cache_gb: int) -> str:
    """The size of the folder of a task that keeps so many gigabytes of images."""
    return f"{cache_gb + SPARE_GB}G"


def without_retries(package: str) -> str:
    """The package without retries, which wait minutes for a cluster to mend; here an error is shown at once, and the command resumes."""
    parts = documents.read(package)
    for component in (parts[0]["root"], *parts[0]["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
    return documents.write(parts)
