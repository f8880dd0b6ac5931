"""The tasks of a run, read from what the API says of it: the nodes of its workflow engine, which know no display names.

The API of KFP 2.17 lists every node of the engine (`evolve-3-driver(0)`, `executor`, `train-2(0)`), with the ids of its children but
without its own. An id is the workflow's name and the FNV-1a hash of the node's full name, such as
`detkds-search-9h52v(0).root(0).evolve(0).executor`, so full names are found by walking down from the workflow. Held against answers
that were captured on a live cluster.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

EXECUTOR = "executor"
"""The engine's name of what runs a task's container; a task that KFP's cache answered has one without a pod."""
_INNER = re.compile(r".*\(\d+\)|.*-driver|executor|root")


@dataclass(frozen=True)
class RunTask:
    """One task of a run as people call it.

    Args:
        name: its display name, such as evolve-global.
        path: the full name of its node in the engine.
        state: the API's word in lower case, such as running.
        seconds: how long it took; None while it has not ended.
        tries: pods that were made for it.
        cached: KFP's cache answered it, and no pod was made.
    """

    name: str
    path: str
    state: str
    seconds: float | None
    tries: int
    cached: bool

    def __str__(self) -> str:
        """What a line of progress says: "succeeded in 7 min 42 s, 2 tries"."""
        if self.cached:
            return f"{self.state}, answered by KFP's cache"
        text = self.state if self.seconds is None else f"{self.state} in {duration(self.seconds)}"
        return (
            text
            if self.tries < 2
            else f"{text}, {'try ' if self.seconds is None else ''}{self.tries}{'' if self.seconds is None else ' tries'}"
        )


def duration(seconds: float) -> str:
    """Such as "42 s" or "1 h 03 min"."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {left:02} s" if minutes else f"{left} s"


def display_names(pipeline: Mapping[str, Any]) -> dict[str, str]:
    """Display names of a pipeline's tasks by the names that the engine has for them, those of inner pipelines included.

    Args:
        pipeline: the first document of a compiled package.
    """
    graphs = [pipeline.get("root", {}), *pipeline.get("components", {}).values()]
    tasks = [task for graph in graphs for task in graph.get("dag", {}).get("tasks", {}).items()]
    return {key: task.get("taskInfo", {}).get("name", key) for key, task in tasks}


def read(details: Iterable[Any], names: Mapping[str, str]) -> list[RunTask]:
    """The tasks of a run that have begun, in the order in which they did.

    Args:
        details: `run_details.task_details` of the run.
        names: display names, see `display_names`; a task that is missing there has the engine's name.
    """
    nodes = _nodes([detail for detail in details if detail.display_name])
    tasks = [_task(path, node, nodes, names) for path, node in nodes.items() if node is not None and node.state and _is_task(path)]
    return [task for _, task in sorted(tasks, key=lambda found: found[0])]


def waiting(details: Iterable[Any]) -> set[str]:
    """Ids of the pods' nodes that have not begun to work; which task one is of, the API does not say."""
    return {
        str(detail.task_id)
        for detail in details
        if re.fullmatch(rf"{EXECUTOR}\(\d+\)", detail.display_name or "") and detail.state == "PENDING"
    }


def _is_task(path: str) -> bool:
    return "." in path and not _INNER.fullmatch(path.rpartition(".")[2])


def _task(path: str, node: Any, nodes: Mapping[str, Any], names: Mapping[str, str]) -> tuple[tuple[datetime, str], RunTask]:
    own = path.rpartition(".")[2]
    places = [place for place in (f"{path}(0).{EXECUTOR}", f"{path}.{EXECUTOR}") if place in nodes]
    executors = [nodes[place] for place in places if nodes[place] is not None]
    tries = len(executors[0].child_tasks or []) if executors else 0
    ended = node.state not in ("PENDING", "RUNNING")
    seconds = (node.end_time - node.start_time).total_seconds() if ended and node.end_time and node.start_time else None
    cached = bool(places) and tries == 0 and node.state == "SUCCEEDED"
    return (node.start_time, own), RunTask(names.get(own, own), path, str(node.state).lower(), seconds, tries, cached)


def _nodes(details: Sequence[Any]) -> dict[str, Any]:
    """The engine's nodes by their full names; None if several have the same name below different parents and cannot be distinguished."""
    by_name: dict[str, list[Any]] = defaultdict(list)
    for detail in details:
        by_name[detail.display_name].append(detail)
    workflow = next((child.rpartition("-")[0] for detail in details for child in _children(detail)), "")
    found: dict[str, Any] = {}
    left = [workflow] if workflow in by_name else []
    while left:
        path = left.pop()
        node = _which(path, by_name[path.rpartition(".")[2]], workflow)
        found[path] = node
        children = set(_children(node)) if node is not None else set()
        left += [place for place in _places(path, by_name) if place not in found and _identity(workflow, place) in children]
    return found


def _places(path: str, names: Iterable[str]) -> Iterator[str]:
    """Full names that a child may have: a node of the graph inside, a try of the same, the next in the same graph."""
    parent = path.rpartition(".")[0]
    for name in names:
        yield f"{path}.{name}"
        yield f"{parent}.{name}" if parent else name


def _which(path: str, candidates: Sequence[Any], workflow: str) -> Any:
    if len(candidates) > 1:
        candidates = [node for node in candidates if _identity(workflow, f"{path}(0)") in _children(node)]
    return candidates[0] if len(candidates) == 1 else None


def _children(detail: Any) -> list[str]:
    return [str(child.pod_name) for child in detail.child_tasks or [] if child.pod_name]


def _identity(workflow: str, path: str) -> str:
    """The engine's id of a node: FNV-1a, 32 bits, of its full name."""
    value = 0x811C9DC5
    for byte in path.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return workflow if path == workflow else f"{workflow}-{value}"
