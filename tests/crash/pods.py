"""Pods that die: each is a fork with an empty folder of its own, killed at a named point or after some time, or left to end.

    pods.py PLAN.json

PLAN is a list of pods: `home`, `work` (where unfinished work lies), `out`, and what to do: `study` (kind and seed of a cheap study, see
victim.py) or `component` (stage and its executor input, run as in a container of the compiled pipeline). `die` is a point and the number
of the visit that is deadly, `kill_after_s` a time, `terminate_at` a training step that brings SIGTERM. Prints how each ended, as a JSON
list: "done", "killed", or the error's name.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import victim

from detkds.errors import DetKDSError
from detkds.genome import Recipe
from detkds.pipeline import studies
from detkds.pipeline.task import Task
from detkds.search import Goal, Outcome
from detkds.storage.lease import Lease
from detkds.storage.mirror import Mirror
from detkds.storage.s3 import S3Store

STEPS_BETWEEN_CHECKPOINTS = 2


class Cheap:
    """Stands where the proxy objective stands."""

    def identify(self, recipe: Recipe) -> str:
        return victim.identify(recipe)

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        return victim.objective(recipe, goal)


def conduct(pod: dict[str, Any]) -> None:
    kind, seed = pod["study"]
    designer: Any = victim.Mortal(victim.designer(kind, seed))
    proxy: Any = Cheap()
    finished = studies.conduct(kind, Task(kind, 27), designer, proxy, {"kind": kind, "seed": seed}, work=pod["work"])
    studies.publish(finished, Path(pod["out"]))


def execute(pod: dict[str, Any]) -> None:
    """What the container's command does."""
    import yaml
    from kfp.dsl import executor_main

    stage, given = pod["component"]
    pipeline = next(yaml.safe_load_all((files("detkds") / "compiled" / "search.yaml").read_text()))
    container = pipeline["deploymentSpec"]["executors"][f"exec-{stage.replace('_', '-')}"]["container"]
    source = next(part for part in container["command"] if f"def {stage}(" in part)
    program = Path(pod["home"]) / "ephemeral_component.py"
    program.write_text(source)
    sys.argv = [
        "executor_main",
        "--component_module_path",
        str(program),
        "--executor_input",
        json.dumps(given),
        "--function_to_execute",
        stage,
    ]
    executor_main.executor_main()


def checkpoint_often() -> None:
    """A training of few steps writes checkpoints too."""
    from dataclasses import replace

    from detkds.pipeline import pair

    usual = pair.settings
    pair.settings = lambda *given: replace(usual(*given), checkpoint_every=STEPS_BETWEEN_CHECKPOINTS)


def terminate_at(step: int) -> None:
    from detkds.pipeline import saved

    usual = saved.Saved.put_when_due
    steps = itertools.count(1)

    def counted(self: saved.Saved) -> None:
        usual(self)
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    saved.Saved.put_when_due = counted  # type: ignore[method-assign]


def arm(point: str, number: int) -> None:
    """Make a point of the mirror deadly; those of the study are victim's."""
    visits = itertools.count(1)

    def deadly(function: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            mine = next(visits) == number
            result = None if mine and before else function(*args, **kwargs)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    when, _, what = point.partition(" ")
    owners: dict[str, Any] = {
        "put": Mirror,
        "fetch": Mirror,
        "put_large": Mirror,
        "_point": Mirror,
        "__enter__": Lease,
        "put_file": S3Store,
    }
    if what in owners:
        setattr(owners[what], what, deadly(getattr(owners[what], what), before=when == "before"))
    else:
        victim.arm(point, number)


def live(pod: dict[str, Any]) -> None:
    os.environ["DETKDS_HOME"] = pod["home"]
    if pod.get("die"):
        arm(*pod["die"])
    if pod.get("terminate_at"):
        terminate_at(pod["terminate_at"])
    if pod.get("kill_after_s"):
        threading.Timer(pod["kill_after_s"], os.kill, (os.getpid(), signal.SIGKILL)).start()
    conduct(pod) if "study" in pod else execute(pod)


def start(pod: dict[str, Any]) -> int:
    """Fork a pod; returns its pid."""
    home = Path(pod["home"])
    home.mkdir(parents=True)
    pid = os.fork()
    if pid == 0:
        log = os.open(home / "log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1), os.dup2(log, 2)
        try:
            live(pod)
            (home / "ended").write_text("done")
        except DetKDSError as error:
            (home / "ended").write_text(f"{type(error).__name__} {error.exit_code}: {error}")
        except BaseException:
            (home / "ended").write_text(traceback.format_exc())
        finally:
            os._exit(0)
    return pid


def end(pod: dict[str, Any], pid: int) -> str:
    os.waitpid(pid, 0)
    ended = Path(pod["home"]) / "ended"
    return ended.read_text() if ended.exists() else "killed"


if __name__ == "__main__":
    pods = json.loads(Path(sys.argv[1]).read_text())
    if any("component" in pod for pod in pods):
        # The forks share what takes seconds to import.
        from kfp.dsl import executor_main  # noqa: F401

        from detkds.pipeline import evolve, train, weights  # noqa: F401

        checkpoint_often()
    print(json.dumps([end(pod, start(pod)) for pod in pods]))
