"""The order in which a training sees its images, as the train loader of a config defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.config import Config


@dataclass(frozen=True, slots=True)
class Order:
    """How an epoch becomes batches.

    Args:
        shuffled: in a new order each epoch.
        grouped: upright and lying images come in batches of their own, so that little is padded (AspectRatioBatchSampler).
        drop_last: a last batch that is not full is left out.
    """

    shuffled: bool = True
    grouped: bool = False
    drop_last: bool = False

    @classmethod
    def of(cls, config: Config) -> Order:
        """The order that a config's train_dataloader asks for; shuffled by default."""
        loader = config.train_dataloader
        sampler, batches = loader.get("sampler") or {}, loader.get("batch_sampler") or {}
        return cls(
            shuffled=bool(sampler.get("shuffle", True)),
            grouped=batches.get("type") == "AspectRatioBatchSampler",
            drop_last=bool(batches.get("drop_last", loader.get("drop_last", False))),
        )

    def batches(self, upright: Sequence[bool], batch_size: int, seed: int) -> list[list[int]]:
        """The indices of an epoch's batches.

        Args:
            upright: of each image, whether it is higher than wide.
            batch_size: of all batches but the last.
            seed: of the order.
        """
        indices = torch.randperm(len(upright), generator=torch.Generator().manual_seed(seed)).tolist()
        batches: list[list[int]] = []
        open_batches: dict[bool, list[int]] = {True: [], False: []}
        for index in indices if self.shuffled else sorted(indices):
            batch = open_batches[self.grouped and upright[index]]
            batch.append(index)
            if len(batch) == batch_size:
                batches.append(list(batch))
                batch.clear()
        left = open_batches[True] + open_batches[False]
        batches += [left[start : start + batch_size] for start in range(0, len(left), batch_size)]
        return batches[:-1] if self.drop_last and batches and len(batches[-1]) < batch_size else batches

    def steps(self, images: int, batch_size: int) -> int:
        """Batches an epoch."""
        return images // batch_size if self.drop_last else -(-images // batch_size)
