"""`detkds evaluate`: results files and detectors, with and without faults."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from detkds.errors import ArtifactError, ConfigError, DatasetError, DetKDSError
from detkds.experiments.evaluate import Options, evaluate
from detkds.experiments.evaluation_inputs import EvaluationInput, evaluation_inputs
from detkds.pipeline.measurement import read

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "100"}
NANO = "yolox/yolox_nano_8xb8-300e_coco"


def detkds(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from detkds.cli import main; main()", "evaluate", *arguments]
    return subprocess.run(command, cwd=ROOT, env=CLEAN, capture_output=True, text=True, timeout=300)


def shown(annotations: Path, found: list[EvaluationInput], options: Options | None = None, **more: Any) -> str:
    text = io.StringIO()
    evaluate(annotations, found, options or Options(), Console(file=text, width=120, highlight=False), samples=100, **more)
    return text.getvalue()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Four images with one object each; a.json finds all, b.json half of them."""
    folder = tmp_path / "data"
    folder.mkdir()
    images, annotations, found = [], [], []
    for number in range(1, 5):
        Image.new("RGB", (60, 40)).save(folder / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 60, "height": 40})
        place = {"image_id": number, "category_id": 5, "bbox": [2, 2, 20, 20]}
        annotations.append({"id": number, **place, "area": 400, "iscrowd": 0})
        found.append({**place, "score": 0.9})
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 5, "name": "cell"}]}
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "a.json").write_text(json.dumps(found))
    (folder / "b.json").write_text(json.dumps(found[:2]))
    return folder


def test_two_results_files_are_compared(small: Path, tmp_path: Path) -> None:
    found = evaluation_inputs([str(small / "b.json"), f"all={small / 'a.json'}"], [], [])
    text = shown(small / "truth.json", found, Options(images=small), out=tmp_path / "out", per_class=True)
    lines = [line.split() for line in text.splitlines()]
    # b finds 2 of 4 with precision 1: 51 of 101 recall points, 50.5.
    assert lines[2][:2] == ["b", "50.5"]
    assert lines[3][:2] == ["all", "100.0"]
    assert ["cell", "50.5", "100.0", "4"] in lines
    assert "all against b, boxes AP: +49.5 points (95 %: " in text
    analysis, _ = read(tmp_path / "out")
    assert [(test.a, test.b) for test in analysis.comparisons if test.figure == "AP"] == [("all", "b")]
    assert [example.image_id for example in analysis.examples] == [3, 4]
    assert sorted(path.name for path in (tmp_path / "out" / "examples").iterdir()) == ["3.jpg", "4.jpg"]
    assert json.loads((tmp_path / "out" / "detections_b.json").read_text()) == json.loads((small / "b.json").read_text())


def test_pycocotools_known_figures(shared_data: Path) -> None:
    folder = shared_data / "cocoapi_results"
    files = [f"{kind}={folder / f'instances_val2014_fake{kind}100_results.json'}" for kind in ("bbox", "segm")]
    lines = [line.split() for line in shown(folder / "instances_val2014_100.json", evaluation_inputs(files, [], [])).splitlines()]
    boxes, masks = (next(place for place, line in enumerate(lines) if line[:2] == [kind, "100"]) for kind in ("boxes,", "masks,"))
    # columns: name, AP, interval, AP50, AP75
    assert [lines[boxes + 2][place] for place in (0, 1, 3, 4)] == ["bbox", "50.5", "69.7", "57.3"]
    assert [lines[masks + 2][place] for place in (0, 1, 3, 4)] == ["segm", "32.0", "56.2", "29.9"]


