"""What a task asks of the cluster: one place for image, device, memory, retry and caching."""

from kfp import dsl, kubernetes

IMAGE = "detkds:0.1.0"
DAY_S = 24 * 3600
STORE_SECRET = "detkds-s3"


def light(task: dsl.PipelineTask, image: str, name: str) -> dsl.PipelineTask:
    """A task without a GPU, shown as `name`."""
    task.set_container_image(image).set_display_name(name).set_caching_options(True)
    task.set_cpu_request("2").set_memory_request("4G").set_memory_limit("16G")
    return _common(task)


def gpu(task: dsl.PipelineTask, image: str, name: str) -> dsl.PipelineTask:
    """A task with one NVIDIA GPU and memory-backed /dev/shm for data loaders, shown as `name`."""
    task.set_container_image(image).set_display_name(name).set_caching_options(True)
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
    task.set_cpu_request("4").set_memory_request("16G").set_memory_limit("64G")
    kubernetes.add_toleration(task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    kubernetes.empty_dir_mount(task, volume_name="dshm", mount_path="/dev/shm", medium="Memory", size_limit="8Gi")
    return _common(task)


def _common(task: dsl.PipelineTask) -> dsl.PipelineTask:
    # Argo counts the retry window from the first attempt's start: it has to be longer than the task.
    task.set_retry(num_retries=2, backoff_duration="60s", backoff_factor=2, backoff_max_duration=f"{7 * DAY_S}s")
    kubernetes.set_timeout(task, 3 * DAY_S)
    kubernetes.set_security_context(task, run_as_user=1000, run_as_group=1000, run_as_non_root=True)
    keys = {"endpoint": "DETKDS_S3_ENDPOINT", "accesskey": "DETKDS_S3_ACCESS_KEY", "secretkey": "DETKDS_S3_SECRET_KEY"}
    kubernetes.use_secret_as_env(task, STORE_SECRET, keys)
    return task
