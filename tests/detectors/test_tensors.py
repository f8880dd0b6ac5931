"""safetensors: what was saved comes back, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pictures import CLASSES, make_config
from safetensors.torch import load_file

from detkds.detectors import build_detector, read_checkpoint, save_student
from detkds.detectors.checkpoints import Checkpoint
from detkds.detectors.tensors import config_digest, read_tensors, save_tensors
from detkds.errors import ArtifactError


def test_a_student_comes_back_tensor_by_tensor(tmp_path: Path) -> None:
    save_student(build_detector(make_config(), seed=3), tmp_path / "student.pth", classes=CLASSES)
    checkpoint = read_checkpoint(tmp_path / "student.pth")
    save_tensors(checkpoint, tmp_path / "student.safetensors", config="text")
    back = read_tensors(tmp_path / "student.safetensors")
    assert back.classes == CLASSES
    assert {tensor.dtype for tensor in back.weights.values()} == {torch.float32, torch.int64}  # batch norms count in int64
    assert back.weights.keys() == checkpoint.weights.keys()
    for name, tensor in checkpoint.weights.items():
        assert (tensor.dtype, tensor.shape) == (back.weights[name].dtype, back.weights[name].shape)
        assert torch.equal(tensor, back.weights[name])
    other = build_detector(make_config(), seed=4)
    other.load_state_dict(load_file(tmp_path / "student.safetensors"))  # as docs/deploy.md has it
    assert torch.equal(other.backbone.conv1.weight, checkpoint.weights["backbone.conv1.weight"])


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    weights = {name: torch.full((2, 3), value) for name, value in {"b": 1.0, "a": -0.0, "half": 0.5}.items()}
    for name, order in {"one": list(weights), "other": sorted(weights)}.items():
        save_tensors(Checkpoint({key: weights[key] for key in order}, ("x",)), tmp_path / name, config="c")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_views_and_tensors_of_two_names_are_written_whole(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    save_tensors(Checkpoint({"a": base, "same": base, "turned": base.T, "empty": base[:0], "half": base.half()}), tmp_path / "f", config="")
    back = read_tensors(tmp_path / "f")
    assert back.weights["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert torch.equal(back.weights["same"], base)
    assert back.weights["empty"].shape == (0, 3)
    assert back.weights["half"].dtype == torch.float16
    assert back.classes is None


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    save_tensors(Checkpoint({"a": torch.zeros(4)}, ("x",)), tmp_path / "f", config="")
    (tmp_path / "f").write_bytes((tmp_path / "f").read_bytes()[:-1])
    for name in ("f", "absent"):
        with pytest.raises(ArtifactError, match=f"{name} cannot be read as safetensors: .*; fetch it again"):
            read_tensors(tmp_path / name)


def test_the_digest_is_that_of_the_text() -> None:
    # sha256sum of the three letters abc, as in FIPS 180-2
    assert config_digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
