"""A run.yaml with something changed, drawn over the whole typed model: what `run` refuses before it trains, `check` refuses."""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_run
import torch
import yaml
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from rich.console import Console

from detkds.detectors.training import loop
from detkds.errors import DetKDSError, ExitCode
from detkds.pipeline import proxy, stage, teaching
from detkds.pipeline.check import check
from detkds.pipeline.form import Form
from detkds.pipeline.kubeflow import plans
from detkds.pipeline.recipes import parse_recipe
from detkds.pipeline.run import Run
from detkds.pipeline.run_config import RunConfig
from detkds.pipeline.settings import Pair
from detkds.pipeline.values import Values

QUIET = Console(quiet=True)
LEFT_OUT = {
    "teacher.train": "training a teacher is a first step itself",
    "search.budget": "a time is measured by training",
    "train.compiled": "whether it is refused depends on the compiler of this machine",
    "store.work": "another place to work, which a run on one machine does not have",
}
"""Places that are not drawn, and why."""
VALUES: dict[Any, list[Any]] = {
    bool: [True, False, "maybe"],
    int: [-1, 0, 1, 2, 9, 50, "many", 1.5],
    float: [-1, 0, 0.01, 0.25, 0.5, 1, 4, 1e9, "half"],
    str: ["", "none", "no such thing", "-", "annotations/train.json", "annotations/test.json", "train", "test", "s3://b/x", "pvc://c/x", 3],
    tuple: [[], ["pkd"], ["pkd x 20", "no such"], ["global"], ["localization", "global"], "global"],
    dict: [{}, {"model.backbone.depth": 18}, {"model.bbox_head.num_classes": 3}, {"model.no_such": 1}, {"train_cfg.max_epochs": 0}, "x"],
}
"""What a field of a type is given, right and wrong."""


class Begun(BaseException):
    """The first training step."""


