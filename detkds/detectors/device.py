"""Where tensors live."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

import torch

from detkds.detectors.silence import silence
from detkds.errors import ConfigError


def resolve(device: str = "auto") -> torch.device:
    """The device of a name; "auto" is the first GPU where there is one, else the CPU.

    Raises:
        ConfigError: the name is not a device of torch, or a GPU is asked for where none is.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"a device is auto, cpu, cuda or cuda:N, got {device!r}.") from None
    if found.type == "cuda" and not (found.index or 0) < torch.cuda.device_count():
        raise ConfigError(f"device {device} must exist, but torch sees {torch.cuda.device_count()} GPU(s); use auto or cpu.")
    return found


def uncompilable() -> str:
    """Why torch.compile cannot work on this machine, and what to do; empty where nothing is known to be in its way."""
    if torch.cuda.is_available():
        return "" if find_spec("triton") else "torch.compile needs the package triton; pip install triton, or leave compiled out"
    compiler = os.environ.get("CXX", "g++")
    found = shutil.which(compiler)
    return "" if found else f"torch.compile needs a C++ compiler, and there is no {compiler}; install one, or leave compiled out"


def operators_work() -> bool:
    """Whether mmcv's compiled operators work: of two boxes that overlap by 8/9, nms keeps the better."""
    with silence():
        from mmcv.ops import nms
    _, kept = nms(torch.tensor([[0.0, 0.0, 9.0, 9.0], [1.0, 0.0, 9.0, 9.0]]), torch.tensor([0.9, 0.8]), 0.5)
    return bool(kept.tolist() == [0])
