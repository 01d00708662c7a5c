"""A client of the few endpoints of Prefect's API that the commands need: start a run, wait for it, list runs and events."""

import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, NotRequired, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from pydantic import SecretStr
from typing_extensions import TypedDict

from core.errors import PermanentError, TransientError, WrongUse
from core.hosts import LOOPBACK_NAMES, host_of_url
from core.http_errors import describe_http_error
from furrow.clients.addresses import is_server_address

T = TypeVar("T")
Parameters = Mapping[str, object]
"""Parameters of a run, by name; values as in JSON."""

_UNAUTHORIZED = (
    "its authentication string is not the one in the data directory; FURROW_DATA_DIR or --data-dir "
    "names the installation's, FURROW_PREFECT_AUTH sets it, PREFECT_API_AUTH_STRING is for a Prefect elsewhere"
)
FINAL: Final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PATIENCE_S: Final = 15.0
"""Default time in seconds for which a request to a busy server is repeated."""
_POLL_SECONDS = 0.5
_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)  # then the last value for each further retry
_REQUEST_SECONDS = 30.0
_LEAST_SECONDS = 1.0  # minimum timeout of a request, however close the deadline is
_BUSY = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})


class RunState(TypedDict):
    """State of a run."""

    type: str
    """``SCHEDULED``, ``RUNNING``, …, or one of `FINAL`."""
    name: str
    message: NotRequired[str | None]


class FlowRun(TypedDict):
    """What the commands read of a run. The API's answer has many more keys, which `--json` prints too."""

    id: str
    name: str
    state: RunState


class RecentRun(TypedDict):
    """A run in a list: names of its flow, its state and itself."""

    flow: str
    state: str
    name: str


class PrefectEvent(TypedDict):
    """An event of Prefect's event log."""

    occurred: str
    """RFC 3339."""
    resource: dict[str, str]


class _Deployment(TypedDict):
    id: str
    name: str
    flow_id: str


class _Flow(TypedDict):
    id: str
    name: str


class _ListedRun(TypedDict):
    name: str
    flow_id: str
    state: RunState


class _EventPage(TypedDict):
    events: list[PrefectEvent]


class Patient(httpx.HTTPTransport):
    """Repeats a request until a deadline while the server is too busy to answer. Use it only for idempotent requests.

    Prefect's server on SQLite answers 503 while its database is locked; on a busy machine it answers late or drops the
    connection. If nothing has ever answered and the port refuses the connection, the request fails at once.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        """``patience_s``: seconds for which each request is repeated while ``give_up_at`` is None."""
        super().__init__()
        self._patience_s = patience_s
        self.give_up_at: float | None = None
        """Deadline of all requests (monotonic seconds); None: ``patience_s`` after the start of each request."""
        self.has_answered = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response. After the deadline: the last response, or the last error raised."""
        until = time.monotonic() + self._patience_s if self.give_up_at is None else self.give_up_at
        tries = 0
        while True:
            wait = _WAITS_SECONDS[min(tries, len(_WAITS_SECONDS) - 1)]
            tries += 1
            _limit_timeouts(request, until)
            is_over = time.monotonic() + wait > until
            try:
                response = super().handle_request(request)
            except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
                was_never_there = isinstance(error, httpx.ConnectError) and not self.has_answered
                if was_never_there or is_over or time.monotonic() + wait > until:
                    raise
            else:
                self.has_answered = True
                if response.status_code not in _BUSY or is_over:
                    return response
                response.close()
            time.sleep(wait)


def _limit_timeouts(request: httpx.Request, until: float) -> None:
    left = max(_LEAST_SECONDS, until - time.monotonic())
    limits = request.extensions.get("timeout", {})
    shorter = {name: left if limit is None else min(limit, left) for name, limit in limits.items()}
    request.extensions = {**request.extensions, "timeout": shorter}


