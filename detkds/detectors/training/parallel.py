"""Several processes that train one student: each has its share of every batch, and all take the same step.

A batch that divides evenly is cut into equal shares, and gradients are averaged. One that does not, the last of an epoch, is computed
whole by every process: the average of equal gradients is that gradient. So effective batch and schedule are those of one process.
See docs/adr/0010 for what differs from one process, and what was tried on which machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from mmengine.model import revert_sync_batchnorm
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from detkds.processes import begin, gpus

T = TypeVar("T")
PATIENCE = timedelta(hours=1)
"""How long one process waits for another, which may have gigabytes to fetch."""


@dataclass(frozen=True, slots=True)
class Group:
    """This process's place among those that train together. Alone, everything here is the identity.

    Args:
        rank: 0 is the one that writes.
        size: of the group.
    """

    rank: int = 0
    size: int = 1

    def share(self, batch: Sequence[T]) -> Sequence[T]:
        """This process's part of a batch: a run of it, or all of it where it does not divide."""
        # If all compute the whole batch, the average of their equal gradients is that gradient (docs/adr/0010).
        length, left = divmod(len(batch), self.size)
        return batch if left else batch[self.rank * length : (self.rank + 1) * length]

    def wrap(self, model: nn.Module) -> Any:
        """The model whose gradients are averaged over the group. On GPUs its batch statistics are those of the whole batch."""
        if self.size == 1:
            return model
        # Both change the model in place: a detector is not a batch norm itself.
        if next(model.parameters()).is_cuda:
            nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        else:
            revert_sync_batchnorm(model)
        # A head may leave parameters out of a step, such as those for boxes where no image has one.
        return DistributedDataParallel(model, find_unused_parameters=True, forward_sync_buffers=False)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The group's mean of each value, the same in all processes. On a GPU this waits for nothing."""
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values

    def broadcast(self, content: bytes | None, device: torch.device) -> bytes | None:
        """What the first process has, in all."""
        if self.size == 1:
            return content
        # -1 stands for None, because empty content has the length 0.
        length = torch.tensor([-1 if content is None else len(content)], device=device)
        distributed.broadcast(length, 0)
        if int(length) < 0:
            return None
        data = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(int(length), dtype=torch.uint8)
        data = data.to(device)
        distributed.broadcast(data, 0)
        return data.cpu().numpy().tobytes()


def processes(batch_size: int, available: int) -> int:
    """How many processes share a batch: the most that divide it, no more than there are."""
    return max(count for count in range(1, min(batch_size, max(available, 1)) + 1) if batch_size % count == 0)


@contextmanager
def joined() -> Iterator[Group]:
    """Membership in the group that torchrun's environment names (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT); alone
    without one. The process sees the GPU of its local rank only."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    local, here = int(os.environ["LOCAL_RANK"]), gpus()
    begin(here[local] if here else "", int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    distributed.init_process_group("nccl" if here else "gloo", timeout=PATIENCE)
    try:
        yield Group(int(os.environ["RANK"]), size)
    finally:
        distributed.destroy_process_group()
