"""A run on a cluster: created and followed through the API of Kubeflow Pipelines."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
from kfp_server_api.exceptions import ApiException
from urllib3.exceptions import HTTPError, SSLError

from detkds.errors import ClusterError, ConfigError, ExitCode
from detkds.lint import documents
from detkds.pipeline.kubeflow.run_pods import RunPods
from detkds.pipeline.kubeflow.run_progress import Progress

PARAMETER_BYTES = 10_000
"""What the API server takes of parameters by default."""
PATIENCE_S = 300
"""How long a run is followed while the API does not respond."""
REACH_S = (2.0, 2.0)
"""How long a connection to the API and its first response may take."""


class Outcome(IntEnum):
    """How a run ended; the values are the exit codes of `detkds submit`."""

    SUCCEEDED = ExitCode.OK
    FAILED = ExitCode.RUN_FAILED
    CANCELED = ExitCode.CANCELLED
    TIMED_OUT = ExitCode.STILL_RUNNING


ENDED = {"SUCCEEDED": Outcome.SUCCEEDED, "SKIPPED": Outcome.SUCCEEDED, "FAILED": Outcome.FAILED, "CANCELED": Outcome.CANCELED}


@dataclass(frozen=True)
class Endpoint:
    """How the API is reached.

    Args:
        url: of the API, or of the UI in front of it.
        namespace: of the runs, in a multi-user installation; empty otherwise.
        token: gives the bearer token; asked again for every request, because tokens of service accounts are short-lived.
        ca_certificate: file of the authority that signed the server's certificate; None for the system's authorities.
    """

    url: str
    namespace: str = ""
    token: Callable[[], str] | None = None
    ca_certificate: Path | None = None


@dataclass(frozen=True)
class Pace:
    """How a run is followed: for at most `timeout_s` seconds, after which the run itself continues, with a look every `every_s` seconds."""

    timeout_s: float
    every_s: float = 10.0


class Cluster:
    """The API at an endpoint.

    Attributes:
        namespace: of the runs; empty in an installation for one user.

    Raises:
        ClusterError: nothing responds there, or the server refuses.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.namespace = endpoint.namespace
        client = _client(endpoint)
        self._runs = kfp_server_api.RunServiceApi(client)
        self._experiments = kfp_server_api.ExperimentServiceApi(client)

    def create(self, package: str, parameters: Mapping[str, Any], *, name: str, experiment: str, service_account: str = "") -> str:
        """Start a run of a package and return its id.

        Raises:
            ConfigError: the parameters are larger than the API takes.
            ClusterError: the API refuses.
        """
        size = len(str(dict(parameters)).encode())
        if size > PARAMETER_BYTES:
            raise ConfigError(f"parameters of a run must be below {PARAMETER_BYTES:,} bytes, but are {size:,}; shorten addresses or names.")
        specification, platform = documents.read(package)
        with _plain_errors(self._endpoint.url):
            body = kfp_server_api.V2beta1Run(
                experiment_id=self._experiment(experiment),
                display_name=name,
                pipeline_spec={"pipeline_spec": specification, "platform_spec": platform},
                service_account=service_account or None,
                runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(parameters)),
            )
            return str(self._runs.run_service_create_run(run=body).run_id)

    def _experiment(self, name: str) -> str:
        """The id of the experiment of that name, made where there is none."""
        namespace = {"namespace": self._endpoint.namespace} if self._endpoint.namespace else {}
        wanted = json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})
        found = self._experiments.experiment_service_list_experiments(filter=wanted, **namespace).experiments
        if not found:
            body = kfp_server_api.V2beta1Experiment(display_name=name, **namespace)
            found = [self._experiments.experiment_service_create_experiment(experiment=body)]
        return str(found[0].experiment_id)

    def page(self, run: str) -> str:
        """The address of a run in the UI."""
        return f"{self._endpoint.url.rstrip('/')}/#/runs/details/{run}"

    def reach(self) -> None:
        """Ask whether Kubeflow Pipelines is there, within five seconds.

        Raises:
            ClusterError: nothing responds there, or the server refuses or is something else.
        """
        with _plain_errors(self._endpoint.url):
            answer = self._health("v2beta1")
        if not isinstance(answer, dict):
            raise ClusterError(f"{self._endpoint.url} answers, but not as Kubeflow Pipelines does; correct the address.", final=True)

    def version(self) -> str:
        """The version of the API server, such as 2.17.0; empty where it does not say."""
        try:
            answer = self._health("v1beta1")
        except (ApiException, HTTPError, OSError):
            return ""
        return str(answer.get("tag_name") or answer.get("apiServerTagName") or "") if isinstance(answer, dict) else ""

    def _health(self, api: str) -> Any:
        client = _client(self._endpoint, retries=False)
        options = {"auth_settings": ["Bearer"], "response_type": "object", "_request_timeout": REACH_S, "_return_http_data_only": True}
        return client.call_api(f"/apis/{api}/healthz", "GET", **options)

    def follow(
        self, run: str, *, show: Callable[[str], None], pace: Pace, names: Mapping[str, str] | None = None, pods: RunPods | None = None
    ) -> Outcome:
        """Show each task's changes until the run ends.

        Args:
            run: its id.
            show: called with lines such as "[evolve-global] succeeded in 7 min 42 s, 2 tries".
            pace: how often, and for how long.
            names: display names of the run's tasks; None: those of the pipeline that the API has with the run.
            pods: asked why a task waits and what a failed one said last; None: the line names the command to look.

        Raises:
            ClusterError: the API was away for longer than PATIENCE_S, or knows no such run.
        """
        began = answered = time.monotonic()
        progress = Progress(run, show, names, pods)
        while True:
            now = time.monotonic()
            try:
                outcome = self._look(run, progress)
                answered = now
            except ClusterError as error:
                if error.final or now - answered > PATIENCE_S:
                    raise
                outcome = None
            if outcome is not None:
                return outcome
            if now - began >= pace.timeout_s:
                return Outcome.TIMED_OUT
            time.sleep(min(pace.every_s, max(0.0, pace.timeout_s - (now - began))))

    def _look(self, run: str, progress: Progress) -> Outcome | None:
        with _plain_errors(self._endpoint.url):
            answer = self._runs.run_service_get_run(run_id=run)
        progress.tell(answer)
        return outcome_of(answer)


