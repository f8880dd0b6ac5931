"""The images without labels of a training: which ones a step sees depends on the step only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mmengine.config import Config

from detkds.detectors.training.batches import Batch, Samples, Source
from detkds.detectors.training.loading import loaded
from detkds.detectors.training.randomness import Purpose, derived_seed
from detkds.unlabelled import Unlabelled

Key = tuple[int, int]
"""(pass over the images, index), as `Samples` takes it."""


class UnlabelledSamples:
    """Images without labels in an endless order: all of them in a new order in each pass.

    They go through the train pipeline of the student's config. Order and augmentations have a seed of their own, so that the labelled
    images of a training are the same with and without them.

    Args:
        config: the student's, adapted to the data set.
        source: a file without annotations, see `detkds.data.unlabelled.document`.
        use: how they are used.
        batch_size: labelled images of a step.
        seed: of the training.

    Attributes:
        use: as given.
        samples: the images.
        per_step: how many a step sees; all of them where there are fewer.

    Raises:
        DatasetError, ConfigError: see `Samples`.
    """

    def __init__(self, config: Config, source: Source, use: Unlabelled, *, batch_size: int, seed: int) -> None:
        self.use = use
        self.samples = Samples(config, source, training=True, seed=derived_seed(seed, Purpose.UNLABELLED), labelled=False)
        self.per_step = min(use.images(batch_size), len(self.samples))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def identity(self) -> dict[str, object]:
        """What two trainings must share to be the same training."""
        used = {name: getattr(self.use, name) for name in ("share", "schedule", "min_score", "knowledge")}
        return {**used, "images": len(self)}

    def keys(self, first_step: int, steps: int) -> Iterator[list[Key]]:
        """The images of each step from `first_step` on, up to step `steps`."""
        full = len(self) // self.per_step  # batches of a pass; what is left over has its turn in another order
        order: tuple[int, list[list[Key]]] = (-1, [])
        for step in range(first_step, steps):
            passed, place = divmod(step, full)
            if order[0] != passed:
                order = passed, self.samples.order(passed, self.per_step)
            yield order[1][place]

    def batches(
        self,
        steps: int,
        *,
        first_step: int = 0,
        workers: int = 0,
        pin: bool = False,
        share: Callable[[Sequence[Key]], Sequence[Key]] = lambda keys: keys,
    ) -> Iterator[Batch]:
        """The batch of each step from `first_step` on; of each the part that `share` takes; see `loaded`."""
        return loaded(self.samples, (list(share(keys)) for keys in self.keys(first_step, steps)), workers=workers, pin=pin)
