"""The student of a published run as an MLflow model: the ONNX file, and one Python file that needs neither mmdet nor this package."""

from __future__ import annotations

import tempfile
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console

from detkds.detectors.export import onnx_detector
from detkds.errors import ConfigError
from detkds.pipeline import publish as results
from detkds.pipeline.export_onnx import write_onnx
from detkds.pipeline.pull import runs_of
from detkds.storage.artifacts import read_manifest

INSTALL = "pip install 'detkds[mlflow,onnx]'"
REQUIRED = ("numpy", "onnxruntime", "opencv-python-headless", "pandas")
"""What the model needs beside mlflow, in the versions that are installed here."""
STUDENT = "student.onnx"


def check(to: Path) -> list[str]:
    """Refuse what cannot be written before anything is fetched; returns the packages that the model needs.

    Raises:
        ConfigError: the folder is not empty, or a package is missing.
    """
    requirements = _requirements()
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"--mlflow {to} is not an empty folder; name another one.")
    return requirements


def export(run: str, store: str, to: Path, images: Path | None, home: Path, console: Console, *, embedded_s3: bool = False) -> None:
    """Write a folder that `mlflow.pyfunc.load_model` loads.

    Args:
        run: NAME, NAME/ID or latest, of a published run; empty: latest.
        store: the bucket's address, as of `pull`.
        to: the folder; it must not be there, or be empty.
        images: folder of images on which the ONNX file must agree with mmdet; None generates some.
        home: as of `pull`.
        console: says how well the file agrees and how the folder is loaded.
        embedded_s3: as of `pull`.

    Raises:
        ConfigError: the folder is not empty, a package is missing, or the detector cannot be exported to ONNX.
        ArtifactError: there is no such run, or a file is damaged.
        DetKDSError: the ONNX file disagrees with mmdet.
    """
    requirements = check(to)
    with runs_of(store, home, console, embedded_s3) as address:
        name, folder = results.fetch(run or results.LATEST, address, home / "runs")
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as scratch:
        student, model = Path(scratch) / STUDENT, Path(scratch) / "model"
        exported, agreement = write_onnx(folder, student, images=images)
        about = {"run": name, "recipe": (folder / "recipe.txt").read_text().strip(), "classes": list(exported.classes)}
        _save(model, student, about, read_manifest(folder, f"artifact {folder}").digest, requirements)
        model.chmod(0o755)
        model.replace(to)
    console.print(agreement, markup=False, soft_wrap=True)
    console.print(f"{to}  an MLflow model of {name}. Use it in Python:\n{loading(to)}", markup=False, soft_wrap=True)


def _requirements() -> list[str]:
    """Lines of requirements.txt.

    Raises:
        ConfigError: one of the packages is not installed.
    """
    if missing := [name for name in ("mlflow", "pandas", "onnxruntime") if find_spec(name) is None]:
        raise ConfigError(f"an MLflow model needs mlflow, pandas and onnxruntime, but {missing[0]} is not installed: {INSTALL}")
    return [f"mlflow=={version('mlflow-skinny')}", *(f"{name}=={version(name)}" for name in REQUIRED)]


def _save(folder: Path, student: Path, about: dict[str, Any], digest: str, requirements: list[str]) -> None:
    """The folder, by MLflow. Equal students become equal files; only MLmodel names the time of its writing."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    numbers, names = Array(DataType.double), Array(DataType.string)
    found = [ColSpec(Array(numbers), "boxes"), ColSpec(numbers, "scores"), ColSpec(names, "labels")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises to store an example image, which would be one of the user's
        pyfunc.save_model(
            str(folder),
            loader_module=Path(onnx_detector.__file__).stem,
            data_path=str(student),
            code_paths=[onnx_detector.__file__],
            signature=ModelSignature(Schema([ColSpec(DataType.binary)]), Schema(found)),
            pip_requirements=requirements,
            metadata=about,
            mlflow_model=Model(model_uuid=UUID(digest[:32]).hex),
        )


def loading(folder: Path) -> str:
    """The lines of Python that load the folder and use it."""
    return "\n".join(
        [
            "  import mlflow, pathlib",
            f'  model = mlflow.pyfunc.load_model("{folder.resolve()}")',
            '  found = model.predict([pathlib.Path("image.jpg").read_bytes()])  # a list of boxes, scores and labels for each image',
        ]
    )
