"""One process of a search on several nodes: `torchrun -m detkds.pipeline.search_rank ADDRESS`, where the job lies in the object store.

The first process conducts the study with its journal, as the stage does on one machine; the others measure candidates for it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detkds.errors import ArtifactError, DetKDSError
from detkds.pipeline import study_stage
from detkds.pipeline import subset as subset_stage
from detkds.pipeline.node_executor import joined
from detkds.pipeline.progress import report_errors
from detkds.pipeline.settings import Result
from detkds.pipeline.task import WEIGHTS
from detkds.pipeline.values import Values
from detkds.pipeline.workplace import home
from detkds.plugins import load
from detkds.storage.fetch import fetch_folder
from detkds.storage.store import Store
from detkds.storage.uri import open_store

JOB, SUBSET, STUDY, RECIPE, RESULT = "job.json", "subset", "study", "recipe", "result.json"
"""The content of a job's address: this description and the subset artifact, and in the end the artifacts of the stage and its result."""


@dataclass(frozen=True)
class SearchJob:
    """A study as every node receives it.

    Args:
        study: a knowledge, or "weights".
        values: what the stage is told, see `Values`.
        plugins: as `plugins.loaded` gives them.
        studies: keys of the studies that a search over weights starts from.
    """

    study: str
    values: Mapping[str, Any]
    plugins: str = ""
    studies: tuple[str, ...] = ()

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def loads(cls, text: str | bytes, source: str) -> SearchJob:
        """Read what `dumps` wrote; `source` names it in messages.

        Raises:
            ArtifactError: it is something else.
        """
        try:
            found = json.loads(text)
            return cls(str(found["study"]), dict(found["values"]), str(found["plugins"]), tuple(map(str, found["studies"])))
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{source} is not a job of a search ({error!r}); submit the run again.") from None


@report_errors
def run(address: str) -> None:
    """Do this process's share of the job at an s3:// address; the first process of all stores what was found there.

    Raises:
        DetKDSError: as the stages evolve and weights.
    """
    store = open_store(address)
    job = SearchJob.loads(store.get_bytes(JOB), store.uri(JOB))
    load(job.plugins)
    subset = fetch_folder(store, SUBSET, home() / "cache", subset_stage.KIND)
    with joined() as nodes:
        if nodes.rank:
            nodes.serve()
            return
        try:
            _conduct(job, store, subset)
        finally:
            nodes.end()


def _conduct(job: SearchJob, store: Store, subset: Path) -> None:
    told = Values.read(job.values)
    with tempfile.TemporaryDirectory() as scratch:
        out, recipe = Path(scratch) / STUDY, Path(scratch) / RECIPE if job.study == WEIGHTS else None
        studies = [Path(scratch) / key for key in job.studies]
        for key, folder in zip(job.studies, studies, strict=True):
            store.get_folder(key, folder)
        result = study_stage.run(job.study, told, studies, subset=subset, out=out, recipe_out=recipe)
        if recipe is not None:
            store.put_folder(recipe, RECIPE)
        store.put_folder(out, STUDY)
    store.put_bytes(_dumps(result).encode(), RESULT)


def _dumps(result: Result) -> str:
    return json.dumps({"metadata": dict(result.metadata), "metrics": dict(result.metrics), "markdown": result.markdown})


if __name__ == "__main__":
    try:
        run(sys.argv[1])
    except DetKDSError as error:
        sys.exit(error.exit_code)
