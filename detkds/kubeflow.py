"""The compiled pipelines run locally by kfp.local; the one module that imports kfp.

What runs here is the YAML that runs on the cluster, task by task in subprocesses of this Python.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from detkds import errors
from detkds.stages.transcript import Transcript


def run_local(
    pipeline: str, parameters: Mapping[str, Any], *, home: Path, cache_key: str, transcript: Path, show: Callable[[str], None]
) -> None:
    """Run a compiled pipeline on this machine; finished tasks are answered from the cache.

    Args:
        pipeline: "search" or "transfer".
        parameters: the pipeline's parameters by name.
        home: the folder for artifacts and caches, usually `.detkds`.
        cache_key: digest of what the tasks' command lines do not show, such as the version of this library.
        transcript: file that receives everything that is printed.
        show: called with each progress line, such as "[evolve global] 3/12 AP .213".

    Raises:
        DetKDSError: a task failed; the task's own error where it was one of ours.
    """
    from kfp import components, local  # takes a second: only where it is needed

    root = home / "pipeline"
    output = Transcript(transcript, show)
    with output, _quiet():
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root / "artifacts"),
            cache_root=str(root / "cache" / cache_key),
            enable_caching=True,
            raise_on_error=True,
        )
        task = components.load_component_from_text(_without_retries(_compiled(pipeline)))
        try:
            task(**parameters)
        except RuntimeError as error:
            if output.fault:
                raise output.fault from None
            raise errors.DetKDSError(f"the pipeline {pipeline} failed: {error}; the whole output is in {transcript}") from error


def parameter_names(pipeline: str) -> set[str]:
    """The names of a compiled pipeline's parameters."""
    specification = next(yaml.safe_load_all(_compiled(pipeline)))
    return set(specification["root"]["inputDefinitions"]["parameters"])


def _compiled(pipeline: str) -> str:
    return (files("detkds") / "compiled" / f"{pipeline}.yaml").read_text()


def _without_retries(package: str) -> str:
    """The package without retries, which wait minutes for a cluster to mend; here an error is shown at once, and the command goes on."""
    documents = list(yaml.safe_load_all(package))
    for task in documents[0]["root"]["dag"]["tasks"].values():
        task.pop("retryPolicy", None)
    return yaml.safe_dump_all(documents)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep kfp's warnings about settings that only a cluster knows, and its log lines, away from the terminal."""
    root = logging.getLogger()
    level = root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            root.setLevel(logging.ERROR)
            yield
        finally:
            root.setLevel(level)
