"""The part of the Kubernetes API that TrainJobs ask for, on a free port of this machine; what it takes says trainer_rules.py."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from trainer_rules import refusal

ROOT = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/detkds/trainjobs"


@dataclass
class FakeKubernetes:
    """What the API is told and tells.

    Args:
        states: statuses of a job, one a question; the last one stays.
        refuse: (verb, code, message) of a refusal; verb GET or POST. An empty message is the plain page of an unknown kind.
        broken: answer the first so many questions with 503.
        crowded: how often the job `other` is still in the list of jobs.
    """

    states: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    refuse: tuple[str, int, str] | None = None
    broken: int = 0
    crowded: int = 0
    looks: int = 0
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, verb: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        name = path.removeprefix(ROOT).strip("/")
        self.asked.append(f"{verb} {name}".strip())
        if self.refuse and self.refuse[0] == verb:
            return self.refuse[1], _status(self.refuse[1], self.refuse[2], "detkds") if self.refuse[2] else None
        if verb == "GET" and name.startswith("?labelSelector="):
            self.looks += 1
            if self.looks > self.crowded:
                self.jobs.pop("other", None)
            return 200, {"kind": "TrainJobList", "items": list(self.jobs.values())}
        if verb == "POST" and body is not None:
            if refused := refusal(body):
                return refused[0], _status(*refused, body["metadata"]["name"])
            self.jobs[body["metadata"]["name"]] = body
            return 201, body
        if name not in self.jobs:
            return 404, _status(404, f'trainjobs.trainer.kubeflow.org "{name}" not found', name)
        if verb == "DELETE":
            return 200, self.jobs.pop(name)
        if self.broken:
            self.broken -= 1
            return 503, _status(503, "etcdserver: leader changed", name)
        status = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return 200, {**self.jobs[name], "status": self.jobs[name].get("status", status)}


def _status(code: int, message: str, name: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "message": message, "details": {"name": name}}


@contextmanager
def serving(api: FakeKubernetes) -> Iterator[FakeKubernetes]:
    """The API while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, content = api.answer(self.command, self.path, body)
            data = b"404 page not found\n" if content is None else json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _do  # noqa: N815 - the names that BaseHTTPRequestHandler asks for

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
