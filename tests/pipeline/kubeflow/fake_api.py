"""The part of Kubeflow Pipelines' REST API (v2beta1) that creating and following a run asks for, on a free port of this machine.

A run's nodes are those of the engine, with the ids of their children, as in the answers that were captured on a live KFP 2.17.0
(test_run_tasks.py holds the reading of both against each other).
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CREATED, ENDED = "2026-11-22T20:00:00Z", "2026-11-22T20:01:00Z"


@dataclass
class FakeApi:
    """What the API is told and tells.

    Args:
        answers: states of the run, one a question; the last one stays. Each is (state, {task: (state, error)}), the task by its display
            name; CACHED is one that KFP's cache answered, and CANCELED of the run ends as FAILED with CANCELING in its history.
        token: the bearer token that it asks for; empty: none.
        broken: answer the first so many questions about a run with 503.
    """

    answers: list[tuple[str, dict[str, tuple[str, str]]]]
    token: str = ""
    broken: int = 0
    url: str = ""
    version: str = "2.17.0"
    runs: list[dict[str, Any]] = field(default_factory=list)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, query: dict[str, list[str]]) -> dict[str, Any] | int:
        if path.endswith("/healthz"):
            return {"multi_user": False} | ({"tag_name": self.version} if "v1beta1" in path else {})
        if path.endswith("/experiments"):
            wanted = [p["stringValue"] for p in json.loads(query["filter"][0])["predicates"]] if "filter" in query else None
            found = [e for e in self.experiments if wanted is None or e["display_name"] in wanted]
            return {"experiments": found, "total_size": len(found)}
        if "/runs/" in path:
            return self._run(path.rpartition("/")[2])
        return 404

    def _run(self, identity: str) -> dict[str, Any] | int:
        if identity not in ("run-1", *(f"run-{number}" for number in range(1, len(self.runs) + 1))):
            return 404
        if self.broken:
            self.broken -= 1
            return 503
        state, tasks = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        history = [{"update_time": CREATED, "state": "CANCELING"}] if state == "CANCELED" else []
        answer = {
            "run_id": identity, "display_name": "blood", "state": state if not history else "FAILED", "created_at": CREATED,
            "state_history": [*history, {"update_time": CREATED, "state": state}],
        }  # fmt: skip
        keys: dict[str, str] = {}
        if self.runs:
            answer["pipeline_spec"] = self.runs[-1]["pipeline_spec"]
            graph = self.runs[-1]["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
            keys = {task["taskInfo"]["name"]: key for key, task in graph.items()}
        return answer | {"run_details": {"task_details": engine({keys.get(name, name): told for name, told in tasks.items()})}}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | int | tuple[int, str]:
        if path.endswith("/experiments"):
            experiment = {**body, "experiment_id": f"experiment-{len(self.experiments) + 1}"}
            self.experiments.append(experiment)
            return experiment
        if path.endswith("/runs"):
            if fault := refused(body):
                return 400, fault
            self.runs.append(body)
            return {**body, "run_id": f"run-{len(self.runs)}", "state": "PENDING", "created_at": CREATED}
        return 404


def engine(tasks: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """The engine's nodes of a run with these tasks, by its names for them, each of a minute."""
    workflow = "detkds-search-x9z2k"
    root = f"{workflow}(0).root(0)"
    graph: dict[str, list[str]] = {workflow: [f"{workflow}(0)"], f"{workflow}(0)": [f"{workflow}(0).root"], f"{workflow}(0).root": [root]}
    graph[root] = [f"{root}.{name}-driver" for name in tasks]
    states: dict[str, tuple[str, str]] = {}
    for name, (state, error) in tasks.items():
        task, real = f"{root}.{name}", "SUCCEEDED" if state == "CACHED" else state
        graph |= {f"{task}-driver": [task], task: [f"{task}(0)"], f"{task}(0)": [f"{task}(0).executor"]}
        graph[f"{task}(0).executor"] = [] if state == "CACHED" else [f"{task}(0).executor(0)"]
        states |= {task: (real, error), f"{task}(0)": (real, ""), f"{task}(0).executor": ("SKIPPED" if state == "CACHED" else real, "")}
        if state != "CACHED":
            graph[f"{task}(0).executor(0)"] = []
            states[f"{task}(0).executor(0)"] = (real, "")
    return [_node(workflow, path, children, *states.get(path, ("RUNNING", ""))) for path, children in graph.items()]


def _node(workflow: str, path: str, children: list[str], state: str, error: str) -> dict[str, Any]:
    node: dict[str, Any] = {"task_id": path, "display_name": path.rpartition(".")[2], "start_time": CREATED, "state": state}
    if state not in ("RUNNING", "PENDING"):
        node["end_time"] = ENDED
    if error:
        node["error"] = {"code": 13, "message": error}
    return node | ({"child_tasks": [{"pod_name": f"{workflow}-{_fnv(child)}"} for child in children]} if children else {})


def _fnv(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "STRING": (str, "string"),
    "NUMBER_INTEGER": ((int, float), "double or integer"),
    "NUMBER_DOUBLE": ((int, float), "double or integer"),
    "BOOLEAN": (bool, "bool"),
    "LIST": (list, "list"),
    "STRUCT": (dict, "struct"),
}


def refused(body: dict[str, Any]) -> str:
    """Why the API server does not create this run; empty where it does.

    The rules and the sentences are those of KFP's API server (validatePipelineJobInputs in backend/src/apiserver/template/v2_template.go);
    "input parameter gpus requires type string" was seen on a live cluster.
    """
    specification = body.get("pipeline_spec", {})
    package = specification.get("pipeline_spec", specification)
    described = package.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    given = body.get("runtime_config", {}).get("parameters", {})
    for name, parameter in described.items():
        kinds, shown = KINDS[parameter["parameterType"]]
        if name not in given:
            if not parameter.get("isOptional") and "defaultValue" not in parameter:
                return f"parameter {name} is not optional, yet has neither default value nor user provided value"
        elif not isinstance(given[name], kinds) or (isinstance(given[name], bool) and shown != "bool"):
            return f"input parameter {name} requires type {shown}, but the parameter value is not of {shown} value type"
    if strange := ", ".join(given.keys() - described.keys()):
        return f"parameter(s) provided are not required by pipeline: {strange}"
    return ""


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._answer(lambda: api.get(parts.path, parse_qs(parts.query)))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            self._answer(lambda: api.post(urlsplit(self.path).path, body))

        def _answer(self, answer: Any) -> None:
            api.asked.append(f"{self.command} {urlsplit(self.path).path}")
            allowed = not api.token or self.headers.get("Authorization") == f"Bearer {api.token}"
            content = answer() if allowed else 401
            code, error = content if isinstance(content, tuple) else (content, "no") if isinstance(content, int) else (200, "")
            data = json.dumps({"error": error, "code": 3, "message": error} if error else content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextlib.contextmanager
def serving(api: FakeApi, certificate: tuple[Path, Path] | None = None) -> Iterator[FakeApi]:
    """The API on a free port; with (certificate, key) over TLS."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(api)) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        api.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
