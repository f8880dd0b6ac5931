"""A run.yaml that is not YAML is refused with the line at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.errors import ConfigError
from detkds.pipeline import run_config

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
