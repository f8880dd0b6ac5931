"""Cases of what detectors see: classes, filters, pixels and sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from detkds.detectors.training.batches import Samples, Source
from detkds.errors import ConfigError
from detkds.evaluation.coco import evaluate
from detkds.pipeline import pair as pairs
from detkds.pipeline import run_config, teaching
from detkds.pipeline.addresses import student_address, teacher_address
from detkds.pipeline.evaluate import detections_of
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.train import classes_of

STUDENT = "common/demo_student.yaml"


def taught(cases: Path, teacher: str, checkpoint: Path, student: str, source: Source) -> teaching.Teaching:
    """The teacher on all images, in both ways."""
    return teaching.measure(Pair(str(cases / teacher), str(checkpoint), str(cases / student)), Schedule(1), source)


def base(cases: Path, part: str = "test") -> Source:
    return Source(cases / f"common/base/annotations/{part}.json", cases / "common/base" / part)


def without_names(checkpoint: Path, folder: Path) -> Path:
    """The weights alone."""
    path = folder / "no_names.pth"
    torch.save(torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"], path)
    return path


def test_case_28_a_teacher_that_normalises_in_its_pipeline_teaches_as_well(cases: Path) -> None:
    weights = cases / "common/teacher.pth"
    usual = taught(cases, "common/demo_teacher.yaml", weights, STUDENT, base(cases))
    old = taught(cases, "28/teacher_norm_in_pipeline.yaml", weights, STUDENT, base(cases))
    assert old.own == pytest.approx(usual.own, abs=0.002)
    assert old.taught == pytest.approx(usual.taught, abs=0.002)
    assert old.taught > 0.05


def test_case_28_the_other_way_round_a_student_that_normalises_in_its_pipeline(cases: Path) -> None:
    weights = cases / "common/teacher.pth"
    usual = taught(cases, "common/demo_teacher.yaml", weights, "common/demo_teacher.yaml", base(cases))
    old = taught(cases, "common/demo_teacher.yaml", weights, "28/teacher_norm_in_pipeline.yaml", base(cases))
    assert old.taught == pytest.approx(usual.taught, abs=0.002)


def test_case_26_a_teacher_of_another_image_size_is_refused_and_sees_its_own_with_a_scale(cases: Path, tmp_path: Path) -> None:
    config = run_config.load(cases / "26/run.yaml")
    weights, source = cases / "common/teacher.pth", base(cases)
    small = taught(cases, "common/demo_teacher.yaml", weights, "26/student_small.yaml", source)
    assert small.taught < small.own / 2
    assert small.scale == 2
    assert "it works at 160 x 128 pixels and is shown 80 x 64 (teacher.scale: 2 would show it its own size)" in teaching.described(small)
    scaled = config.teacher.model_copy(update={"scale": 2.0})
    address = teacher_address(scaled, tmp_path, trust=False)
    pair = Pair(address, str(weights), str(cases / "26/student_small.yaml"))
    assert teaching.measure(pair, Schedule(1), source).taught > 2 * small.taught


@pytest.mark.parametrize("names", ["in the checkpoint", "in the config", "nowhere"])
def test_case_16_categories_in_another_order_are_found_by_name(cases: Path, tmp_path: Path, names: str) -> None:
    data = Source(cases / "16/annotations/test.json", cases / "16/test")
    content = json.loads(data.annotations.read_text())
    order = ("disc", "square", "triangle", "cross")
    content["categories"].sort(key=lambda category: order.index(category["name"]))
    in_order = Source(tmp_path / "in_order.json", data.images)
    in_order.annotations.write_text(json.dumps(content))
    named, unnamed = cases / "common/teacher.pth", without_names(cases / "common/teacher.pth", tmp_path)
    right = taught(cases, "common/demo_teacher.yaml", unnamed, STUDENT, in_order)
    config = "16/teacher_names.yaml" if names == "in the config" else "common/demo_teacher.yaml"
    found = taught(cases, config, named if names == "in the checkpoint" else unnamed, STUDENT, data)
    figures = (found.own, found.taught)
    if names == "nowhere":  # the order of the file is all there is to go by
        assert figures != pytest.approx((right.own, right.taught), abs=1e-4)
    else:
        assert figures == pytest.approx((right.own, right.taught), abs=1e-6)


def test_case_17_weights_without_names_take_the_names_of_mmdets_own_config(cases: Path, shared_data: Path, tmp_path: Path) -> None:
    name, weights = "yolox/yolox_nano_8xb8-300e_coco", shared_data / "yolox_nano/yolox_nano_mmdet3.pth"
    figures = {}
    for order in ("run", "control"):
        data = run_config.load(cases / f"17/{order}.yaml").data
        source = Source(Path(data.root) / data.test.annotations, Path(data.root) / data.test.images)
        few = teaching.few(source, tmp_path / f"{order}.json")
        classes = pairs.classes_of_pair(Pair(name, str(weights), ""), classes_of(few))
        assert classes[:2] == ("person", "bicycle")
        samples = Samples(pairs.detector_config(name, classes, pretrained=True), few, training=False)
        detector = pairs.teacher(name, str(weights), classes)
        figures[order] = evaluate(few.annotations, detections_of(detector, samples, 8)).figures["AP"]
    assert figures["run"] == pytest.approx(figures["control"], abs=1e-6)
    assert figures["run"] > 0.2


def test_case_09_train_and_test_in_two_orders_give_one_figure(cases: Path) -> None:
    weights, config = cases / "common/teacher.pth", str(cases / "common/demo_teacher.yaml")
    files = {part: Source(cases / f"09/annotations/{part}.json", cases / "09" / part) for part in ("train", "test")}
    orders = {part: classes_of(source) for part, source in files.items()}
    assert orders["train"] != orders["test"]
    figures = []
    for listed in orders.values():  # the run takes its classes from the one or the other file, and reads the test images
        classes = pairs.classes_of_pair(Pair(config, str(weights), ""), listed)
        samples = Samples(pairs.detector_config(config, classes, pretrained=True), files["test"], training=False)
        found = detections_of(pairs.teacher(config, str(weights), classes), samples, 4)
        figures.append(evaluate(files["test"].annotations, found).figures["AP"])
    assert figures[0] == pytest.approx(figures[1], abs=1e-9)


def test_case_13_background_is_trained_on_where_the_config_says_so(cases: Path) -> None:
    source = Source(cases / "13/annotations/train.json", cases / "13/train")
    config = pairs.detector_config(str(cases / "13/student.yaml"), classes_of(source), pretrained=False)
    samples = Samples(config, source, training=True)
    assert len(samples) == samples.kept.images == 16


def test_case_14_small_images_are_trained_on_where_nothing_leaves_them_out(cases: Path) -> None:
    source = Source(cases / "14/annotations/train.json", cases / "14/train")
    config = pairs.detector_config(str(cases / STUDENT), classes_of(source), pretrained=False)
    assert len(Samples(config, source, training=True)) == 8


def test_a_run_that_asks_for_empty_images_trains_on_them(cases: Path, tmp_path: Path) -> None:
    text = (cases / "13/run.yaml").read_text().replace("root: .", f"root: {cases / '13'}").replace("../common", str(cases / "common"))
    student = tmp_path / "student.yaml"
    student.write_text((cases / "13/student.yaml").read_text().replace("filter_empty_gt: false", "filter_empty_gt: true"))
    source = Source(cases / "13/annotations/train.json", cases / "13/train")
    for line, images in (("", 8), ("  empty: share\n", 16)):
        path = tmp_path / "run.yaml"
        path.write_text(text.replace("search:\n", f"search:\n{line}"))
        address = student_address(run_config.load(path), tmp_path, trust=False)
        config = pairs.detector_config(address, classes_of(source), pretrained=False)
        assert len(Samples(config, source, training=True)) == images


def test_a_pair_of_two_orders_is_refused(cases: Path, tmp_path: Path) -> None:
    weights = torch.load(cases / "common/teacher.pth", map_location="cpu", weights_only=True)
    names = weights["meta"]["dataset_meta"]["classes"]
    weights["meta"]["dataset_meta"]["classes"] = names[::-1]
    torch.save(weights, tmp_path / "turned.pth")
    config, teacher = str(cases / "common/demo_teacher.yaml"), str(cases / "common/teacher.pth")
    with pytest.raises(ConfigError, match="list the same classes in different orders"):
        pairs.classes_of_pair(Pair(config, teacher, config, str(tmp_path / "turned.pth")), names)
    with pytest.raises(ConfigError, match=r"the classes of the student checkpoint .* must agree"):
        pairs.classes_of_pair(Pair("", "", config, str(tmp_path / "turned.pth")), (*names[:-1], "other"))
