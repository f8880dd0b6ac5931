"""Weights & Biases and MLflow, by the backends of mmengine's visualizer. Their keys and servers are in their own environment
variables; nothing of it is read or written here."""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Callable, Mapping
from logging import FileHandler, StreamHandler
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.logging import MMLogger

if TYPE_CHECKING:
    from mmengine.visualization.vis_backend import BaseVisBackend

PROJECT = "detkds"
"""The project of Weights & Biases, and the experiment of MLflow, unless WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME names another."""
STEP = "step"


class Logger:
    """One service that receives figures and pictures.

    Args:
        folder: what the service keeps on this machine lies below it.
        run: name of the run.
        task: what it is at, such as "train distilled".
        key: the same for the same work, so that a resumed training continues the same page where the service can do that.
        settings: what is worth knowing of it.

    Raises:
        Exception: the service cannot be reached or refuses, whatever it raises.
    """

    def __init__(self, name: str, folder: Path, *, run: str, task: str, key: str, settings: Mapping[str, Any]) -> None:
        self._wandb = name == "wandb"
        self._backend = _BACKENDS[name](folder, run, task, key, dict(settings))
        if not self._wandb:
            # Its `close` sends the files of work_dir, of which there are none: what is worth keeping is in the store.
            empty = folder / "mlflow" / "nothing"
            empty.mkdir(parents=True, exist_ok=True)
            self._backend.add_config(Config({**settings, "work_dir": str(empty)}))
        _ = self._backend.experiment  # it begins here, and not with the first figure

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Figures by name."""
        self._backend.add_scalars({STEP: step, **values} if self._wandb else dict(values), step)

    def image(self, name: str, image: Any, step: int = 0) -> None:
        """A picture, uint8 of shape HWC in RGB."""
        self._backend.add_image(name if self._wandb else str(PurePosixPath(name).with_suffix(".png")), image, step)

    def close(self) -> None:
        """Send what is left."""
        self._backend.close()


def _of_wandb(folder: Path, run: str, task: str, key: str, settings: dict[str, Any]) -> BaseVisBackend:
    from mmengine.visualization import WandbVisBackend

    start = {
        "project": os.environ.get("WANDB_PROJECT", PROJECT),
        "name": f"{run} {task}",
        "group": run,
        "id": key,
        "resume": "allow",
        "config": settings,
        "mode": os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline"),
    }
    return WandbVisBackend(str(folder / "wandb"), init_kwargs=start, define_metric_cfg=[{"name": "*", "step_metric": STEP}])


def _has_key() -> bool:
    """Whether wandb was given a key; it asks a person for one otherwise, whom nobody may answer."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return any("wandb" in host for host in netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False


def _of_mlflow(folder: Path, run: str, task: str, key: str, settings: dict[str, Any]) -> BaseVisBackend:
    from mmengine.visualization import MLflowVisBackend

    _reopen_log()
    server = os.environ.get("MLFLOW_TRACKING_URI")
    place = folder / "mlflow"
    place.mkdir(parents=True, exist_ok=True)
    return MLflowVisBackend(
        str(place),
        exp_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
        run_name=f"{run} {task}",
        tags={"run": run, "task": task, "key": key},
        tracking_uri=server or f"sqlite:///{place}/mlflow.db",  # the plain files of MLflow 2 are refused by MLflow 3
        artifact_location=None if server else place.as_uri() + "/artifacts",
    )


def _reopen_log() -> None:
    """Give mmengine's log a place where that which it had is closed: its MLflow backend would look for the file of a stream without one."""
    for handler in MMLogger.get_current_instance().handlers:
        if isinstance(handler, StreamHandler) and not isinstance(handler, FileHandler) and handler.stream.closed:
            handler.stream = sys.stdout


_BACKENDS: dict[str, Callable[[Path, str, str, str, dict[str, Any]], BaseVisBackend]] = {"wandb": _of_wandb, "mlflow": _of_mlflow}
