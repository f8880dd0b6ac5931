"""Stage 1: what it publishes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detkds.data import Counting
from detkds.errors import DatasetError
from detkds.pipeline import subset as stage
from detkds.pipeline.settings import Source
from detkds.storage import verify

Coco = dict[str, Any]
Edit = Callable[[Coco, Path], None]


def images(path: Path) -> set[str]:
    return {image["file_name"] for image in json.loads(path.read_text())["images"]}


@pytest.fixture
def edited(source: Source, pictures: Path, tmp_path: Path) -> Callable[..., Source]:
    """A copy of the data set whose train or test annotations (and files) an edit has changed."""

    def edit(change: Edit, which: str = "train") -> Source:
        root = tmp_path / "edited"
        shutil.copytree(pictures, root)
        path = root / "annotations" / f"{which}.json"
        content = json.loads(path.read_text())
        change(content, root)
        path.write_text(json.dumps(content))
        return replace(source, root=str(root))

    return edit


def test_the_parts_are_disjoint_and_speak_of_the_same_folder(subset: Path, pictures: Path) -> None:
    parts = {name: stage.part(subset, name) for name in ("train", "search_train", "search_val", "test")}
    assert parts["search_train"].images == parts["train"].images == pictures / "train"
    assert parts["test"].images == pictures / "test"
    search_train, search_val, train = (images(parts[name].annotations) for name in ("search_train", "search_val", "train"))
    assert (len(search_train), len(search_val)) == (6, 6)
    assert not search_train & search_val
    assert search_train | search_val == train
    assert verify(subset, "subset").meta["images"] == {"train": 12, "search_train": 6, "search_val": 6, "test": 4}


def test_train_and_test_are_published_as_they_were(source: Source, subset: Path, pictures: Path) -> None:
    for name, path in (("train", source.train_annotations), ("test", source.test_annotations)):
        given, published = (json.loads(file.read_text()) for file in (pictures / path, stage.part(subset, name).annotations))
        assert json.dumps(published) == json.dumps(given)


def test_the_same_seed_gives_the_same_artifact(source: Source, subset: Path, tmp_path: Path) -> None:
    stage.run(source, fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "again")
    stage.run(source, fraction=0.5, val_fraction=0.5, seed=5, out=tmp_path / "other")
    assert verify(tmp_path / "again").digest == verify(subset).digest != verify(tmp_path / "other").digest


def test_nested_parts_are_published_when_asked_for(source: Source, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = stage.run(source, fraction=0.5, val_fraction=0.25, seed=0, out=out, nested=[0.25, 0.1])
    small, middle, large = (stage.part(out, name) for name in ("search_train_0.1", "search_train_0.25", "search_train"))
    assert images(small.annotations) < images(middle.annotations) < images(large.annotations)
    assert small.images == pictures / "train"
    assert (result.metadata["search_train_0.1"], result.metadata["search_train_0.25"]) == (1, 3)
    assert "| search-train-0.25 | 3 |" in result.markdown


def test_the_summary_tells_rules_closeness_and_what_was_compared(source: Source, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = stage.run(source, fraction=0.5, val_fraction=0.25, seed=0, out=out, counting=Counting(sizes="mask"))
    summary = json.loads((out / "summary.json").read_text())
    assert summary["counting"] == {"sizes": "mask", "crowd": "ignore", "empty": "share"}
    compared = {"compared_files": 16, "compared_by": "content", "in_train_and_test": 0}
    assert summary["content"] == {**compared, "repeated_train_images": [], "repeated_test_images": 0}
    part = summary["parts"]["search_val"]
    row = [part["criterion"], part["random"]["criterion"]], [part["chi2"], part["random"]["chi2"]]
    cells = " | ".join([*(f"{value:.3f}" for value in row[0]), *(f"{value:.2f}" for value in row[1])])
    assert f"| search-val | {cells} |" in result.markdown
    assert "random draws in the same time" in result.markdown
    assert "sizes by mask area" in result.markdown
    assert "16 image files compared by content" in result.markdown


def test_class_names_cannot_leave_their_cell(edited: Callable[..., Source], tmp_path: Path) -> None:
    def rename(content: Coco, root: Path) -> None:
        for path in (root / "annotations").glob("*.json"):
            other = json.loads(path.read_text())
            other["categories"][0]["name"] = "a|b<i>"
            path.write_text(json.dumps(other))
        content["categories"][0]["name"] = "a|b<i>"

    result = stage.run(edited(rename), fraction=0.5, val_fraction=0.25, seed=0, out=tmp_path / "out")
    assert "a|b" not in result.markdown
    assert r"a\|b\<i\>" in result.markdown


def test_a_test_set_of_training_images_is_refused(source: Source, tmp_path: Path) -> None:
    same = replace(source, test_annotations=source.train_annotations, test_images=source.train_images)
    with pytest.raises(DatasetError, match=r"data\.train and data\.test both name \S+; .* Name other images as data\.test"):
        stage.run(same, fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_training_image_in_the_test_set_under_another_name_is_refused(
    edited: Callable[..., Source], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def leak(content: Coco, root: Path) -> None:
        first = min(content["images"], key=lambda image: image["id"])["file_name"]
        shutil.copy(root / "train" / sorted(path.name for path in (root / "train").iterdir())[3], root / "test" / first)

    with pytest.raises(DatasetError, match=r"but 1 are in both, first test/\S+, which has the content of train/\S+; remove them from"):
        stage.run(edited(leak, "test"), fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out")
    assert "has the same content as train/" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_training_image_twice_is_drawn_at_most_once(edited: Callable[..., Source], tmp_path: Path) -> None:
    """All twelve are asked for; the eleven different ones are dealt."""
    ids: list[int] = []

    def repeat(content: Coco, root: Path) -> None:
        one, other = sorted(content["images"], key=lambda image: image["id"])[1:3]
        shutil.copy(root / "train" / one["file_name"], root / "train" / other["file_name"])
        ids.append(other["id"])

    result = stage.run(edited(repeat), fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out")
    parts = [json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("train", "search_train", "search_val")]
    assert [len(part["images"]) for part in parts] == [12, 5, 6]
    assert ids[0] not in {image["id"] for part in parts[1:] for image in part["images"]}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["content"]["repeated_train_images"] == ids
    assert "1 training images repeat another" in result.markdown


def test_an_annotation_outside_its_image_is_named_and_nothing_is_written(source: Source, pictures: Path, tmp_path: Path) -> None:
    content = json.loads((pictures / source.train_annotations).read_text())
    content["annotations"][0]["bbox"] = [60, 60, 30, 30]
    broken = pictures / "annotations" / "broken.json"
    broken.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=f"annotation {content['annotations'][0]['id']}"):
        stage.run(
            replace(source, train_annotations="annotations/broken.json"), fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_other_classes_in_the_test_set_are_refused(source: Source, pictures: Path, tmp_path: Path) -> None:
    content = json.loads((pictures / source.test_annotations).read_text())
    content["categories"][0]["name"] = "something else"
    (pictures / "annotations" / "renamed.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="must list the same classes, but disc, something else are in one"):
        stage.run(
            replace(source, test_annotations="annotations/renamed.json"), fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out"
        )


def test_what_is_wrong_with_both_files_is_told_at_once(source: Source, tmp_path: Path) -> None:
    """This is the first task of a run that looks at the data; a person corrects both in one go."""
    lost = replace(source, train_annotations="annotations/lost.json", test_annotations="annotations/gone.json")
    with pytest.raises(DatasetError) as refused:
        stage.run(lost, fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / "out")
    lines = str(refused.value).splitlines()
    assert len(lines) == 2
    assert "lost.json" in lines[0]
    assert "gone.json" in lines[1]