def test_a_coco_detector_on_coco_annotations(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "coco_ccby"
    found = evaluation_inputs([], [NANO], [f"nano={shared_data / 'yolox_nano' / 'yolox_nano_mmdet3.pth'}"])
    annotations = folder / "annotations" / "instances_val2017.json"
    text = shown(annotations, found, Options(images=folder / "val2017", device="cpu"), out=tmp_path / "out")
    assert "nano: 66/66 images" in text
    detector = read(tmp_path / "out")[0].detectors["nano"]
    figures = detector.kinds["bbox"].figures
    known = {"AP": 0.306, "AP50": 0.482, "AP75": 0.294, "APs": 0.085, "APm": 0.301, "APl": 0.562}
    assert {name: figures[name] for name in known} == pytest.approx(known, abs=6e-4)
    assert detector.cost is not None
    assert detector.cost.parameters == 912159
    assert detector.cost.input == (416, 416)
    # What was found is a results file, and gives the same figures.
    again = evaluation_inputs([f"nano={tmp_path / 'out' / 'detections_nano.json'}"], [], [])
    shown(annotations, again, out=tmp_path / "again")
    assert read(tmp_path / "again")[0].detectors["nano"].kinds["bbox"].figures == figures


def test_classes_may_stand_in_another_order(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "coco_ccby"
    truth = json.loads((folder / "annotations" / "instances_val2017.json").read_text())
    truth["categories"].reverse()
    truth["images"] = truth["images"][:4]
    kept = {image["id"] for image in truth["images"]}
    truth["annotations"] = [entry for entry in truth["annotations"] if entry["image_id"] in kept]
    scores = []
    for name in ("reversed", "straight"):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(truth))
        found = evaluation_inputs([], [NANO], [f"nano={shared_data / 'yolox_nano' / 'yolox_nano_mmdet3.pth'}"])
        shown(file, found, Options(images=folder / "val2017", device="cpu"), out=tmp_path / name)
        scores.append(read(tmp_path / name)[0].detectors["nano"].kinds["bbox"].figures["AP"])
        truth["categories"].reverse()
    assert scores[0] == scores[1] > 0.2


def test_other_classes_are_refused_by_name(shared_data: Path, small: Path) -> None:
    found = evaluation_inputs([], [NANO], [str(shared_data / "yolox_nano" / "yolox_nano_mmdet3.pth")])
    wanted = "yolox_nano_mmdet3.pth distinguishes 80 classes, the data set has 1; give weights trained on its 1"
    with pytest.raises(ConfigError, match=wanted):
        shown(small / "truth.json", found, Options(images=small))
    with pytest.raises(ConfigError, match="'yolox_nano_mmdet3' needs images, got none; give --images"):
        shown(small / "truth.json", found)


FAULTS: dict[str, tuple[str, type[DetKDSError], str]] = {
    "no file": ("", ArtifactError, "cannot be read"),
    "no json": ("[{", ArtifactError, "cannot be read"),
    "deep": ("[" * 100_000, ArtifactError, "cannot be read"),
    "a bomb": (f"[{'{},' * 2_000_000}{{}}]", ArtifactError, "must be a COCO results file, but has [0-9,]+ objects"),
    "an object": ('{"images": []}', ArtifactError, "must hold a list of detections, but holds dict"),
    "text inside": ('["text"]', ArtifactError, "detection 0 must be an object"),
    "another data set": (
        '[{"image_id": 1, "category_id": 5, "bbox": [1, 1, 2, 2], "score": 1}, {"image_id": 99, "category_id": 5}]',
        ArtifactError,
        "but 1 of 2 are not, first one of image 99;",
    ),
    "a list as id": ('[{"image_id": [], "category_id": 5}]', ArtifactError, r"1 of 1 are not, first one of image \[\]"),
    "ids in quotes": (
        '[{"image_id": "1", "category_id": 5, "bbox": [1, 1, 2, 2], "score": 1}]',
        ArtifactError,
        "image_id must be a number as in .*truth.json, but 1 of 1 are text, first '1'; write them without quotes",
    ),
    "another class": ('[{"image_id": 1, "category_id": 6, "bbox": [1, 1, 2, 2], "score": 1}]', ArtifactError, "category 6"),
    "nan": ('[{"image_id": 1, "category_id": 5, "bbox": [1, 1, NaN, 2], "score": 1}]', ArtifactError, "finite numbers"),
    "no box": ('[{"image_id": 1, "category_id": 5, "score": 1}]', ArtifactError, "must have bbox"),
    "broken mask": (
        '[{"image_id": 1, "category_id": 5, "score": 1, "segmentation": {"size": [40, 60], "counts": "ooooooo9"}}]',
        ArtifactError,
        "mask",
    ),
    "mask of another size": (
        '[{"image_id": 1, "category_id": 5, "score": 1, "segmentation": {"size": [400, 600], "counts": "11"}}]',
        ArtifactError,
        "of the image's size",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_results_file_is_one_line_with_its_name(small: Path, fault: str) -> None:
    content, kind, told = FAULTS[fault]
    if content:
        (small / "wrong.json").write_text(content)
    with pytest.raises(kind, match=told) as caught:
        shown(small / "truth.json", evaluation_inputs([str(small / "wrong.json")], [], []))
    assert str(small / "wrong.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_something_else_is_refused_before_anything_is_measured(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detkds.experiments.evaluate.conclude", lambda *args, **options: pytest.fail("measured"))
    with pytest.raises(ArtifactError, match="is not an artifact"):
        shown(small / "truth.json", evaluation_inputs([str(small / "a.json")], [], []), out=small)


def test_a_wrong_annotation_file_comes_first(small: Path) -> None:
    (small / "truth.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(DatasetError, match="images is empty"):
        shown(small / "truth.json", evaluation_inputs([str(small / "a.json")], [], []))


def test_names_and_configs() -> None:
    two = evaluation_inputs(["a=x/r.json", "y/s t?.json"], ["n=net"], ["n=w.pth"])
    assert two == [
        EvaluationInput("a", Path("x/r.json")),
        EvaluationInput("s t_", Path("y/s t?.json")),
        EvaluationInput("n", Path("w.pth"), "net"),
    ]
    one_config = evaluation_inputs([], ["net"], ["u.pth", "v.pth"])
    assert [(one.name, one.config) for one in one_config] == [("u", "net"), ("v", "net")]
    in_order = evaluation_inputs([], ["net", "other"], ["u.pth", "v.pth"])
    assert [one.config for one in in_order] == ["net", "other"]
    by_name = evaluation_inputs([], ["v=other", "u=net"], ["u=1.pth", "v=2.pth"])
    assert [one.config for one in by_name] == ["net", "other"]


@pytest.mark.parametrize(
    ("results", "configs", "checkpoints", "told"),
    [
        ([], [], [], "something to evaluate, got nothing"),
        ([], ["net"], [], "there is no --checkpoint, so it has no weights"),
        ([], [], ["w.pth"], "there is no --config"),
        (["r.json", "other/r.json"], [], [], "names must differ, but 2 are called 'r'"),
        (["../up=r.json"], [], [], "must be NAME=PATH with a name of at most 64"),
        (["a="], [], [], "must be NAME=PATH"),
        ([], ["a", "b"], ["1.pth", "2.pth", "3.pth"], "checkpoint '1' must have a config, but none of 2"),
        ([], ["a=net"], ["b=1.pth"], "checkpoint 'b' must have a config"),
    ],
)
def test_options_that_do_not_go_together(results: list[str], configs: list[str], checkpoints: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        evaluation_inputs(results, configs, checkpoints)


def test_on_the_command_line(small: Path) -> None:
    good = detkds(str(small / "truth.json"), "--results", str(small / "a.json"))
    assert (good.returncode, good.stderr) == (0, "")
    assert "boxes, 4 images" in good.stdout
    wrong = detkds(str(small / "truth.json"), "--results", str(small / "absent.json"))
    assert wrong.returncode == 65
    assert wrong.stderr.startswith("detkds: ")
    assert len(wrong.stderr.splitlines()) == 1
    assert detkds(str(small / "truth.json"), "--config", "net").returncode == 2
