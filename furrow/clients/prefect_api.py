"""The little of Prefect's API that the command line needs: start a deployment's run, wait for it, list runs."""

import time
import uuid
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from core.hosts import LOOPBACK_NAMES
from core.http_errors import describe_http_error

UNAUTHORIZED = (
    "Prefect refused (401): its authentication string is not the one in the data directory; FURROW_DATA_DIR or --data-dir "
    "names the installation's, FURROW_PREFECT_AUTH sets it, PREFECT_API_AUTH_STRING is for a Prefect elsewhere"
)
FINAL: Final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PATIENCE_S: Final = 15.0
"""Seconds for which a request is repeated that a busy server does not answer, unless the caller says another time."""
_POLL_SECONDS = 0.5
_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)  # the last one again and again
_REQUEST_SECONDS = 30.0
_LEAST_SECONDS = 1.0  # that a request may take, however little time is left
_BUSY = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})


class _PatientTransport(httpx.HTTPTransport):
    """Asks again until a time while the server is too busy to answer. Every request of this module may be repeated.

    Prefect's server on SQLite says 503 while its database is locked, and on a busy machine it answers late or breaks off.
    A server that was never there is not waited for: its port refuses the first connection.
    """

    def __init__(self) -> None:
        super().__init__()
        self.until = 0.0  # monotonic seconds
        self.has_answered = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer; the last one, or the last error, when the time is over."""
        tries = 0
        while True:
            wait = _WAITS_SECONDS[min(tries, len(_WAITS_SECONDS) - 1)]
            tries += 1
            self._limit_timeouts(request)
            is_over = time.monotonic() + wait > self.until
            try:
                response = super().handle_request(request)
            except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
                was_never_there = isinstance(error, httpx.ConnectError) and not self.has_answered
                if was_never_there or is_over or time.monotonic() + wait > self.until:
                    raise
            else:
                self.has_answered = True
                if response.status_code not in _BUSY or is_over:
                    return response
                response.close()
            time.sleep(wait)

    def _limit_timeouts(self, request: httpx.Request) -> None:
        left = max(_LEAST_SECONDS, self.until - time.monotonic())
        limits = request.extensions.get("timeout", {})
        shorter = {name: left if limit is None else min(limit, left) for name, limit in limits.items()}
        request.extensions = {**request.extensions, "timeout": shorter}


class PrefectApi:
    """A client of one Prefect server (``http://host:port/api``). Without it, importing Prefect costs a command 2 s.

    Every method raises TransientError when the server does not answer, and PermanentError when it refuses the sign-in.
    """

    def __init__(self, url: str, auth: SecretStr | None = None, patience_s: float = PATIENCE_S) -> None:
        """``auth``: the server's authentication string, ``name:password``. ``patience_s``: how long each call repeats what
        a busy server does not answer."""
        name, _, password = auth.get_secret_value().partition(":") if auth else ("", "", "")
        login = httpx.BasicAuth(name, password) if auth else None
        self._url = url
        self._patience_s = patience_s
        self.give_up_at: float | None = None
        """Time (monotonic seconds) at which patience ends, whatever ``patience_s`` says; None: that counts."""
        self._transport = _PatientTransport()
        # A proxy of the environment cannot reach this machine's own addresses, and is not to see what is sent to them.
        try:
            away = httpx.URL(url).host not in LOOPBACK_NAMES
        except httpx.InvalidURL:
            raise PermanentError(f"{url!r} is no address of a Prefect API, like http://127.0.0.1:4200/api") from None
        self._client = httpx.Client(
            base_url=url, timeout=_REQUEST_SECONDS, transport=self._transport, auth=login, trust_env=away
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._client.close()

    def start_run(
        self, deployment: str, parameters: dict[str, Any] | None = None, wait_seconds: float = 0
    ) -> dict[str, Any]:
        """Start a run of ``flow/deployment`` and wait for its end; the run as Prefect tells it.

        Raises PermanentError when there is no such deployment, TransientError when it does not end in time.
        """
        found = self._send_request("GET", f"/deployments/name/{deployment}")
        if found.status_code == httpx.codes.NOT_FOUND:
            raise PermanentError(f"there is no deployment {deployment!r}")
        deployment_id = self._decode_answer(found)["id"]
        # The key makes asking again harmless: Prefect answers with the run that it has made already.
        body = {"parameters": parameters or {}, "state": {"type": "SCHEDULED"}, "idempotency_key": str(uuid.uuid4())}
        run = dict(
            self._decode_answer(self._send_request("POST", f"/deployments/{deployment_id}/create_flow_run", body))
        )
        return self.wait_for_end(run, wait_seconds) if wait_seconds else run

    def wait_for_end(self, run: dict[str, Any], seconds: float, began: float | None = None) -> dict[str, Any]:
        """The run when it has ended. Raises TransientError when it has not after ``seconds``, or is not known to have.

        ``began``: since when the seconds count (monotonic); None: now.
        """
        end = self.give_up_at = (time.monotonic() if began is None else began) + seconds
        while run["state"]["type"] not in FINAL:
            if time.monotonic() > end:
                raise TransientError(f"the run {run['name']} has not ended after {seconds:.0f} s; it goes on")
            time.sleep(min(_POLL_SECONDS, max(0.0, end - time.monotonic())))
            try:
                run = dict(self._decode_answer(self._send_request("GET", f"/flow_runs/{run['id']}")))
            except TransientError as error:
                raise TransientError(f"{error}; {seconds:.0f} s are over, and the run {run['name']} goes on") from error
        self.give_up_at = None
        return run

    def list_recent_runs(self, limit: int) -> list[dict[str, str]]:
        """The last runs that have begun, latest first: flow, state and name."""
        wanted = {
            "sort": "START_TIME_DESC",
            "limit": limit,
            "flow_runs": {"start_time": {"is_null_": False}},
        }
        runs = self._decode_answer(self._send_request("POST", "/flow_runs/filter", wanted))
        found = self._decode_answer(self._send_request("POST", "/flows/filter", {"limit": 100}))
        flows = {flow["id"]: flow["name"] for flow in found}
        return [{"flow": flows.get(r["flow_id"], ""), "state": r["state"]["name"], "name": r["name"]} for r in runs]

    def list_events(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """Prefect's events that pass a filter, latest first, one page."""
        return list(self._decode_answer(self._send_request("POST", "/events/filter", wanted))["events"])

    def _send_request(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """The answer, whatever its status."""
        at = self.give_up_at
        self._transport.until = time.monotonic() + self._patience_s if at is None else at
        try:
            return self._client.request(method, path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransientError(
                f"Prefect does not answer at {self._url} ({describe_http_error(error)}){self._suggest_start()}"
            ) from error

    def _suggest_start(self) -> str:
        return "" if self._transport.has_answered else "; `furrow up` starts it"

    def _decode_answer(self, answer: httpx.Response) -> Any:
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise PermanentError(UNAUTHORIZED)
        if answer.is_error:
            raise TransientError(f"Prefect at {self._url} answered {answer.status_code}")
        try:
            return answer.json()
        except ValueError:
            raise PermanentError(f"what answers at {self._url} is not Prefect") from None