def outcome_of(run: Any) -> Outcome | None:
    """How a run ended, None while it has not. One that was cancelled while a task waited for its next try ends as FAILED at the API."""
    ended = ENDED.get(str(run.state))
    cancelled = any(entry.state == "CANCELING" for entry in run.state_history or [])
    return Outcome.CANCELED if ended is Outcome.FAILED and cancelled else ended


def _line(text: str) -> str:
    return " ".join(text.split())[:500]


def _client(endpoint: Endpoint, *, retries: bool = True) -> Any:
    settings = kfp_server_api.Configuration(host=endpoint.url.rstrip("/"))
    settings.retries = urllib3.Retry(2 if retries else 0, backoff_factor=0.5)
    if endpoint.ca_certificate:
        settings.ssl_ca_cert = str(endpoint.ca_certificate)
    if endpoint.token:
        settings.api_key_prefix["authorization"] = "Bearer"
        settings.refresh_api_key_hook = lambda config: config.api_key.update(authorization=endpoint.token())
        settings.refresh_api_key_hook(settings)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings of a retry are no news for a reader of errors
    return kfp_server_api.ApiClient(settings)


@contextlib.contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    """Turn what the client raises into one line that names the endpoint and the remedy."""
    try:
        yield
    except ApiException as error:
        raise ClusterError(_refusal(url, error), final=400 <= (error.status or 0) < 500) from None
    except HTTPError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, SSLError):
            raise ClusterError(
                f"{url}: its certificate is not trusted ({_line(str(reason))}); name its authority with --ca-cert."
            ) from None
        raise ClusterError(f"{url} cannot be reached ({_line(str(reason))}); is the address right, and is the API server up?") from None
    except (TimeoutError, OSError) as error:
        raise ClusterError(f"{url}: {_line(str(error))}; is this the address of Kubeflow Pipelines?") from None


def _refusal(url: str, error: Any) -> str:
    if error.status in (401, 403):
        remedy = "give a valid token (KFP_EXISTING_TOKEN or --token-file) and the right --namespace"
        return f"{url} refuses with {error.status} {error.reason}; {remedy}."
    body = _line(str(error.body or ""))
    return f"{url} answers {error.status} {error.reason}: {body}"
