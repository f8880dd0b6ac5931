"""What `run` refuses before its first training step, `check` refuses, and in the same words."""

from __future__ import annotations

import copy
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_run
import torch
import yaml
from rich.console import Console

from detkds.cli import main
from detkds.data.synthetic import generate
from detkds.errors import ConfigError, DetKDSError
from detkds.pipeline import cost
from detkds.pipeline import run as run_module
from detkds.pipeline.check import check
from detkds.pipeline.settings import Pair
from detkds.processes import VISIBLE

CONFIGS = Path(__file__).resolve().parents[2] / "examples" / "configs"
QUIET = Console(quiet=True)
Change = Callable[[dict[str, Any], Path], None]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    generate(folder / "data", teacher_images=2, train=8, test=4, size=(64, 64))
    for role in ("teacher", "student"):
        shutil.copy(CONFIGS / f"demo_{role}.yaml", folder)
    return folder


def executed(path: Path, home: Path) -> None:
    with run_module.Run.open(path, home=home, console=QUIET) as run:
        run.execute()


def good(world: Path, pair: Pair) -> dict[str, Any]:
    content = tiny_run.content(world / "data", pair, train={"epochs": 1})
    content["teacher"]["config"] = str(world / "demo_teacher.yaml")
    content["student"] = {"config": str(world / "demo_student.yaml")}
    return content