class PrefectApi:
    """A client of one Prefect server (``http://host:port/api``). Importing Prefect's own client would cost a command 2 s.

    Every method raises TransientError when the server does not answer, and PermanentError when it refuses the credentials
    or answers in an unknown form. The constructor raises WrongUse for an invalid address.
    """

    def __init__(self, url: str, auth: SecretStr | None = None, patience_s: float = PATIENCE_S) -> None:
        """``auth``: the server's authentication string, ``name:password``. ``patience_s``: how long each call is repeated
        while the server is busy."""
        name, _, password = auth.get_secret_value().partition(":") if auth else ("", "", "")
        login = httpx.BasicAuth(name, password) if auth else None
        self._url = url
        self._transport = Patient(patience_s)
        # A proxy from the environment cannot reach this machine's own addresses and must not see what is sent to them.
        if not is_server_address(url):
            raise WrongUse(f"{url!r} is not the address of a Prefect API, like http://127.0.0.1:4200/api")
        away = host_of_url(url) not in LOOPBACK_NAMES
        self._client = httpx.Client(
            base_url=url, timeout=_REQUEST_SECONDS, transport=self._transport, auth=login, trust_env=away
        )

    @property
    def give_up_at(self) -> float | None:
        """Deadline of all calls (monotonic seconds), instead of ``patience_s`` for each call; None: no such deadline."""
        return self._transport.give_up_at

    @give_up_at.setter
    def give_up_at(self, at: float | None) -> None:
        self._transport.give_up_at = at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._client.close()

    def start_run(self, deployment: str, parameters: Parameters | None = None, wait_seconds: float = 0) -> FlowRun:
        """Start a run of ``flow/deployment``, wait up to ``wait_seconds`` for its end (0: do not wait), and return it.

        Raises PermanentError when there is no such deployment, TransientError when the run does not end in time.
        """
        found = self._find_deployment(deployment, _Deployment)
        if found is None:
            raise PermanentError(f"there is no deployment {deployment!r} at {self._url}")
        deployment_id = found["id"]
        # The key makes the request idempotent: when it is repeated, Prefect returns the run that it has already created.
        body = {"parameters": parameters or {}, "state": {"type": "SCHEDULED"}, "idempotency_key": str(uuid.uuid4())}
        created = self._send_request("POST", f"/deployments/{deployment_id}/create_flow_run", body)
        run = self._read_as(FlowRun, created)
        return self.wait_for_end(run, wait_seconds) if wait_seconds else run

    def wait_for_end(self, run: FlowRun, seconds: float, began: float | None = None) -> FlowRun:
        """Wait until the run has ended, and return it. Raises TransientError when it has not ended after ``seconds``.

        ``began``: time from which ``seconds`` count (monotonic seconds); None: now.
        """
        end = self.give_up_at = (time.monotonic() if began is None else began) + seconds
        while run["state"]["type"] not in FINAL:
            if time.monotonic() > end:
                raise TransientError(f"the run {run['name']} has not ended after {seconds:.0f} s; it continues")
            time.sleep(min(_POLL_SECONDS, max(0.0, end - time.monotonic())))
            try:
                run = self._read_as(FlowRun, self._send_request("GET", f"/flow_runs/{run['id']}"))
            except TransientError as error:
                raise TransientError(
                    f"{error}; the run {run['name']} has not ended after {seconds:.0f} s and continues"
                ) from error
        self.give_up_at = None
        return run

    def list_recent_runs(self, limit: int) -> list[RecentRun]:
        """The last ``limit`` runs that have started, latest first."""
        wanted = {
            "sort": "START_TIME_DESC",
            "limit": limit,
            "flow_runs": {"start_time": {"is_null_": False}},
        }
        runs = self._read_as(list[_ListedRun], self._send_request("POST", "/flow_runs/filter", wanted))
        flows = self._read_flow_names()
        return [RecentRun(flow=flows.get(r["flow_id"], ""), state=r["state"]["name"], name=r["name"]) for r in runs]

    def list_deployments(self) -> list[str]:
        """The deployments that can be started, as ``flow/deployment``, sorted."""
        found = self._read_as(list[_Deployment], self._send_request("POST", "/deployments/filter", {"limit": 100}))
        flows = self._read_flow_names()
        return sorted(f"{flows.get(deployment['flow_id'], '?')}/{deployment['name']}" for deployment in found)

    def list_events(self, wanted: Mapping[str, object]) -> list[PrefectEvent]:
        """The first page of Prefect's events that match a filter, latest first."""
        return self._read_as(_EventPage, self._send_request("POST", "/events/filter", wanted))["events"]

    def _find_deployment(self, name: str, declared: type[T]) -> T | None:
        """The deployment ``flow/deployment``, checked against ``declared``; None if there is none of this name."""
        parts = name.split("/")
        # The parts become part of a path: "../../admin" must not reach another endpoint.
        if len(parts) != 2 or not {"", ".", ".."}.isdisjoint(parts):
            return None
        found = self._send_request("GET", f"/deployments/name/{'/'.join(quote(part, safe='') for part in parts)}")
        return None if found.status_code == httpx.codes.NOT_FOUND else self._read_as(declared, found)

    def _read_flow_names(self) -> dict[str, str]:
        found = self._read_as(list[_Flow], self._send_request("POST", "/flows/filter", {"limit": 100}))
        return {flow["id"]: flow["name"] for flow in found}

    def _send_request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> httpx.Response:
        """The response, whatever its status."""
        try:
            return self._client.request(method, path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransientError(
                f"Prefect does not answer at {self._url} ({describe_http_error(error)}){self._suggest_start()}"
            ) from error

    def _suggest_start(self) -> str:
        return "" if self._transport.has_answered else "; `furrow up` starts it"

    def _read_as(self, declared: type[T], answer: httpx.Response) -> T:
        """The JSON of a successful response, checked against ``declared``; keys that it does not declare are kept."""
        body = self._decode_answer(answer)
        try:
            msgspec.convert(body, declared)
        except msgspec.ValidationError as error:
            raise PermanentError(f"the answer of Prefect at {self._url} has an unknown form: {error}") from None
        checked: T = body
        return checked

    def _decode_answer(self, answer: httpx.Response) -> Any:
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise PermanentError(f"Prefect at {self._url} refused (401): {_UNAUTHORIZED}")
        if answer.is_error:
            raise TransientError(f"Prefect at {self._url} answered {answer.status_code}")
        try:
            return answer.json()
        except ValueError:
            raise PermanentError(f"what answers at {self._url} is not Prefect") from None
