"""`detkds export --mlflow`: stock MLflow loads the folder in a process that has neither this package nor torch, and finds the same."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console
from small_student import CLASSES, write_student

from detkds import Student
from detkds.errors import ConfigError
from detkds.pipeline import export_mlflow as verb
from detkds.pipeline import publish as published

ROOT = Path(__file__).resolve().parents[2]
STRANGER = """
import json, pathlib, sys
for name in ("detkds", "torch", "mmdet", "mmengine", "mmcv"):
    sys.modules[name] = None  # to import one of them is an error
import mlflow, pandas
model = mlflow.pyfunc.load_model("moved")
files = [pathlib.Path(name).read_bytes() for name in sys.argv[1:]]
refused = []
for wrong in ([b"no image"], [files[0], b""], ["image.png"]):
    try:
        model.predict(wrong)
    except Exception as error:
        refused.append(str(error))
table = model.predict(pandas.DataFrame({"photo": files}))
schema = model.metadata.signature.to_dict()
print(json.dumps({"found": model.predict(files), "table": table, "refused": refused, "schema": schema, "about": model.metadata.metadata}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a published run `rings`, in a folder that stands for a bucket."""
    folder = tmp_path_factory.mktemp("world")
    write_student(folder / "results")
    published.publish(folder / "results", "rings", str(folder / "home" / "store" / "detkds" / "runs"))
    return folder / "home"


def export(home: Path, to: Path, images: Path | None = None) -> str:
    said = io.StringIO()
    verb.export("", "s3://detkds", to, images, home, Console(file=said, width=200))
    return said.getvalue()


def test_stock_mlflow_finds_what_the_student_finds(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    monkeypatch.chdir(tmp_path)
    draw, images = np.random.default_rng(0), tmp_path / "images"
    images.mkdir()
    for name, size in {"lying.png": (48, 60, 3), "upright.png": (90, 50, 3)}.items():
        cv2.imwrite(str(images / name), draw.integers(0, 256, size, dtype=np.uint8))
    said = export(home, tmp_path / "model", images)
    assert said.startswith("agrees with mmdet: 2 images, ")
    assert verb.loading(tmp_path / "model") in said
    for path in (path for path in (tmp_path / "model").rglob("*") if path.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes(), f"{path.name} names the machine's folder"
        assert str(ROOT).encode() not in path.read_bytes(), f"{path.name} names the machine's folder"
    Path("model").rename("moved")
    files = [str(path) for path in sorted(images.iterdir())]
    done = subprocess.run([sys.executable, "-c", STRANGER, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    heard: dict[str, Any] = json.loads(done.stdout)
    student = Student.open(home / "runs" / "rings")
    for file, found in zip(files, heard["found"], strict=True):
        expected = student.predict(file)
        assert len(expected) > 10
        assert found["labels"] == [one.label for one in expected]
        assert found["scores"] == pytest.approx([one.score for one in expected], abs=1e-5)
        assert np.array(found["boxes"]) == pytest.approx(np.array([one.box for one in expected]), abs=1e-2)
    assert heard["table"] == heard["found"]
    assert [text.partition(" cannot be decoded; give the bytes of an image file")[0] for text in heard["refused"]] == [
        "image 0",
        "image 1",
        "image 0",
    ]
    assert json.loads(heard["schema"]["inputs"]) == [{"type": "binary", "required": True}]
    assert [one["name"] for one in json.loads(heard["schema"]["outputs"])] == ["boxes", "scores", "labels"]
    assert heard["about"] == {"run": "rings", "recipe": "global: none > none > none | l2 x 6", "classes": list(CLASSES)}


def test_the_page_shows_how_it_is_used(home: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text().partition("## MLflow")[2]
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    shown, printed = (
        re.findall(r"^ *(model = .*|found = .*\))", text, re.MULTILINE) for text in (code, verb.loading(Path("student-model")))
    )
    assert [line.replace(str(Path.cwd()) + "/", "") for line in printed] == shown


def test_a_folder_with_files_and_a_missing_package_are_one_line(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("")
    with pytest.raises(ConfigError, match="is not an empty folder; name another one"):
        export(home, tmp_path / "model")
    monkeypatch.setattr(verb, "find_spec", lambda name: None if name == "mlflow" else name)
    with pytest.raises(ConfigError, match=r"mlflow is not installed: pip install 'detkds\[mlflow,onnx\]'$"):
        export(home, tmp_path / "other")
