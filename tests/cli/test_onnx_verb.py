"""`detkds onnx` and the page about deployment: what is written works, and what cannot be is one line."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console
from small_student import CLASSES, write_student

from detkds.detectors import adapt, build_detector, load_config, save_student
from detkds.detectors.checkpoints import read_checkpoint
from detkds.detectors.configs.data_config import freeze
from detkds.detectors.export.parity import Parity
from detkds.errors import ArtifactError, ConfigError, DatasetError, DetKDSError
from detkds.pipeline import export_onnx as verb

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `detkds pull` brings it: a RetinaNet of two levels that sees something else in every cell."""
    folder = tmp_path_factory.mktemp("pulled") / "student"
    write_student(folder)
    return folder


def export(student: Path, out: Path | None = None, **options: Any) -> str:
    said = io.StringIO()
    verb.export_student(student, out, Console(file=said, width=200), **options)
    return said.getvalue()


def test_a_student_is_exported_and_the_page_tells_how_to_use_its_files(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "student").symlink_to(student)
    cv2.imwrite("image.jpg", np.random.default_rng(0).integers(0, 256, (48, 60, 3), dtype=np.uint8))
    said = export(Path("student"), images=tmp_path)
    assert said.startswith("student.onnx  ")
    # 16 x 16 and 8 x 8 cells, 9 anchors each
    assert "images ['batch', 3, 64, 64], boxes ['batch', 2880, 4], scores ['batch', 2880, 2]" in said
    assert re.search(r"agrees with mmdet: 1 images, [0-9]+ detections compared, boxes within \S+ pixels, scores within \S+\n", said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.jpg", "student", "student.onnx"]
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    stock, plain, runtime, _mlflow = blocks
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="palette does not exist")
        exec(stock, names)
    exec(plain, names)
    assert all(
        a.equal(b)
        for a, b in zip(names["detector"].state_dict().values(), read_checkpoint(student / "student.pth").weights.values(), strict=True)
    )
    capsys.readouterr()
    exec(runtime, names)
    lines = [line.split() for line in capsys.readouterr().out.replace("[", " ").replace("]", " ").splitlines()]
    theirs = names["found"]
    assert len(lines) >= len(theirs) == 100
    for (name, *numbers), box, score, label in zip(
        lines, theirs.bboxes.tolist(), theirs.scores.tolist(), theirs.labels.tolist(), strict=False
    ):
        assert name == CLASSES[label]
        assert [float(number) for number in numbers] == pytest.approx([score, *box], abs=1e-3)


def test_a_file_that_disagrees_is_not_left(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "_require_packages", lambda: None)
    monkeypatch.setattr(verb, "export", lambda detector, letterbox, path, **options: path.write_bytes(b"graph"))
    monkeypatch.setattr(verb.OnnxDetector, "load", lambda path: None)
    monkeypatch.setattr(verb, "compare", lambda *args: Parity(4, 160, 3, 0.0, 0.0))
    with pytest.raises(DetKDSError, match="in 4 images 3 of 160 detections have no counterpart"):
        export(student, tmp_path / "out" / "s.onnx")
    assert list((tmp_path / "out").iterdir()) == []


def test_faults_are_one_line(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "_require_packages", lambda: None)
    out = tmp_path / "s.onnx"
    cases: list[tuple[type[DetKDSError], str, Path, dict[str, Any]]] = [
        (ConfigError, "--size must be HEIGHTxWIDTH in pixels, such as 480x640, got '64'", student, {"size": "64"}),
        (ConfigError, "multiples of 32, got 65x64", student, {"size": "65x64"}),
        (ConfigError, "has its own config", student, {"config": "yolox_nano_8xb8-300e_coco"}),
        (ConfigError, "needs its config, got none", student / "student.pth", {}),
        (ArtifactError, "blood-cells does not exist; give a folder of detkds pull, or a checkpoint", Path("blood-cells"), {}),
        (ArtifactError, "fetch it first: detkds pull blood-cells", Path("blood-cells"), {}),
        (ConfigError, "need their images, got none", student, {"annotations": tmp_path / "a.json"}),
        (ArtifactError, "does not exist", tmp_path / "absent.pth", {"config": "yolox_nano_8xb8-300e_coco"}),
        (ConfigError, "cannot be read", tmp_path, {}),
    ]
    for kind, told, place, options in cases:
        with pytest.raises(kind, match=re.escape(told)):
            export(place, out, **options)
    with pytest.raises(ConfigError, match="takes no more files"):
        export(student, student / "s.onnx")
    monkeypatch.setattr(verb, "export", lambda detector, letterbox, path, **options: None)
    monkeypatch.setattr(verb.OnnxDetector, "load", lambda path: None)
    (tmp_path / "text").mkdir()
    with pytest.raises(DatasetError, match="must hold images to check on"):
        export(student, out, images=tmp_path / "text")
    (tmp_path / "text" / "a.png").write_text("no image")
    with pytest.raises(DatasetError, match=r"a\.png cannot be read as an image"):
        export(student, out, images=tmp_path / "text")
    assert not out.exists()


def test_a_two_stage_detector_is_refused_on_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    config = adapt(load_config("faster_rcnn/faster-rcnn_r50_fpn_1x_coco", trust=False), CLASSES).config
    config.model.backbone.update(depth=18, base_channels=2)
    config.model.neck.update(in_channels=[2, 4, 8, 16], out_channels=4)
    config.model.rpn_head.update(in_channels=4, feat_channels=4)
    config.model.roi_head.bbox_roi_extractor.out_channels = 4
    config.model.roi_head.bbox_head.update(in_channels=4, fc_out_channels=4)
    save_student(build_detector(config, seed=0), tmp_path / "student.pth", classes=CLASSES)
    (tmp_path / "student.json").write_text(freeze(config))
    command = [sys.executable, "-c", "from detkds.cli import main; main()", "onnx", str(tmp_path), "--out", str(tmp_path / "s.onnx")]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("detkds: ONNX is for dense heads (")
    assert "but FasterRCNN has two stages" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "find_spec", lambda name: None if name == "onnxscript" else json)
    with pytest.raises(ConfigError, match=r"but onnxscript is not installed: pip install 'detkds\[onnx\]'$"):
        verb.export_student(Path("student"), None, Console())
