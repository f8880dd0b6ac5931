"""Classes are matched by name: labels are the detector's, whatever the order of the file."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest
from mmengine.config import Config
from pictures import CLASSES, make_config, make_source

from detkds.detectors import adapt
from detkds.detectors.configs.classes import label_order
from detkds.detectors.training.batches import Samples, Source
from detkds.errors import ConfigError


def turned(source: Source) -> Source:
    """The same data with the categories listed the other way round."""
    content = json.loads(source.annotations.read_text())
    file = source.annotations.with_name("turned.json")
    file.write_text(json.dumps({**content, "categories": content["categories"][::-1]}))
    return Source(file, source.images)


def labels(samples: Samples) -> list[list[int]]:
    return [samples[0, index]["data_samples"].gt_instances.labels.tolist() for index in range(len(samples))]


def test_a_file_in_another_order_gives_the_same_labels(tmp_path: Path) -> None:
    source = make_source(tmp_path / "data")
    straight, other = (Samples(make_config(), one, training=True) for one in (source, turned(source)))
    assert labels(straight) == labels(other)
    assert straight.classes == other.classes == CLASSES
    assert straight.category_ids == other.category_ids == (7, 3)


def test_a_detector_of_another_order_gets_its_own_labels(tmp_path: Path) -> None:
    source = make_source(tmp_path / "data")
    samples = Samples(adapt(make_config(), CLASSES[::-1]).config, source, training=True)
    assert labels(samples) == [[1 - label for label in image] for image in labels(Samples(make_config(), source, training=True))]
    assert samples.category_ids == (3, 7)


def test_other_classes_than_the_file_are_refused(tmp_path: Path) -> None:
    config = adapt(make_config(), ("wide", "round")).config
    with pytest.raises(ConfigError, match=r"only the detector has round; only .* has tall"):
        Samples(config, make_source(tmp_path / "data"), training=True)


DATA = ("bird", "cat", "dog")


def named(*names: str, where: str = "test_dataloader", key: str = "classes") -> Config:
    dataset = {"type": "CocoDataset", "metainfo": {key: list(names)}} if names else {"type": "CocoDataset"}
    return Config({"model": {"type": "X", "bbox_head": {"num_classes": 3}}, where: {"dataset": dataset}})


@pytest.mark.parametrize("order", list(permutations(DATA)))
@pytest.mark.parametrize("where", ["test_dataloader", "val_dataloader", "train_dataloader"])
@pytest.mark.parametrize("key", ["classes", "CLASSES"])
def test_unnamed_weights_have_the_names_of_their_config(order: tuple[str, ...], where: str, key: str) -> None:
    assert label_order("it", None, named(*order, where=where, key=key), DATA, "data") == order


def test_names_in_the_checkpoint_come_before_those_of_the_config() -> None:
    assert label_order("it", ("dog", "bird", "cat"), named("cat", "dog", "bird"), DATA, "data") == ("dog", "bird", "cat")


def test_names_of_the_kind_of_data_set_count_where_they_are_the_datas() -> None:
    assert label_order("it", None, named(), DATA, "data") == DATA
    coco = Config({"model": {"bbox_head": {"num_classes": 80}}, "test_dataloader": {"dataset": {"type": "CocoDataset"}}})
    order = label_order("it", None, coco, tuple(f"kind {number}" for number in range(80)), "data")
    assert order[0] == "kind 0"  # weights of 80 other classes, which nobody names


def test_names_that_are_not_those_of_the_data_are_refused() -> None:
    names = ("bird", "cat", "cow")
    for stored, config in ((names, named()), (None, named(*names))):
        with pytest.raises(ConfigError, match="only it has cow; only the data has dog"):
            label_order("it", stored, config, DATA, "the data")


@pytest.mark.parametrize("names", [("bird", "cat"), (*DATA, "cow")])
def test_another_number_of_names_is_left_to_the_weights(names: tuple[str, ...]) -> None:
    for stored, config in ((names, named()), (None, named(*names))):
        assert label_order("it", stored, config, DATA, "the data") == DATA
