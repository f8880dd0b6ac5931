"""`detkds pairs`: the table, one pair, a name that is none."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from detkds.cli import app
from detkds.cli.print_pairs import describe_pair, list_pairs
from detkds.errors import ConfigError
from detkds.pairs import PAIRS


def printed(call: object, *arguments: object) -> str:
    console = Console(file=io.StringIO(), width=80)
    call(*arguments, console)  # type: ignore[operator]
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_every_pair_has_a_line() -> None:
    lines = printed(list_pairs).splitlines()
    for pair in PAIRS:
        (line,) = (line for line in lines if line.split()[:1] == [pair.name])
        assert pair.table in line
        assert ("all five" in line) == (not pair.unsupported)
    assert max(map(len, lines)) <= 80


def test_one_pair_in_full() -> None:
    text = printed(describe_pair, "retinanet-r34-x101")
    assert "  student       retinanet/retinanet_r18_fpn_1x_coco\n                model.backbone.depth: 34\n" in text
    assert "weights: mmdet publishes none for it; train it first" in text
    assert "in the paper  14" in text
    assert text.count("yes") == 5
    assert "logits        a cascade student" in printed(describe_pair, "cascade-rcnn-r50-x101")


def test_the_command() -> None:
    result = CliRunner().invoke(app, ["pairs", "rtmdet-s-l"])
    assert result.exit_code == 0
    assert "student       rtmdet/rtmdet_s_8xb32-300e_coco" in result.stdout
    with pytest.raises(ConfigError, match="did you mean rtmdet-s-l"):
        CliRunner().invoke(app, ["pairs", "rtmdet-s"], catch_exceptions=False)
