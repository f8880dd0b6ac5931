"""A run.yaml, a detector's config or a data.yaml that is not YAML is refused with the line at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.data.convert import converted
from detkds.detectors.configs.data_config import read_config
from detkds.errors import ConfigError, DatasetError
from detkds.pipeline import run_config
from detkds.yaml_reading import read_yaml

TEXTS = {
    b"name: x\ndata:\n\troot: a\n": "line 3, column 1: a tab; YAML indents with spaces only",
    b"name: x\ndata: {root: a\n": "line 3, column 1: expected ',' or '}', but got '<stream end>'",
    b"name: x\n  data: a\n": "line 2, column 7: mapping values are not allowed here",
    b"train: {epochs: 2}\nname: x\ntrain: {epochs: 3}\n": "line 3, column 1: the key 'train' is in line 1 already; leave out one",
    b"search:\n  top_k: 2\n  top_k: 3\n": "line 3, column 3: the key 'top_k' is in line 2 already; leave out one",
    b"name: 'x\n": "line 2, column 1: found unexpected end of stream",
    b"name: x\xff\n": "byte 7 is 0xff; save the file as UTF-8",
    b"name: x\x07\n": r"character 7 is '\x07'; take it out",
}


@pytest.mark.parametrize("text", TEXTS)
def test_the_line_at_fault_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "run.yaml").write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        run_config.load(tmp_path / "run.yaml")
    assert str(caught.value) == f"{tmp_path}/run.yaml: is not YAML: {TEXTS[text]}"


def test_a_key_twice_is_named_in_a_detectors_config_and_a_data_yaml(tmp_path: Path) -> None:
    config, data = tmp_path / "student.yaml", tmp_path / "data.yaml"
    config.write_text("model:\n  type: RetinaNet\n  type: FCOS\n")
    data.write_text("names: [cat]\ntrain: a\ntrain: b\n")
    with pytest.raises(ConfigError) as refused:
        read_config(str(config))
    assert str(refused.value) == f"the config {config} is not YAML: line 3, column 3: the key 'type' is in line 2 already; leave out one"
    with pytest.raises(DatasetError) as caught:
        converted(tmp_path, "yolo")
    assert str(caught.value) == f"{data} is not YAML: line 3, column 1: the key 'train' is in line 2 already; leave out one"


def test_several_mappings_may_be_merged_into_one() -> None:
    text = "a: &a {x: 1}\nb: &b {y: 2}\nc:\n  <<: *a\n  <<: *b\n  z: 3\n"
    assert read_yaml(text)["c"] == {"x": 1, "y": 2, "z": 3}


def test_a_number_and_a_text_of_the_same_digits_are_two_keys() -> None:
    assert read_yaml('1: a\n"1": b\n') == {1: "a", "1": "b"}
