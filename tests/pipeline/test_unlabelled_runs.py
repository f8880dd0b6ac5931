"""A run with images without labels: what the subset stage publishes and refuses, and what each stage is told of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_run
from rich.console import Console
from tiny_run import written

from detkds.data.unlabelled import Unlabelled
from detkds.detectors import load_weights
from detkds.errors import ArtifactError, ConfigError, DatasetError, DetKDSError
from detkds.experiments.comparison import conclude
from detkds.experiments.named_recipes import named_recipes
from detkds.experiments.trainings import Entry, Trainings
from detkds.genome import Recipe
from detkds.objective import Goal
from detkds.pipeline import check, data_check, evolve, rank, run_config, train
from detkds.pipeline import subset as stage
from detkds.pipeline.addresses import unlabelled_use
from detkds.pipeline.form import Form
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.run import parameters
from detkds.pipeline.settings import Pair, Schedule, Source
from detkds.pipeline.values import Values
from detkds.storage import verify

RECIPE = Recipe.parse("global: none > none > none | l2 x 5")
USE = Unlabelled(0.5)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def mixed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set with a folder of 8 pictures of which no file says what is on them, 2 labelled ones among them, and a text."""
    root = tmp_path_factory.mktemp("mixed") / "data"
    shutil.copytree(pictures, root)
    bare = root / "bare"
    shutil.copytree(pictures / "teacher", bare / "inner")
    for number, picture in enumerate(sorted((root / "train").iterdir())[:2]):
        shutil.copy(picture, bare / f"renamed{number}{picture.suffix}")
    shutil.copy(next((pictures / "teacher").iterdir()), bare / "again.png")
    (bare / "readme.txt").write_text("pictures")
    (bare / ".hidden.png").write_text("")
    return root


@pytest.fixture(scope="module")
def whole(mixed: Path, source: Source) -> Source:
    return replace(source, root=str(mixed), unlabelled="bare")


@pytest.fixture(scope="module")
def drawn(whole: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(whole, tmp_path_factory.mktemp("subset") / "subset")


def draw(source: Source, out: Path, **how: Any) -> Path:
    stage.run(source, **{"fraction": 0.5, "val_fraction": 0.5, "seed": 0, **how}, out=out)
    return out


def names(subset: Path, part: str) -> list[str]:
    return [image["file_name"] for image in json.loads(stage.part(subset, part).annotations.read_text())["images"]]


def test_the_subset_stage_publishes_them_without_labelled_ones_and_draws_some_for_candidates(
    drawn: Path, mixed: Path, capsys: pytest.CaptureFixture[str], whole: Source, tmp_path: Path
) -> None:
    every, some = (names(drawn, part) for part in stage.UNLABELLED)
    assert len(every) == 8  # 11 pictures less 2 labelled ones and 1 that occurs twice
    assert len(some) == 4
    assert set(some) < set(every)
    assert not [name for name in every if name.startswith("renamed")]
    assert stage.part(drawn, "unlabelled").images == mixed / "bare"
    content = json.loads(stage.part(drawn, "unlabelled").annotations.read_text())
    assert content["annotations"] == []
    assert {(image["width"], image["height"]) for image in content["images"]} == {(64, 64)}
    capsys.readouterr()
    draw(whole, tmp_path / "again")
    said = capsys.readouterr().out
    assert "unlabelled: 8 images; left out: 2 labelled for training, 1 repeated, 1 not named like an image" in said
    assert verify(tmp_path / "again").digest == verify(drawn).digest


def test_the_labelled_parts_are_those_without_them(drawn: Path, whole: Source, tmp_path: Path) -> None:
    plain = draw(replace(whole, unlabelled=""), tmp_path / "plain")
    files, fewer = verify(drawn).files, verify(plain).files
    assert files.keys() - fewer.keys() == {"unlabelled.json", "search_unlabelled.json"}
    for part in ("train", "search_train", "search_val", "test"):
        assert files[f"{part}.json"] == fewer[f"{part}.json"]
    assert "roots" not in verify(plain).meta
    assert "unlabelled" not in json.loads((plain / "summary.json").read_text())


def copied_into(mixed: Path, root: Path, change: Callable[[Path], object]) -> Path:
    shutil.copytree(mixed, root)
    change(root)
    return root


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: shutil.copy(next((root / "test").iterdir()), root / "bare" / "x.png"), r"must not be test images, but 1 of bare are"),
        (lambda root: (root / "bare" / "zip.jpg").write_bytes(b"PK\x03\x04" + bytes(100)), r"'zip\.jpg': .*\[image\.unreadable\]"),
        (lambda root: (root / "bare" / "cut.png").write_bytes(next((root / "train").iterdir()).read_bytes()[:300]), r"'cut\.png': .*"),
        (lambda root: (root / "bare" / "out.png").symlink_to("/etc/hostname"), r"'out\.png': .*leads out of the image folder"),
        (lambda root: (shutil.rmtree(root / "bare"), (root / "bare").mkdir()), r"bare holds no image"),
        (
            lambda root: (shutil.rmtree(root / "bare"), shutil.copytree(root / "train", root / "bare")),
            r"all 12 images of bare are labelled",
        ),
    ],
    ids=["a test image", "a zip", "cut off", "a link", "none", "labelled ones alone"],
)
def test_what_labelled_images_may_not_be_is_refused(
    mixed: Path, whole: Source, tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    root = copied_into(mixed, tmp_path / "data", change)
    with pytest.raises(DatasetError, match=said) as found:
        draw(replace(whole, root=str(root)), tmp_path / "out")
    assert len(str(found.value).splitlines()) == 1


def test_an_absolute_folder_and_the_folder_of_the_labelled_images_will_do(mixed: Path, whole: Source, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(mixed / "bare", elsewhere)
    absolute = draw(replace(whole, unlabelled=str(elsewhere)), tmp_path / "absolute")
    assert stage.part(absolute, "unlabelled").images == elsewhere
    assert len(names(absolute, "unlabelled")) == 8
    content = json.loads((mixed / whole.train_annotations).read_text())
    few = {image["id"] for image in content["images"][:4]}
    content["images"] = content["images"][:4]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] in few]
    (mixed / "annotations" / "few.json").write_text(json.dumps(content))
    same = replace(whole, train_annotations="annotations/few.json", unlabelled="train")
    assert len(names(draw(same, tmp_path / "same"), "unlabelled")) == 8  # of 12 pictures 4 are labelled


