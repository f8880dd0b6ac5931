"""Where tensors live."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

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


COPIES = 5
"""What a training keeps of a student's weights between its steps: themselves, gradients, two moments of the optimizer, a moving average.
A step's activations are one student's at a time."""


def room(student: nn.Module, device: torch.device, free: int | None = None, copies: int = COPIES) -> int:
    """How many students may be trained side by side: as many as fit with copies of their weights into half of the device's free memory.

    Args:
        student: whose weights are counted.
        device: where they are trained.
        free: bytes; None asks the device.
        copies: of its weights that a training keeps.
    """
    weights = sum(tensor.numel() * tensor.element_size() for tensor in student.state_dict().values())
    return int((free_bytes(device) if free is None else free) // 2 // (copies * max(weights, 1)))


def free_bytes(device: torch.device) -> int:
    """Memory of a device that is not in use; of the CPU's, no more than this process's cgroup leaves."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + held)
    return min(_machine_bytes(), _cgroup_bytes())


def _machine_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """What the operating system can give without swapping."""
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    raise ConfigError(f"{meminfo} must say MemAvailable, as Linux does from 3.14 on, but does not.")


def _cgroup_bytes(root: Path = Path("/sys/fs/cgroup")) -> int:
    """What the cgroup of this process leaves, of version 2 or 1, counting files that it could drop as free; without bound where it sets
    none."""
    for folder, limit, used, cached in (
        (root, "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        if (folder / limit).exists() and (text := (folder / limit).read_text().strip()) != "max":
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return max(0, int(text) - int((folder / used).read_text()) + int(stat.get(cached, 0)))
    return sys.maxsize
