"""run.yaml: defaults, paths, and every fault at once in one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from detkds.errors import ConfigError
from detkds.genome import Knowledge
from detkds.pipeline.form import Form
from detkds.pipeline.run import parameters
from detkds.pipeline.run_config import load
from detkds.pipeline.values import Values

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def minimal() -> dict[str, Any]:
    split = {"annotations": "a.json", "images": "images"}
    return {
        "name": "mine",
        "data": {"root": "s3://bucket/data", "train": dict(split), "test": dict(split)},
        "teacher": {"config": "retinanet/retinanet_r101_fpn_1x_coco", "checkpoint": "s3://bucket/teacher.pth"},
        "student": {"config": "retinanet/retinanet_r50_fpn_1x_coco"},
    }


def write(folder: Path, content: object) -> Path:
    path = folder / "run.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def faults(folder: Path, content: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, content))
    return str(caught.value).splitlines()


def test_what_is_left_out_has_the_papers_values(tmp_path: Path) -> None:
    config = load(write(tmp_path, minimal()))
    search = config.search
    assert (search.population, search.iterations, search.sample_ratio, search.top_k) == (20, 20, 0.9, 5)
    assert search.weights.iterations == 40
    assert search.knowledge == tuple(Knowledge)
    assert config.train.epochs == 24


def test_all_faults_come_at_once_with_their_place(tmp_path: Path) -> None:
    content = minimal()
    content["serach"] = {}
    content["search"] = {"populaton": 3, "proxy_epochs": 0}
    content["train"] = {"epochs": "many"}
    del content["student"]
    lines = faults(tmp_path, content)
    assert len(lines) == 5
    text = "\n".join(lines)
    assert "serach: unknown key 'serach': did you mean search?" in text
    assert "search.populaton: unknown key 'populaton': did you mean population?" in text
    assert "search.proxy_epochs: must be greater than or equal to 1, but got 0" in text
    assert "train.epochs: " in text
    assert "but got 'many'" in text
    assert "student: is required" in text
    assert all(str(tmp_path / "run.yaml") in line for line in lines)


@pytest.mark.parametrize(
    ("section", "content", "words"),
    [
        ("train", {"epochs": "two"}, "train.epochs: must be a whole number, but got 'two'"),
        ("train", {"epochs": 2.5}, "train.epochs: must be a whole number, but got 2.5"),
        ("search", {"subset": "50 %"}, "search.subset: must be a number, but got '50 %'"),
        ("search", {"subset": None}, "search.subset: has no value; give one, or leave the key out"),
        ("search", {"early_stop": "maybe"}, "search.early_stop: must be true or false, but got 'maybe'"),
        ("teacher", "t.yaml", "teacher: must be a section with keys of its own, such as `key: value`, but got 't.yaml'"),
        ("data", None, "data.root: is required"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_plain_words(tmp_path: Path, section: str, content: object, words: str) -> None:
    assert f"{tmp_path / 'run.yaml'}: {words}" in faults(tmp_path, minimal() | {section: content})


def test_a_section_whose_keys_are_commented_out_is_left_out(tmp_path: Path) -> None:
    content = minimal()
    content["teacher"]["train"] = None
    content["data"]["unlabelled"] = None
    assert load(write(tmp_path, content | {"search": None, "train": None})) == load(write(tmp_path, minimal()))


def test_a_rule_over_two_keys_names_both_values(tmp_path: Path) -> None:
    content = minimal() | {"search": {"population": 3, "top_k": 4}}
    assert faults(tmp_path, content) == [f"{tmp_path / 'run.yaml'}: search: `top_k <= population` must hold, but got top_k=4, population=3"]


def test_the_subsets_must_fit_into_the_training_images(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, minimal() | {"search": {"subset": 0.8, "search_val": 0.3}})
    assert "`subset + search_val <= 1` must hold, but got 0.8 + 0.3" in line


@pytest.mark.parametrize("teacher", [{}, {"checkpoint": "s3://b/t.pth", "train": {"epochs": 1}}])
def test_a_teacher_has_a_checkpoint_or_a_training(tmp_path: Path, teacher: dict[str, Any]) -> None:
    content = minimal()
    content["teacher"] = {"config": "x", **teacher}
    (line,) = faults(tmp_path, content)
    assert "teacher: give exactly one of `checkpoint`" in line


def test_a_share_where_points_are_meant_is_refused(tmp_path: Path) -> None:
    content = minimal()
    content["teacher"]["min_ap"] = 0.3
    (line,) = faults(tmp_path, content)
    assert "teacher.min_ap: `min_ap` is in points of AP, 0 to 100: write 30 for an AP of 0.3, or 0 for no check" in line


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    content = minimal()
    content["data"]["root"] = "data"
    content["teacher"]["checkpoint"] = "teacher.pth"
    (line,) = faults(tmp_path, content)
    for name in ("data/a.json", "data/images", "teacher.pth"):
        assert f"{tmp_path / name} does not exist" in line


def test_paths_are_read_from_the_files_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    (data / "a.json").write_text("{}")
    (tmp_path / "student.yaml").write_text("model: {}")
    content = minimal()
    content["data"]["root"] = "data"
    content["student"]["config"] = "student.yaml"
    config = load(write(tmp_path, content))
    assert config.data.root == str(data)
    assert config.student.config == str(tmp_path / "student.yaml")
    assert config.teacher.config == "retinanet/retinanet_r101_fpn_1x_coco"


def test_an_unknown_preset_is_met_with_the_nearest(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, minimal() | {"search": {"warm_start": ["pdk"]}})
    assert "unknown preset 'pdk': did you mean pkd?" in line


def test_warm_starts_are_presets_with_or_without_a_factor(tmp_path: Path) -> None:
    content = minimal() | {"search": {"warm_start": ["pkd", "cwd x 20"]}}
    assert load(write(tmp_path, content)).search.warm_start == ("pkd", "cwd x 20")
    (line,) = faults(tmp_path, minimal() | {"search": {"warm_start": ["pkd", "cwd x twenty"]}})
    assert "search.warm_start: 'twenty' is not a weight in 'cwd x twenty'" in line
    (line,) = faults(tmp_path, minimal() | {"search": {"warm_start": ["pdk x 20"]}})
    assert "did you mean pkd?" in line


@pytest.mark.parametrize("text", ["a: [", "- 1", ""])
def test_what_is_no_mapping_is_one_line(tmp_path: Path, text: str) -> None:
    (line,) = faults(tmp_path, text)
    assert line.startswith(str(tmp_path / "run.yaml"))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read \(No such file"):
        load(tmp_path / "none.yaml")


def test_the_example_of_the_guide_is_good(tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "docs" / "run-yaml.md").read_text().split("```yaml\n")[1].split("```")[0]
    data = tmp_path / "data" / "blood-cells"
    for folder in (data / "train", data / "val", data / "annotations", tmp_path / "weights"):
        folder.mkdir(parents=True)
    for path in (data / "annotations" / "train.json", data / "annotations" / "val.json", tmp_path / "weights" / "teacher.pth"):
        path.touch()
    assert load(write(tmp_path, text)).search.budget == "quick"


@pytest.mark.parametrize("name", ["demo.yaml", "coco.yaml"])
def test_examples_in_the_store_are_good(name: str) -> None:
    assert load(EXAMPLES / name).name


def test_the_blood_cell_example_is_good(shared_data: Path) -> None:
    assert Path(load(EXAMPLES / "bccd.yaml").data.root) == (shared_data / "bccd").resolve()


def test_a_pair_names_both_configs_and_the_file_the_rest(tmp_path: Path) -> None:
    content = minimal() | {"pair": "retinanet-r34-x101"}
    for role in ("teacher", "student"):
        del content[role]["config"]
    content["student"]["options"] = {"model.bbox_head.stacked_convs": 2}
    config = load(write(tmp_path, content))
    assert config.teacher.config == "retinanet/retinanet_x101-64x4d_fpn_ms-640-800-3x_coco"
    assert config.student.config == "retinanet/retinanet_r18_fpn_1x_coco"
    assert config.student.options == {"model.backbone.depth": 34, "model.bbox_head.stacked_convs": 2}
    assert load(write(tmp_path, content), pair="gfl-r50-r101").student.config == "gfl/gfl_r50_fpn_1x_coco"


def test_a_pair_beside_a_config_is_one_too_many(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, minimal() | {"pair": "gfl-r50-r101"})
    assert line.endswith("teacher.config: the pair gfl-r50-r101 names it already; leave out one of the two")
    (line,) = faults(tmp_path, minimal() | {"pair": "gfl-r50-r10"})
    assert "did you mean gfl-r50-r101?" in line


def test_a_budget_plans_what_algorithm_1s_numbers_say(tmp_path: Path) -> None:
    search = {"knowledge": ["global", "fgbg", "logits"], "budget": "60 trainings", "final_race": {"known": ["pkd"]}}
    found = load(write(tmp_path, {**minimal(), "search": search})).search.planned()
    assert (found.population, found.iterations, found.top_k) == (3, 3, 1)
    assert (found.weights.population, found.weights.iterations) == (5, 5)
    assert (found.final_race.candidates, found.final_race.seeds, found.final_race.known) == (2, 2, ("pkd",))
    assert found.planned() == found


def test_a_budget_beside_algorithm_1s_numbers_is_refused(tmp_path: Path) -> None:
    search = {"budget": "60 trainings", "population": 5, "final_race": {"seeds": 2}}
    (line,) = faults(tmp_path, {**minimal(), "search": search})
    assert line.endswith("search: `budget` plans population, final_race.seeds; leave out one of the two")


def test_a_budget_that_cannot_be_paid_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, {**minimal(), "search": {"budget": "10 trainings"}})
    assert "less than the least search of 5 knowledges, 38 trainings" in line
    (line,) = faults(tmp_path, {**minimal(), "search": {"budget": "soon"}})
    assert "'soon' is not a budget; write one of: 60 trainings, 30 min" in line


def test_a_time_is_planned_where_the_search_runs_and_nowhere_else(tmp_path: Path) -> None:
    config = load(write(tmp_path, {**minimal(), "search": {"budget": "1 h"}}))
    assert config.search.planned(36.0).population == 3  # 100 trainings of five knowledges: 29 for the race, 14 for weights, 11 each
    with pytest.raises(ConfigError, match="how long a training takes is known where it runs; give trainings instead"):
        parameters(config, "teacher", "", "student", "s3://detkds/runs", version="1")


@pytest.mark.parametrize(("given", "amp"), [(True, True), (False, False), ("true", True), ("bf16", "bf16"), ("fp16", "fp16")])
def test_mixed_precision_reaches_the_training_as_it_was_written(tmp_path: Path, given: Any, amp: Any) -> None:
    config = load(write(tmp_path, minimal() | {"train": {"amp": given, "channels_last": True, "compiled": True}}))
    values = Values.read(parameters(config, "teacher", "s3://b/t.pth", "student", "s3://b/runs", version=""))
    full, proxy = values.training, values.proxy
    assert (full.amp, full.channels_last, full.compiled) == (amp, True, True)
    assert (proxy.amp, proxy.channels_last, proxy.compiled) == (amp, True, False)  # a candidate is too short to be compiled
    assert Form.of(values).values() == values


def test_a_precision_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, minimal() | {"train": {"amp": "fp8"}})
    assert line.endswith("train.amp: must be true, false, bf16 or fp16, but got 'fp8'")
