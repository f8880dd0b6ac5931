"""A compiled pipeline on this machine, by kfp.local: the YAML that runs on the cluster, task by task in subprocesses of this Python."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from detkds import errors
from detkds.pipeline.kubeflow.package import compiled, task_titles, without_retries
from detkds.pipeline.local_store import environment
from detkds.pipeline.transcript import Transcript, plain
from detkds.processes import PARENT


def run_local(
    pipeline: str,
    parameters: Mapping[str, Any],
    *,
    home: Path,
    cache_key: str,
    transcript: Path,
    show: Callable[[str], None],
    begun: Callable[[str], None] = lambda stage: None,
) -> None:
    """Run a compiled pipeline on this machine; finished tasks are answered from the cache.

    Args:
        pipeline: "search" or "transfer".
        parameters: the pipeline's parameters by name.
        home: the folder for artifacts and caches, usually `.detkds`.
        cache_key: digest of what the tasks' command lines do not show, such as the version of this library.
        transcript: file that receives everything that is printed.
        show: called with each progress line, such as "[evolve global] 3/12 AP .213".
        begun: called with the title of each stage that starts, such as "evolve global".

    Raises:
        DetKDSError: a task failed; the task's own error where it was one of ours.
        RunFailed: a task ended with another error; the message has its last line.
    """
    try:
        from kfp import components, local  # takes a second: only where it is needed
    except ImportError:
        raise errors.ConfigError("the package kfp is not installed, and a run needs it; install it: pip install kfp.") from None

    root = home / "pipeline"
    titles = task_titles(compiled(pipeline))
    output = Transcript(transcript, show, lambda name: begun(titles.get(name, name)))
    with output, _quiet(), environment({PARENT: str(os.getpid())}):
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root / "artifacts"),
            cache_root=str(root / "cache" / cache_key),
            enable_caching=True,
            raise_on_error=True,
        )
        task = components.load_component_from_text(without_retries(compiled(pipeline)))
        try:
            task(**parameters)
        except RuntimeError as error:
            if output.fault:
                raise output.fault from None
            reason = output.last_error or plain(str(error))
            raise errors.RunFailed(f"a task of the pipeline {pipeline} failed: {reason}; the whole output is in {transcript}.") from error


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
