"""What a task without torch reads of a checkpoint, held against what torch reads; and that nothing in the file is run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging.history_buffer import HistoryBuffer

from detkds.detectors.checkpoints import read_checkpoint
from detkds.errors import ArtifactError
from detkds.pipeline.checkpoint_shapes import describe

STATE = OrderedDict(
    {
        "backbone.conv.weight": torch.zeros(4, 3, 3, 3),
        "backbone.steps": torch.tensor(7),
        "bbox_head.retina_cls.weight": torch.zeros(9 * 3, 4, 3, 3, dtype=torch.float16),
        "bbox_head.retina_reg.weight": torch.nn.Parameter(torch.zeros(9 * 4, 4, 3, 3)),
    }
)


def of_runner() -> dict[str, Any]:
    """A checkpoint as mmengine's runner writes it: with its log, numpy's numbers and the optimizer."""
    log = HistoryBuffer()
    log.update(np.float64(0.5))
    meta = {"dataset_meta": {"classes": ("a", "b", "c")}, "epoch": 12, "seed": np.int64(3)}
    hub = {"log_scalars": {"loss": log}, "runtime_info": {"mean": np.ones(3)}}
    return {"meta": meta, "state_dict": STATE, "message_hub": hub, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}}


CONTENTS = {
    "state alone": dict(STATE),
    "of a runner": of_runner(),
    "of parallel training": {f"module.{name}": tensor for name, tensor in STATE.items()},
    "of mmdet 2 with EMA": {
        "meta": {"CLASSES": ["a", "b", "c"]},
        "state_dict": {**STATE, **{f"ema_{name.replace('.', '_')}": tensor for name, tensor in STATE.items()}},
    },
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", CONTENTS)
def test_names_shapes_and_classes_are_those_that_torch_reads(tmp_path: Path, name: str, zipped: bool) -> None:
    torch.save(CONTENTS[name], tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found, read = describe(tmp_path / "a.pth"), read_checkpoint(tmp_path / "a.pth")
    assert found.shapes == {name: tuple(tensor.shape) for name, tensor in read.weights.items()}
    assert found.classes == read.classes
    assert found.is_whole


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch EXECUTED",)


WRONG = {
    "nothing": (b"", "it is empty"),
    "a page of HTML": (b"<html>404</html>", "damaged or of another format"),
    "a ZIP of something else": (None, "not one of torch.save"),
    "another pickle": (pickle.dumps({"a": 1}), "it is not a file of torch.save"),
    "code": (pickle.dumps(Evil()), "posix.system, which is code or unknown"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_checkpoint_is_named_and_not_run(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, words = WRONG[name]
    if data is None:
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            archive.writestr("readme.txt", "hello")
    else:
        (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(ArtifactError, match=words):
        describe(tmp_path / "a.pth")
    assert not (tmp_path / "EXECUTED").exists()


def test_code_inside_the_file_of_torch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": dict(STATE), "hook": Evil()}, tmp_path / "a.pth")
    with pytest.raises(ArtifactError, match=r"names posix\.system"):
        describe(tmp_path / "a.pth")
    assert not (tmp_path / "EXECUTED").exists()


def test_what_holds_no_tensors_is_refused_in_the_words_of_the_stages(tmp_path: Path) -> None:
    for content in ({"state_dict": {}}, {"model": {"a": 1}}, ["a"]):
        torch.save(content, tmp_path / "a.pth")
        said = []
        for read in (describe, read_checkpoint):
            with pytest.raises(ArtifactError) as error:
                read(tmp_path / "a.pth")
            said.append(str(error.value))
        assert said[0] == said[1]


_WRITTEN = io.BytesIO()
torch.save(of_runner(), _WRITTEN)
_LEGACY = io.BytesIO()
torch.save(of_runner(), _LEGACY, _use_new_zipfile_serialization=False)


@given(st.sampled_from([_WRITTEN.getvalue(), _LEGACY.getvalue()]), st.data())
def test_damaged_bytes_end_in_one_error_of_ours(tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.pth"
    path.write_bytes(damaged)
    with contextlib.suppress(ArtifactError):
        describe(path)


def test_it_needs_no_torch() -> None:
    code = "import sys, detkds.pipeline.stored_inputs; print([name for name in ('torch', 'mmengine', 'mmdet') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