def leaves(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Every field of the typed model that holds a value, with what it may be given."""
    for name, field in model.model_fields.items():
        here = f"{place}.{name}".lstrip(".")
        if here in LEFT_OUT:
            continue
        kinds = parts(field.annotation)
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        for kind in inner:
            yield from leaves(kind, here)
        if not inner:
            yield here, [value for kind in kinds for value in (VALUES.get(kind) or [*typing.get_args(kind), "no such word"])]


def parts(annotation: Any) -> list[Any]:
    """The kinds that an annotation allows: those of a union, and what is below `Annotated`."""
    origin = typing.get_origin(annotation)
    if origin in (types.UnionType, typing.Union):
        return [part for each in typing.get_args(annotation) if each is not type(None) for part in parts(each)]
    if origin is typing.Annotated:
        return parts(typing.get_args(annotation)[0])
    return [origin if origin in (tuple, dict) else annotation]


PLACES = {
    **dict(leaves(RunConfig)),
    "teacher.config": ["TEACHER", "STUDENT", "OLD", "TEXT", "missing.yaml", "retinanet_r18_fpn_1x_coco", "no_such_config", "self"],
    "student.config": ["TEACHER", "STUDENT", "OLD", "TEXT", "missing.yaml", "yolox_nano_8xb8-300e_coco", "no_such_config", "self"],
    "teacher.checkpoint": ["TEXT", "EIGHT", "missing.pth", ""],
    "student.checkpoint": ["WEIGHTS", "TEXT", "EIGHT", "missing.pth", ""],
    "pair": ["no such pair", "retinanet-r18-r50", 3],
    "recipe": ["pkd x 20", "pdk", "pkd x ten", "global: none > none > none | l2 x 1", "logits: none | kl x 1", "global: l9", "none", "-"],
    "plugins": [["no_such_module"], ["./file.py"], "x"],
}
"""Every place of a run.yaml with what it is given; words in capitals are files, see `files`. `recipe` is the option of the command line."""


def changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    content = copy.deepcopy(content)
    for place, value in changes.items():
        *sections, key = place.split(".")
        target: Any = content
        for section in sections:
            target = target.setdefault(section, {})
        target[key] = value
    return content


def begun(path: Path, home: Path, recipe: str) -> None:
    """`run` up to its first training step: what it does itself, then its tasks one by one."""
    with Run.open(path, home=home, console=QUIET) as run:
        run.look(recipe, whole=True)
        plans.run(Form.of(Values.read(run.values)), recipe=recipe)
        if recipe:
            stage.train_with(run.values, parse_recipe(recipe, run.config.search.semantics), subset=run.subset, out=home / "model")
        for knowledge in run.config.search.knowledge:
            stage.evolve(run.values, str(knowledge), subset=run.subset, out=home / f"study-{knowledge}")


@pytest.fixture(scope="module")
def good(pictures: Path, pair: Pair) -> dict[str, Any]:
    return tiny_run.content(pictures, pair, train={"epochs": 1})


@pytest.fixture(scope="module")
def files(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The word of each file, and its path: both configs, one of mmdet 2, weights, those of a head of more classes, and no config at all."""
    folder = tmp_path_factory.mktemp("files")
    old = yaml.safe_load(Path(pair.student_config).read_text())
    del old["train_dataloader"], old["optim_wrapper"]
    (folder / "old.yaml").write_text(yaml.safe_dump({**old, "data": {}, "optimizer": {"type": "SGD"}, "total_epochs": 12}))
    (folder / "text.yaml").write_text("just a text\n")
    weights = torch.load(pair.teacher_checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    for name in ("bbox_head.retina_cls.weight", "bbox_head.retina_cls.bias"):
        weights[name] = weights[name].repeat(2, *[1] * (weights[name].dim() - 1))
    torch.save({"state_dict": weights}, folder / "eight.pth")
    made = {"OLD": folder / "old.yaml", "TEXT": folder / "text.yaml", "EIGHT": folder / "eight.pth"}
    given = {"TEACHER": pair.teacher_config, "STUDENT": pair.student_config, "WEIGHTS": pair.teacher_checkpoint}
    return {**given, **{word: str(path) for word, path in made.items()}}


@pytest.fixture(autouse=True)
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_step(*_: Any, **__: Any) -> None:
        raise Begun

    for name in ("DETKDS_S3_ENDPOINT", "DETKDS_S3_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(proxy.Proxy, "__call__", first_step)
    monkeypatch.setattr(proxy.Proxy, "together", first_step, raising=False)
    monkeypatch.setattr(loop.Training, "run", first_step)
    monkeypatch.setattr(teaching, "require_teaching", lambda *_: None)  # `check` measures it as well, when it is not told to be quick


def test_every_section_of_the_model_is_drawn() -> None:
    assert {place.split(".")[0] for place in PLACES} >= {name for name in RunConfig.model_fields if name not in LEFT_OUT}
    assert "search.final_race.seeds" in PLACES
    assert "data.train.images" in PLACES
    assert "released" in PLACES["search.semantics"]


drawn = st.dictionaries(st.sampled_from(sorted(PLACES)), st.integers(0, 99), min_size=1, max_size=2)


@settings(max_examples=24, derandomize=True, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(choices=drawn)
def test_what_run_refuses_check_refuses(
    choices: dict[str, int], good: dict[str, Any], files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    changes = {place: PLACES[place][number % len(PLACES[place])] for place, number in choices.items()}
    changes = {place: files.get(value, value) if isinstance(value, str) else value for place, value in changes.items()}
    note(str(changes))
    recipe = changes.pop("recipe", "")
    folder = tmp_path_factory.mktemp("drawn")
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(changed(good, changes)))
    refusal, found = None, {}
    try:
        found = check(path, trust=False, console=QUIET, home=folder / "home", timed=False, recipe=recipe)
    except DetKDSError as error:
        refusal = error
    if refusal is not None:
        assert refusal.exit_code in (ExitCode.USAGE, ExitCode.DATA)
        assert all(line.strip() and "Traceback" not in line for line in str(refusal).splitlines()), "one line for each fault"
        return
    if found["not_looked_at"]:
        return
    with pytest.raises(Begun):  # any refusal of ours here is one that `check` did not find
        begun(path, folder / "home", recipe)