def test_from_a_store_they_are_the_same_wherever_they_lie(
    mixed: Path, whole: Source, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detkds.storage import open_store
    from detkds.storage.push import push
    from detkds.storage.set_files import set_files

    monkeypatch.setenv("DETKDS_S3_FOLDER", str(tmp_path / "store"))
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path / "home"))
    for name, folder in (("whole", mixed), ("own", mixed / "bare")):
        store = open_store(f"s3://sets/{name}")
        store.ensure_bucket()
        push(folder, set_files(folder), store, lambda meter, tenth: None)
    stored = replace(whole, root="s3://sets/whole")
    for number, images in enumerate(("bare", "s3://sets/whole/bare", "s3://sets/own")):
        out = draw(replace(stored, unlabelled=images), tmp_path / str(number))
        assert names(out, "unlabelled") == names(drawn, "unlabelled")
        folder = stage.part(out, "search_unlabelled").images
        assert all((folder / name).is_file() for name in names(out, "search_unlabelled"))
    out = draw(replace(whole, unlabelled="s3://sets/own"), tmp_path / "between")  # labelled ones in a folder
    assert names(out, "unlabelled") == names(drawn, "unlabelled")


def test_a_training_and_a_candidate_use_them(
    pair: Pair, schedule: Schedule, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, using = (replace(schedule, unlabelled=use) for use in (None, USE))
    for name, how in (("plain", plain), ("using", using), ("again", using)):
        train.run(pair, how, RECIPE, subset=drawn, out=tmp_path / name)
    said = capsys.readouterr().out
    assert "[train distilled] the losses of global are taken of 8 unlabelled images too, 2 beside 2 labelled ones per step" in said
    first, second, third = (load_weights(tmp_path / name / train.CHECKPOINT) for name in ("plain", "using", "again"))
    assert all((second[name] == third[name]).all() for name in second)
    assert any((first[name] != second[name]).any() for name in first)
    without, with_them = (Proxy(pair, how, drawn, early_stop=False) for how in (plain, using))
    assert without.identify(RECIPE) != with_them.identify(RECIPE)
    assert with_them.identity["unlabelled"]["images"] == 4
    assert without(RECIPE, Goal()).details["loss"] != with_them(RECIPE, Goal()).details["loss"]


def test_a_recipe_that_uses_none_of_them_says_so(
    pair: Pair, schedule: Schedule, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use = Unlabelled(knowledge="logits")
    train.run(pair, replace(schedule, unlabelled=use), RECIPE, subset=drawn, out=tmp_path / "model")
    assert "no loss of this recipe is taken of the 8 unlabelled images (data.unlabelled.knowledge)" in capsys.readouterr().out


def test_a_subset_that_was_drawn_without_them_is_refused(pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="has no unlabelled images; run the subset stage again"):
        train.run(pair, replace(schedule, unlabelled=USE), RECIPE, subset=subset, out=tmp_path / "model")


def test_a_comparison_has_a_recipe_with_and_without_them(pair: Pair, schedule: Schedule, drawn: Path) -> None:
    made = Trainings(pair, replace(schedule, unlabelled=USE), drawn)
    texts = ["none", "mine=global: none > none > none | l2 x 5", "fewer=global: none > none > none | l2 x 5 without unlabelled"]
    named = named_recipes(texts, "paper", lambda name: RECIPE)
    assert [(one.name, one.unlabelled) for one in named] == [("none", True), ("mine", True), ("fewer", False)]
    entries = [Entry(one.name, one.recipe, 0, True, one.unlabelled) for one in named]
    assert len({entry.id for entry in entries}) == 3
    trials = made.run(entries, show=lambda line: None)
    losses = [load_weights(made._place(entry) / "model" / train.CHECKPOINT) for entry in entries]
    assert any((losses[1][name] != losses[2][name]).any() for name in losses[1])
    assert [row.name for row in conclude("tiny", made, entries, trials).rows] == ["none", "mine", "fewer"]
    plain = Trainings(pair, schedule, drawn)
    plain.run([Entry("fewer", RECIPE, 0, True)], show=lambda line: None)
    same = load_weights(plain._place(Entry("fewer", RECIPE, 0, True)) / "model" / train.CHECKPOINT)
    assert all((same[name] == losses[2][name]).all() for name in same)  # byte for byte that of a run without such images


def test_names_of_recipes_without_them() -> None:
    (found,) = named_recipes(["pkd x 20 without unlabelled"], "paper", lambda name: RECIPE)
    assert (found.name, found.unlabelled) == ("pkd x 20 without unlabelled", False)


def content(mixed: Path, pair: Pair, **unlabelled: Any) -> dict[str, Any]:
    content = tiny_run.content(mixed, pair, train={"epochs": 1})
    content["data"]["unlabelled"] = {"images": "bare", **unlabelled}
    return content


def test_what_run_yaml_says_reaches_every_stage_here_and_on_a_cluster(mixed: Path, pair: Pair, tmp_path: Path) -> None:
    how = {"share": 0.25, "schedule": "ramp", "min_score": 0.4, "knowledge": ["global", "logits"]}
    config = run_config.load(written(tmp_path / "run.yaml", content(mixed, pair, **how)))
    use = Unlabelled(0.25, "ramp", 0.4, "global,logits")
    assert unlabelled_use(config) == use
    values = Values.read(parameters(config, "teacher", "s3://detkds/t.pth", "student", "s3://detkds/runs", version="1"))
    assert values.source.unlabelled == "bare"
    assert values.proxy.unlabelled == values.training.unlabelled == use
    sent = json.loads(json.dumps(Form.of(values).parameters()), parse_int=float)  # KFP's structures know no whole numbers
    sent |= {"epochs": int(sent["epochs"]), "gpus": int(sent["gpus"])}
    again = Form(**sent).values()
    assert again == values
    told = {name: Values.read(again.of_stage(name)) for name in ("subset", "evolve", "weights", "train")}
    assert told["subset"].source.unlabelled == "bare"
    assert told["evolve"].proxy.unlabelled == told["weights"].proxy.unlabelled == told["train"].training.unlabelled == use
    job = rank.Job(values.pair, values.training, RECIPE, "")
    assert rank.Job.loads(job.dumps(), "job.json") == job


def test_the_search_may_choose_which_losses_use_them(mixed: Path, pair: Pair, tmp_path: Path) -> None:
    told = {}
    for chooses in (False, True):
        config = run_config.load(written(tmp_path / "run.yaml", content(mixed, pair, search=chooses)))
        values = Values.read(parameters(config, "teacher", "s3://detkds/t.pth", "student", "s3://detkds/runs", version="1"))
        sent = json.loads(json.dumps(Form.of(values).parameters()), parse_int=float)  # KFP's structures know no whole numbers
        sent |= {"epochs": int(sent["epochs"]), "gpus": int(sent["gpus"])}
        told[chooses] = Values.read(Form(**sent).values().of_stage("evolve")).search_plan
    assert [plan.unlabelled_search for plan in told.values()] == [False, True]
    assert told[True].identity == {**told[False].identity, "unlabelled_search": True}
    assert [evolve.space_of(plan).labelled for plan in told.values()] == [(False,), (False, True)]


def test_without_them_nothing_is_told(mixed: Path, pair: Pair, tmp_path: Path) -> None:
    plain = content(mixed, pair)
    del plain["data"]["unlabelled"]
    config = run_config.load(written(tmp_path / "run.yaml", plain))
    values = Values.read(parameters(config, "teacher", "s3://detkds/t.pth", "student", "s3://detkds/runs", version="1"))
    assert (values.source.unlabelled, values.training.unlabelled, values.proxy.unlabelled) == ("", None, None)
    assert "unlabelled" not in json.dumps(Form.of(values).parameters())
    assert "unlabelled" not in values.training.to_json()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"share": 1.0}, r"data\.unlabelled\.share: .*0\.95"),
        ({"min_score": 0}, r"data\.unlabelled\.min_score: "),
        ({"schedule": "late"}, r"data\.unlabelled\.schedule: .*'constant' or 'ramp'"),
        ({"knowledge": ["logits"]}, r"data\.unlabelled\.knowledge must name at least one of search\.knowledge, which has global"),
        ({"images": "nowhere"}, r"nowhere does not exist"),
        ({"search": True, "knowledge": ["global"]}, r"with `search: true` the search chooses which losses use these images, so leave"),
        ({"shar": 0.5}, r"did you mean share\?"),
    ],
)
def test_faults_are_said_in_one_line_with_their_place(mixed: Path, pair: Pair, tmp_path: Path, how: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        run_config.load(written(tmp_path / "run.yaml", content(mixed, pair, **how)))
    assert len(str(found.value).splitlines()) == 1


def test_check_says_how_many_are_used_and_refuses_what_the_run_would(mixed: Path, pair: Pair, tmp_path: Path) -> None:
    path = written(tmp_path / "run.yaml", content(mixed, pair))
    console = Console(record=True, width=200)
    found = check.check(path, trust=False, console=console, home=tmp_path / "home", timed=False)
    text = console.export_text()
    assert "unlabelled: 8 images; left out: 2 labelled for training" in text
    assert "8 unlabelled images beside 8 labelled ones per step, for the losses of global, fgbg, instance, logits, localization" in text
    assert found["unlabelled"] == {"images": 8, "labelled": 2, "repeated": 1, "others": 1}
    logits = written(tmp_path / "logits.yaml", content(mixed, pair, knowledge=["global"]))
    with pytest.raises(ConfigError, match=r"data\.unlabelled\.knowledge has none of the recipe's losses \(logits\)"):
        check.check(logits, trust=False, console=QUIET, home=tmp_path / "home", timed=False, recipe="logits: none | l2 x 1")
    root = copied_into(mixed, tmp_path / "data", lambda at: (at / "bare" / "zip.jpg").write_bytes(b"PK\x03\x04"))
    broken = written(tmp_path / "broken.yaml", content(root, pair))
    with pytest.raises(DetKDSError, match=r"zip\.jpg.*image\.unreadable"):
        check.check(broken, trust=False, console=QUIET, home=tmp_path / "home", timed=False)


def test_data_check_of_a_run_looks_at_them_too(mixed: Path, pair: Pair, tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    how: dict[str, Any] = {"images": None, "options": data_check.Options(), "report": None, "fix": None, "console": console}
    assert data_check.data_check(written(tmp_path / "run.yaml", content(mixed, pair)), **how)
    assert "8 images; left out: 2 labelled for training, 1 repeated, 1 not named like an image" in console.export_text()
    root = copied_into(mixed, tmp_path / "data", lambda at: (at / "bare" / "zip.jpg").write_bytes(b"PK\x03\x04"))
    answers: list[str] = []
    assert not data_check.data_check(written(tmp_path / "broken.yaml", content(root, pair)), **how, answer=answers.append)
    assert "'zip.jpg'" in console.export_text()
    assert json.loads(answers[0])["usable"] is False
