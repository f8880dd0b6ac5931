"""What a task asks of the cluster: one place for images, devices, memory, time, retry, volumes and secrets.

None of it has to be set. `python -m pipelines.compile --help` lists what can be; what is given there arrives here as DETKDS_RESOURCES,
because kfp builds a pipeline when its module is imported.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from kfp import dsl, kubernetes

from detkds.lint.pods import CACHE_ANNOTATION, CPUS_ANNOTATION, HOME, NODE_ANNOTATION
from detkds.pipeline.kubeflow.package import LOGGER_KEYS, LOGGER_SECRET, NODE, OPTIONAL_STORE_KEYS, QUEUE_LABEL, VOLUMES, disk_size
from detkds.pipeline.kubeflow.package import STORE_KEYS as STORE_KEYS
from detkds.pipeline.task import RUN
from detkds.processes import CPUS
from detkds.storage.image_cache import CACHE_GB, DEFAULT_GB

HOUR_S = 3600
ENVIRONMENT = "DETKDS_RESOURCES"


@dataclass(frozen=True)
class Resources:
    """What tasks ask for. Quantities are Kubernetes' own, such as "4" CPUs and "16G".

    Args:
        image: default of the parameter `image`, the container image of the tasks with a GPU.
        light_image: default of the parameter `light_image`, the image of the tasks without a detector.
        gpus: default of the parameter `gpus`, the GPUs of a searching or training task.
        gpu_type: resource by which the cluster counts GPUs; also the taint that tasks tolerate.
        gpu_product: value of the node label `gpu_label`, as in NVIDIA-H100-80GB-HBM3; empty: any node.
        gpu_label: node label that names the kind of GPU.
        cpu: CPUs that a task with a GPU asks for.
        memory: memory that it asks for.
        memory_limit: memory at which it is killed; /dev/shm counts.
        shm: size of its /dev/shm.
        light_cpu: CPUs that a task without a GPU asks for.
        light_memory: memory that it asks for.
        light_memory_limit: memory at which it is killed.
        cache_gb: gigabytes of images that a task keeps on its node's disk; its folder there may take 10 more.
        timeout_h: hours after which an attempt is ended.
        retries: attempts after the first.
        user: numeric user and group of all tasks.
        store_secret: name of the Secret with endpoint, accesskey and secretkey of the store.
        data_volume: name of a PersistentVolumeClaim that all tasks mount at /data/NAME; empty: none.
        pull_secret: name of the Secret with which images are pulled; empty: none.
        queue: LocalQueue of Kueue that tasks with a GPU wait in; empty: none.
    """

    image: str = "detkds:0.1.0"
    light_image: str = "detkds-light:0.1.0"
    gpus: int = 1
    gpu_type: str = "nvidia.com/gpu"
    gpu_product: str = ""
    gpu_label: str = "nvidia.com/gpu.product"
    cpu: str = "4"
    memory: str = "16G"
    memory_limit: str = "64G"
    shm: str = "8Gi"
    light_cpu: str = "2"
    light_memory: str = "4G"
    light_memory_limit: str = "16G"
    cache_gb: int = int(DEFAULT_GB)
    timeout_h: int = 72
    retries: int = 2
    user: int = 1000
    store_secret: str = "detkds-s3"
    data_volume: str = ""
    pull_secret: str = ""
    queue: str = ""

    def environment(self) -> dict[str, str]:
        """The environment that chooses these."""
        return {ENVIRONMENT: json.dumps(asdict(self))}

    def node(self) -> str:
        """What each node of a TrainJob is asked for, as fields of `TrainJob` in JSON: as much as a task with a GPU."""
        fields = ("cpu", "memory", "memory_limit", "shm", "gpu_type", "store_secret", "pull_secret", "queue", "user")
        asked = {name: getattr(self, name) for name in fields}
        asked["node_selector"] = {self.gpu_label: self.gpu_product} if self.gpu_product else {}
        asked["claims"] = [self.data_volume] if self.data_volume else []
        return json.dumps(asked, sort_keys=True)


def chosen() -> Resources:
    """The resources that the environment names, the defaults where it names none."""
    return Resources(**json.loads(os.environ.get(ENVIRONMENT, "{}")))


def light(task: dsl.PipelineTask, image: str, name: str) -> dsl.PipelineTask:
    """A task without a GPU, shown as `name`."""
    asked = chosen()
    task.set_cpu_request(asked.light_cpu).set_memory_request(asked.light_memory).set_memory_limit(asked.light_memory_limit)
    return _common(task, asked, image, name, asked.light_cpu)


def gpu(task: dsl.PipelineTask, image: str, name: str, gpus: str) -> dsl.PipelineTask:
    """A task with NVIDIA GPUs and memory-backed /dev/shm for data loaders, shown as `name`."""
    asked = chosen()
    task.set_accelerator_type(asked.gpu_type).set_accelerator_limit(gpus)
    task.set_cpu_request(asked.cpu).set_memory_request(asked.memory).set_memory_limit(asked.memory_limit)
    kubernetes.add_toleration(task, key=asked.gpu_type, operator="Exists", effect="NoSchedule")
    kubernetes.empty_dir_mount(task, volume_name="dshm", mount_path="/dev/shm", medium="Memory", size_limit=asked.shm)
    if asked.gpu_product:
        kubernetes.add_node_selector(task, asked.gpu_label, asked.gpu_product)
    if asked.queue:
        kubernetes.add_pod_label(task, QUEUE_LABEL, asked.queue)
    kubernetes.add_pod_annotation(task, NODE_ANNOTATION, asked.node())
    kubernetes.use_field_path_as_env(task, NODE, f"metadata.annotations['{NODE_ANNOTATION}']")
    return _common(task, asked, image, name, asked.cpu)


def training(task: dsl.PipelineTask, image: str, name: str, gpus: str) -> dsl.PipelineTask:
    """A full training: a task with GPUs that is also given the keys of the services in `train.loggers`, where the namespace has them."""
    kubernetes.use_secret_as_env(gpu(task, image, name, gpus), LOGGER_SECRET, LOGGER_KEYS, optional=True)
    return task


def _common(task: dsl.PipelineTask, asked: Resources, image: str, name: str, cpus: str) -> dsl.PipelineTask:
    task.set_container_image(image).set_display_name(name).set_caching_options(True)
    # Argo counts the retry window from the first attempt's start and ends retries with it: it holds every attempt, and a day of waiting.
    window_s = ((asked.retries + 1) * asked.timeout_h + 24) * HOUR_S
    task.set_retry(num_retries=asked.retries, backoff_duration="60s", backoff_factor=2, backoff_max_duration=f"{window_s}s")
    kubernetes.set_timeout(task, asked.timeout_h * HOUR_S)
    # What the restricted Pod Security Standard wants beyond this, the backend of KFP 2.17 sets by itself: docs/adr/0009.
    kubernetes.set_security_context(task, run_as_user=asked.user, run_as_group=asked.user, run_as_non_root=True)
    kubernetes.use_secret_as_env(task, asked.store_secret, STORE_KEYS)
    kubernetes.use_secret_as_env(task, asked.store_secret, OPTIONAL_STORE_KEYS, optional=True)
    # Variables from the pod's metadata: plain ones would be part of the key of KFP's cache, and would go over those of a laptop.
    kubernetes.use_field_path_as_env(task, RUN, "metadata.labels['pipeline/runid']")
    kubernetes.add_pod_annotation(task, CPUS_ANNOTATION, cpus)
    kubernetes.use_field_path_as_env(task, CPUS, f"metadata.annotations['{CPUS_ANNOTATION}']")
    kubernetes.add_pod_annotation(task, CACHE_ANNOTATION, str(asked.cache_gb))
    kubernetes.use_field_path_as_env(task, CACHE_GB, f"metadata.annotations['{CACHE_ANNOTATION}']")
    kubernetes.empty_dir_mount(task, volume_name="detkds-home", mount_path=HOME, size_limit=disk_size(asked.cache_gb))
    if asked.data_volume:
        kubernetes.mount_pvc(task, asked.data_volume, f"{VOLUMES}/{asked.data_volume}")
    if asked.pull_secret:
        kubernetes.set_image_pull_secrets(task, [asked.pull_secret])
    return task
