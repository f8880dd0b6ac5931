"""Batches made ahead of the training by processes of their own, with the same content whatever their number."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader, Dataset

from detkds.errors import DetKDSError
from detkds.processes import cpus

MOST_WORKERS = 8


def default_workers(device: torch.device) -> int:
    """Processes that load images for a training on a device: on a GPU as many as this process has CPUs, at most MOST_WORKERS; on the CPU
    none, since they would take from the training what they give. A process of a group has its share of the CPUs (`processes.begin`)."""
    if device.type != "cuda":
        return 0
    return min(MOST_WORKERS, max(1, int(cpus())))


class _Reported(Dataset[Any]):
    """The items of a data set, or the error that one of them raised: as a value it crosses processes as it is."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __getitem__(self, key: Any) -> Any:
        try:
            return self._items[key]
        except DetKDSError as error:
            return error


def _collate(items: list[Any]) -> Any:
    return next((item for item in items if isinstance(item, DetKDSError)), None) or pseudo_collate(items)


def _begin_worker(number: int) -> None:
    import cv2

    cv2.setNumThreads(0)  # the processes share the CPUs as it is


def loaded(items: Any, keys: Iterable[list[Any]], *, workers: int, pin: bool) -> Iterator[Any]:
    """The batches of these keys, in their order.

    Args:
        items: gives an item by its key; what a process changes of it, the others do not see.
        keys: of each batch.
        workers: processes; they live until the last batch and make two each ahead. 0 loads when a batch is asked for.
        pin: into memory from which a GPU fetches while it computes.

    Raises:
        DetKDSError: as an item raised it, whatever process it was in.
    """
    begin = _begin_worker if workers else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more than the CPUs, where somebody asked for so many
        batches = DataLoader(
            _Reported(items), batch_sampler=keys, num_workers=workers, collate_fn=_collate, pin_memory=pin, worker_init_fn=begin
        )
        ready = iter(batches)
    for batch in ready:
        if isinstance(batch, DetKDSError):
            raise batch
        yield batch
