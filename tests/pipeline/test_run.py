"""What a run on this machine takes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.console import Console

from detkds.errors import ConfigError
from detkds.pipeline.run import VISIBLE, launch, use_gpus

RUN = """
name: blood
data:
  root: s3://detkds/blood
  train: {annotations: train.json}
  test: {annotations: val.json}
teacher: {config: retinanet_r101_fpn_1x_coco, checkpoint: s3://detkds/models/teacher.pth}
student: {config: retinanet_r50_fpn_1x_coco}
train: {nodes: 2}
"""


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [(None, 2, "0,1"), ("3,5,7", 2, "3,5"), ("3", 2, "3"), ("", 2, ""), (None, 0, ""), ("GPU-a,GPU-b", 1, "GPU-a")],
)
def test_a_run_sees_as_many_gpus_as_it_is_given(before: str | None, count: int, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, before or "")
    if before is None:
        monkeypatch.delenv(VISIBLE)
    use_gpus(count)
    assert os.environ[VISIBLE] == after


def test_several_nodes_are_refused_on_one_machine(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    with pytest.raises(ConfigError, match=r"train\.nodes is 2, but this is one machine; set it to 1, or use detkds submit"):
        launch(path, home=tmp_path, trust=False, console=Console())
