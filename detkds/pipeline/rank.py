"""One process of a training on several nodes: `torchrun -m detkds.pipeline.rank ADDRESS`, the address of the job in the object store."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from detkds.detectors.training.parallel import joined
from detkds.errors import ArtifactError, DetKDSError
from detkds.genome import Recipe
from detkds.pipeline import subset as subset_stage
from detkds.pipeline import train
from detkds.pipeline.progress import report_errors
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.workplace import home
from detkds.plugins import load
from detkds.storage.fetch import fetch_folder
from detkds.storage.uri import open_store

JOB, SUBSET, MODEL = "job.json", "subset", "model"
"""The content of a job's address: this description, the subset artifact, and in the end the model artifact."""


@dataclass(frozen=True)
class Job:
    """A training as every node receives it; see `train.run`."""

    pair: Pair
    schedule: Schedule
    recipe: Recipe
    work: str
    plugins: str = ""
    loggers: tuple[str, ...] = ()

    def dumps(self) -> str:
        """As JSON."""
        content = {"pair": asdict(self.pair), "schedule": self.schedule.to_json(), "recipe": self.recipe.to_json(), "work": self.work}
        return json.dumps({**content, "plugins": self.plugins, "loggers": self.loggers}, indent=1)

    @classmethod
    def loads(cls, text: str | bytes, source: str) -> Job:
        """Read what `dumps` wrote; `source` names it in messages.

        Raises:
            ArtifactError: it is something else.
        """
        try:
            found = json.loads(text)
            load(named := str(found.get("plugins", "")))  # before the recipe, which may have their words
            pair, schedule, recipe = Pair(**found["pair"]), Schedule.from_json(found["schedule"]), Recipe.from_json(found["recipe"])
            return cls(pair, schedule, recipe, str(found["work"]), named, tuple(found.get("loggers", ())))
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{source} is not a job of a training ({error!r}); submit the run again.") from None


@report_errors
def run(address: str) -> None:
    """Do this process's share of the job at an s3:// address; the first process of all stores the model there.

    Raises:
        DetKDSError: as `train.run`.
    """
    store = open_store(address)
    job = Job.loads(store.get_bytes(JOB), store.uri(JOB))
    subset = fetch_folder(store, SUBSET, home() / "cache", subset_stage.KIND)
    with joined() as group, tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / MODEL
        train.share(job.pair, job.schedule, job.recipe, group, subset=subset, out=model, work=job.work, loggers=job.loggers)
        if group.rank == 0:
            store.put_folder(model, MODEL)


if __name__ == "__main__":
    try:
        run(sys.argv[1])
    except DetKDSError as error:
        sys.exit(error.exit_code)