def student(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Another student's config."""

    def changed(content: dict[str, Any], folder: Path) -> None:
        config = yaml.safe_load(Path(content["student"]["config"]).read_text())
        change(config)
        path = folder / "student.yaml"
        path.write_text(yaml.safe_dump(config))
        content["student"]["config"] = str(path)

    return changed


def setting(place: str, value: Any) -> Change:
    def changed(content: dict[str, Any], folder: Path) -> None:
        section, _, key = place.partition(".")
        content.setdefault(section, {})[key] = value

    return changed


def train_set(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Other training annotations."""

    def changed(content: dict[str, Any], folder: Path) -> None:
        root = Path(content["data"]["root"])
        data = json.loads((root / "annotations/train.json").read_text())
        change(data)
        name = f"annotations/{folder.name}.json"
        (root / name).write_text(json.dumps(data))
        content["data"]["train"] = {"annotations": name, "images": "train"}

    return changed


def checkpoint_of_more_classes(content: dict[str, Any], folder: Path) -> None:
    weights = torch.load(content["teacher"]["checkpoint"], map_location="cpu", weights_only=True)["state_dict"]
    for name in ("bbox_head.retina_cls.weight", "bbox_head.retina_cls.bias"):
        weights[name] = weights[name].repeat(2, *[1] * (weights[name].dim() - 1))
    torch.save(weights, folder / "eight.pth")
    content["student"] = {"config": content["teacher"]["config"], "checkpoint": str(folder / "eight.pth")}


def same_test_set(content: dict[str, Any], folder: Path) -> None:
    content["data"]["test"] = content["data"]["train"]


def old_config(config: dict[str, Any]) -> None:
    del config["train_dataloader"], config["optim_wrapper"]
    config.update(data={"samples_per_gpu": 2}, optimizer={"type": "SGD"}, total_epochs=12)


WRONG: dict[str, tuple[Change, str]] = {
    "several nodes": (setting("train.nodes", 2), "train.nodes is 2"),
    "a teacher of another class count": (checkpoint_of_more_classes, "distinguishes 8 classes"),
    "a config of mmdet 2": (student(old_config), "is one of mmdet 2"),
    "no optimizer": (student(lambda config: config.pop("optim_wrapper")), "must have an optim_wrapper"),
    "no length of the schedule": (student(lambda config: config.pop("train_cfg")), "must say how long its schedule is"),
    "a step that does not exist": (
        student(lambda config: config["train_dataloader"]["dataset"]["pipeline"].insert(3, {"type": "Rezise"})),
        "Rezise",
    ),
    "a filter that leaves nothing": (
        student(lambda config: config["train_dataloader"]["dataset"].update(filter_cfg={"min_size": 65})),
        "leaves no image to use",
    ),
    "a part that does not exist": (student(lambda config: config["model"]["backbone"].update(type="ResNot")), "ResNot"),
    "strides too far apart": (
        lambda content, folder: content["teacher"].update(scale=0.25) or content["search"].update(knowledge=["logits"]),
        "shown images 0.25 times as large",
    ),
    "train and test share images": (same_test_set, r"data\.train and data\.test both name"),
    "other classes in the test set": (train_set(lambda data: data["categories"][0].update(name="other")), "must list the same classes"),
    "too few images": (train_set(lambda data: data.update(annotations=data["annotations"][:1])), "a subset needs at least 2 images"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_check_refuses_what_run_refuses(world: Path, pair: Pair, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = copy.deepcopy(good(world, pair))
    change, words = WRONG[wrong]
    change(content, tmp_path)
    path = tiny_run.written(tmp_path / "run.yaml", content)
    monkeypatch.setattr(run_module, "ensure_bucket", lambda *_: pytest.fail("the run started"))
    said = []
    for refused in (
        lambda: check(path, trust=False, console=QUIET, home=tmp_path / "home"),
        lambda: executed(path, tmp_path / "home"),
    ):
        with pytest.raises(DetKDSError, match=words) as caught:
            refused()
        said.append((str(caught.value), caught.value.exit_code))
    assert said[0] == said[1]
    assert not (tmp_path / "home" / "teachers").exists()


@pytest.mark.parametrize(
    ("recipe", "words"), [("pdk", "pdk"), ("pkd x ten", "pkd x ten|ten"), ("global: none > none | l9 x 1", "l9|slots|none")]
)
def test_a_recipe_that_cannot_be_read(world: Path, pair: Pair, tmp_path: Path, recipe: str, words: str) -> None:
    path = tiny_run.written(tmp_path / "run.yaml", good(world, pair))
    with pytest.raises(ConfigError, match=words):
        check(path, trust=False, console=QUIET, home=tmp_path / "home", recipe=recipe)


@pytest.mark.parametrize(("package", "algorithm"), [("kfp", "evolution"), ("optuna", "tpe")])
def test_a_missing_package(world: Path, pair: Pair, tmp_path: Path, package: str, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = good(world, pair)
    content["search"]["algorithm"] = algorithm
    path = tiny_run.written(tmp_path / "run.yaml", content)
    find = importlib.util.find_spec
    monkeypatch.setattr("detkds.pipeline.preflight.place.find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(ConfigError, match=f"the package {package} is not installed"):
        check(path, trust=False, console=QUIET, home=tmp_path / "home")


def test_a_home_that_cannot_be_written(world: Path, pair: Pair, tmp_path: Path) -> None:
    path = tiny_run.written(tmp_path / "run.yaml", good(world, pair))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        check(path, trust=False, console=QUIET, home=tmp_path / "file" / "home")


def test_a_good_run_tells_minutes_disk_and_what_is_trained_on(world: Path, pair: Pair, tmp_path: Path) -> None:
    path = tiny_run.written(tmp_path / "run.yaml", good(world, pair))
    console = Console(file=io.StringIO(), width=200)
    found = check(path, trust=False, console=console, home=tmp_path / "home")
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a candidate is trained for at most 1 step on 4 images: too few to tell losses apart; raise search.proxy_epochs" in printed
    assert printed.index("timing a few training steps") < printed.index("by its own pipeline") < printed.index("s a training step")
    assert found["trained_on"]["images"] == 8
    assert found["studies"] == {"evolve global": 2, "weights": 51}
    assert found["pace"]["student_s"] > 0
    assert found["pace"]["disk_gb"] > 0.1
    assert found["teacher"]["images"] == 4
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(found, default=str))


def test_what_a_run_here_does_instead_is_said_by_check_and_by_run(world: Path, pair: Pair, tmp_path: Path) -> None:
    content = good(world, pair)
    content["resources"], content["train"]["amp"] = {"gpus": 99}, "bf16"
    path = tiny_run.written(tmp_path / "run.yaml", content)
    told = Console(file=io.StringIO(), width=200)
    check(path, trust=False, console=told, home=tmp_path / "home", timed=False)
    with run_module.Run.open(path, home=tmp_path / "home", console=told) as run:
        run.look(whole=True)
    printed = told.file.getvalue()  # type: ignore[attr-defined]  # io.StringIO
    assert printed.count("resources.gpus is 99, and this machine has ") == 2
    assert printed.count("train.amp is bf16, and this machine has no GPU: a run here trains in float32") == 2 * (
        not torch.cuda.is_available()
    )
    assert "good" in printed


def test_check_measures_on_the_gpus_of_the_run(world: Path, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = good(world, pair)
    content["resources"] = {"gpus": 0}
    path = tiny_run.written(tmp_path / "run.yaml", content)
    monkeypatch.setenv(VISIBLE, "0,1")
    seen: list[str] = []
    measure = cost.measure

    def watch(*args: Any) -> Any:
        seen.append(os.environ[VISIBLE])
        return measure(*args)

    monkeypatch.setattr(cost, "measure", watch)
    check(path, trust=False, console=QUIET, home=tmp_path / "home")
    assert seen == [""]
    assert os.environ[VISIBLE] == "0,1"


def test_a_student_of_another_number_of_classes_is_refused(world: Path, pair: Pair, tmp_path: Path) -> None:
    content = good(world, pair)
    head = yaml.safe_load(Path(content["student"]["config"]).read_text())["model"]["bbox_head"]
    content["student"]["options"] = {"model.bbox_head": {**head, "num_classes": 9}}
    path = tiny_run.written(tmp_path / "run.yaml", content)
    with pytest.raises(ConfigError, match=r"student\.options: model\.bbox_head\.num_classes is 9, but the data set has 4 classes"):
        check(path, trust=False, console=QUIET, home=tmp_path / "home")


def test_a_misspelt_option_is_refused(world: Path, pair: Pair, tmp_path: Path) -> None:
    content = good(world, pair)
    content["student"]["options"] = {"train_dataloader.batchsize": 2}
    path = tiny_run.written(tmp_path / "run.yaml", content)
    with pytest.raises(
        ConfigError, match=r"student: .*, options: .* no key train_dataloader\.batchsize: did you mean train_dataloader\.batch_size"
    ):
        check(path, trust=False, console=QUIET, home=tmp_path / "home")


@pytest.mark.parametrize("budget", ["0.001 min", "60 min"])
def test_a_time_for_the_search_is_planned_by_the_pace_or_refused(world: Path, pair: Pair, tmp_path: Path, budget: str) -> None:
    content = good(world, pair)
    content["search"] = {"knowledge": ["global"], "budget": budget, "subset": 0.5, "search_val": 0.5}
    path = tiny_run.written(tmp_path / "run.yaml", content)
    if budget == "60 min":
        found = check(path, trust=False, console=QUIET, home=tmp_path / "home")
        assert 0 < found["pace"]["search_min"] < 80
    else:
        with pytest.raises(ConfigError, match=r"search\.budget: 0\.001 min, at .* s a training 0 trainings, is less than the least search"):
            check(path, trust=False, console=QUIET, home=tmp_path / "home")


def test_a_teacher_below_the_floor_is_refused(world: Path, pair: Pair, tmp_path: Path) -> None:
    content = good(world, pair)
    del content["teacher"]["min_ap"]
    path = tiny_run.written(tmp_path / "run.yaml", content)
    with pytest.raises(ConfigError, match=r"the teacher must reach AP 1\.0 as it teaches .* teacher\.min_ap: 0 trains all the same"):
        check(path, trust=False, console=QUIET, home=tmp_path / "home")


def test_a_learning_rate_that_explodes_is_named(world: Path, pair: Pair, tmp_path: Path) -> None:
    content = good(world, pair)
    content["train"] = {"epochs": 6, "learning_rate": 1e12}
    path = tiny_run.written(tmp_path / "run.yaml", content)
    with pytest.raises(ConfigError, match=r"lower train\.learning_rate, which is 1e\+12 \(0\.002 in the student's config\)"):
        check(path, trust=False, console=QUIET, home=tmp_path / "home")


def test_what_lies_in_a_store_that_is_not_at_hand_is_named_in_verdict_json_and_exit_code(
    world: Path, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    content = good(world, pair)
    content["data"]["root"], content["teacher"]["checkpoint"] = "s3://far/data", "s3://far/teacher.pth"
    path = tiny_run.written(tmp_path / "run.yaml", content)
    monkeypatch.setattr(sys, "argv", ["detkds", "check", str(path), "--json", "--home", str(tmp_path / "home")])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code == 75
    assert json.loads(said.out)["not_looked_at"] == ["s3://far/data", "s3://far/teacher.pth"]
    assert "run.yaml: good, except for what was not looked at: s3://far/data, s3://far/teacher.pth; set DETKDS_S3_ENDPOINT" in said.err


def test_a_checkpoint_that_the_store_does_not_have_is_refused(world: Path, pair: Pair, tmp_path: Path) -> None:
    content = good(world, pair)
    content["teacher"]["checkpoint"] = "s3://near/models/teacher.pth"
    path, bucket = tmp_path / "run.yaml", tmp_path / "home" / "store" / "near"
    tiny_run.written(path, content)
    bucket.mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"teacher\.checkpoint: s3://near/models/teacher\.pth is not in the store"):
        check(path, trust=False, console=QUIET, home=tmp_path / "home", timed=False)
    (bucket / "models").mkdir()
    shutil.copy(pair.teacher_checkpoint, bucket / "models" / "teacher.pth")
    assert check(path, trust=False, console=QUIET, home=tmp_path / "home", timed=False)["not_looked_at"] == []


def test_check_says_what_it_does_before_it_loads_what_takes_seconds(world: Path, pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(good(world, pair)))
    code = (
        "import sys\nfrom pathlib import Path\nfrom rich.console import Console\nfrom detkds.pipeline.check import check\n"
        "class First(Console):\n"
        "    def print(self, text, **how):\n"
        "        print(text)\n"
        "        sys.exit(', '.join({'torch', 'mmdet', 'scipy', 'mmengine'} & set(sys.modules)) or 0)\n"
        f"check(Path({str(path)!r}), trust=False, console=First(), home=Path({str(tmp_path / 'home')!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{path}: looking at data, detectors and losses\n", "")


def test_with_json_that_line_stands_beside_the_answer(
    world: Path, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(good(world, pair)))
    monkeypatch.setattr(sys, "argv", ["detkds", "check", str(path), "--not-timed", "--json", "--home", str(tmp_path / "home")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    said = capsys.readouterr()
    assert json.loads(said.out)["run"] == "tiny"
    assert said.err.startswith(f"{path}: looking at data, detectors and losses\n")
