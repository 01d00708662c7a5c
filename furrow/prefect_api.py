"""The little of Prefect's API that the command line needs: start a deployment's run, wait for it, list runs."""

import time
import uuid
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import SecretStr

from furrow.errors import PermanentError, TransientError
from furrow.hosts import LOOPBACK_NAMES

UNAUTHORIZED = (
    "Prefect refused (401): its authentication string is not the one in the data directory; FURROW_DATA_DIR or --data-dir "
    "names the installation's, FURROW_PREFECT_AUTH sets it, PREFECT_API_AUTH_STRING is for a Prefect elsewhere"
)
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_POLL_SECONDS = 0.5
_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)


class _Patient(httpx.HTTPTransport):
    """Asks again after a 503: Prefect's server on SQLite says so while its database is locked, for a moment."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, or the last 503."""
        for wait in _WAITS_SECONDS:
            response = super().handle_request(request)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
            response.close()
            time.sleep(wait)
        return super().handle_request(request)


class PrefectApi:
    """A client of one Prefect server (``http://host:port/api``). Without it, importing Prefect costs a command 2 s."""

    def __init__(self, url: str, auth: SecretStr | None = None) -> None:
        """``auth``: the server's authentication string, ``name:password``."""
        name, _, password = auth.get_secret_value().partition(":") if auth else ("", "", "")
        login = httpx.BasicAuth(name, password) if auth else None
        # A proxy of the environment cannot reach this machine's own addresses, and is not to see what is sent to them.
        away = httpx.URL(url).host not in LOOPBACK_NAMES
        self._client = httpx.Client(base_url=url, timeout=30, transport=_Patient(), auth=login, trust_env=away)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._client.close()

    def run(self, deployment: str, parameters: dict[str, Any] | None = None, wait_seconds: float = 0) -> dict[str, Any]:
        """Start a run of ``flow/deployment`` and wait for its end; the run as Prefect tells it.

        Raises PermanentError when there is no such deployment, TransientError when it does not end in time.
        """
        found = self._client.get(f"/deployments/name/{deployment}")
        if found.status_code == httpx.codes.NOT_FOUND:
            raise PermanentError(f"there is no deployment {deployment!r}")
        deployment_id = self._json(found)["id"]
        # The key makes asking again harmless: Prefect answers with the run that it has made already.
        body = {"parameters": parameters or {}, "state": {"type": "SCHEDULED"}, "idempotency_key": str(uuid.uuid4())}
        run = self._json(self._client.post(f"/deployments/{deployment_id}/create_flow_run", json=body))
        end = time.monotonic() + wait_seconds
        while wait_seconds and run["state"]["type"] not in _FINAL:
            if time.monotonic() > end:
                raise TransientError(
                    f"the run {run['name']!r} of {deployment} has not ended after {wait_seconds:.0f} s"
                )
            time.sleep(_POLL_SECONDS)
            run = self._json(self._client.get(f"/flow_runs/{run['id']}"))
        return dict(run)

    def recent_runs(self, limit: int) -> list[dict[str, str]]:
        """The last runs that have begun, latest first: flow, state and name."""
        wanted = {
            "sort": "START_TIME_DESC",
            "limit": limit,
            "flow_runs": {"start_time": {"is_null_": False}},
        }
        runs = self._json(self._client.post("/flow_runs/filter", json=wanted))
        flows = {
            flow["id"]: flow["name"] for flow in self._json(self._client.post("/flows/filter", json={"limit": 100}))
        }
        return [{"flow": flows.get(r["flow_id"], ""), "state": r["state"]["name"], "name": r["name"]} for r in runs]

    def events(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """Prefect's events that pass a filter, latest first, one page."""
        return list(self._json(self._client.post("/events/filter", json=wanted))["events"])

    def _json(self, answer: httpx.Response) -> Any:
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise PermanentError(UNAUTHORIZED)
        if answer.is_error:
            raise TransientError(f"Prefect answered {answer.status_code}")
        return answer.json()
