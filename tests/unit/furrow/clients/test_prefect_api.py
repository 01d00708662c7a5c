"""The client of Prefect's API against answers on a real socket."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from core.errors import PermanentError, TransientError, WrongUse
from core.kept_secrets import PREFECT_AUTH
from furrow.clients import prefect_api
from furrow.clients.prefect_api import FlowRun, PrefectApi
from tests.e2e.installation import Up, patient

RUN: FlowRun = {"id": "r", "name": "n", "state": {"type": "RUNNING", "name": "Running"}}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_api, "_WAITS_SECONDS", (0.0, 0.05))
    monkeypatch.setattr(prefect_api, "_POLL_SECONDS", 0.0)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"


def test_a_locked_database_is_asked_again(httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/flow_runs/filter").respond_with_data("locked", 503)
    httpserver.expect_request("/flow_runs/filter").respond_with_json([])
    httpserver.expect_request("/flows/filter").respond_with_json([])
    with PrefectApi(httpserver.url_for("")) as api:
        assert api.list_recent_runs(1) == []


def test_a_server_that_stays_away_is_told_with_its_address(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/flow_runs/filter").respond_with_data("locked", 503)
    with (
        PrefectApi(httpserver.url_for(""), patience_s=0.2) as api,
        pytest.raises(TransientError, match=rf"Prefect at {httpserver.url_for('')} answered 503"),
    ):
        api.list_recent_runs(1)
    assert len(httpserver.log) > 2


def test_asking_again_starts_no_second_run(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/deployments/name/detect/detect").respond_with_json(
        {"id": "d", "name": "detect", "flow_id": "f"}
    )
    path = "/deployments/d/create_flow_run"
    httpserver.expect_oneshot_request(path).respond_with_data("locked", 503)
    httpserver.expect_request(path).respond_with_json(
        {"id": "r", "name": "n", "state": {"type": "SCHEDULED", "name": "Scheduled"}}
    )
    with PrefectApi(httpserver.url_for("")) as api:
        api.start_run("detect/detect")
    first, second = [request.get_json()["idempotency_key"] for request, _ in httpserver.log if request.path == path]
    assert first == second


def test_a_run_is_followed_through_errors_late_answers_and_broken_connections(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect_api, "_REQUEST_SECONDS", 0.3)
    answered: list[int] = []

    def answer(request: Request) -> Response:
        answered.append(1)
        if len(answered) == 1:
            return Response("locked", 503)
        if len(answered) == 2:
            time.sleep(0.6)  # later than the request may take
        if len(answered) == 3:
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return Response('{"id": "r", "name": "n", "state": {"type": "COMPLETED", "name": "Completed"}}', 200)

    httpserver.expect_request("/flow_runs/r").respond_with_handler(answer)
    with PrefectApi(httpserver.url_for("")) as api:
        assert api.wait_for_end(RUN, 60)["state"]["type"] == "COMPLETED"
    assert len(answered) == 4


def test_the_clients_of_tests_survive_a_slow_answer(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    up = Up(tmp_path)
    up.prefect_port = httpserver.port
    (tmp_path / PREFECT_AUTH).write_text("furrow:password")
    monkeypatch.setattr(prefect_api, "_REQUEST_SECONDS", 0.3)
    answered: list[int] = []

    def slow_at_first(_: Request) -> Response:
        answered.append(1)
        if len(answered) % 2:
            time.sleep(0.6)  # later than a request may take
        return Response("{}", 200, content_type="application/json")

    httpserver.expect_request("/api/flow_runs/r").respond_with_handler(slow_at_first)
    with patient(up.prefect_api, up.secret(PREFECT_AUTH)) as client:
        client.timeout = httpx.Timeout(0.3)
        assert client.get("/flow_runs/r").is_success
    with up.prefect() as prefect:
        assert prefect._client.get("/flow_runs/r").is_success
    assert len(answered) >= 4


def test_a_prefect_that_is_started_again_is_waited_for(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/flow_runs/r").respond_with_json(RUN)
    again = HTTPServer(port=httpserver.port)
    with PrefectApi(httpserver.url_for("")) as api:
        httpx.get(httpserver.url_for("/flow_runs/r"))
        threading.Timer(0.3, httpserver.stop).start()
        threading.Timer(1.0, lambda: _start(again)).start()
        try:
            assert api.wait_for_end(RUN, 60)["state"]["type"] == "COMPLETED"
        finally:
            again.stop()
            httpserver.start()


def _start(again: HTTPServer) -> None:
    again.expect_request("/flow_runs/r").respond_with_json({**RUN, "state": {"type": "COMPLETED", "name": "Completed"}})
    again.start()


def test_a_prefect_that_hangs_is_waited_for_until_the_time_and_no_longer(silent: str) -> None:
    began = time.monotonic()
    with (
        PrefectApi(silent) as api,
        pytest.raises(
            TransientError, match=rf"{silent} \(no answer in time\).* the run n has not ended after 1 s and continues"
        ),
    ):
        api.wait_for_end(RUN, 1)
    assert time.monotonic() - began < 20  # not the 30 s of one request


def test_a_prefect_that_was_never_there_is_not_waited_for() -> None:
    with (
        PrefectApi("http://127.0.0.1:9/api", patience_s=3_600) as api,
        pytest.raises(TransientError, match=r"127.0.0.1:9/api \(connection refused\); `furrow up` starts it"),
    ):
        api.list_recent_runs(1)


def test_what_is_not_prefect_is_said(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/flow_runs/filter").respond_with_data("<html>")
    with PrefectApi(httpserver.url_for("")) as api, pytest.raises(PermanentError, match="is not Prefect"):
        api.list_recent_runs(1)


@pytest.mark.parametrize(
    "url", ["http://prefect:port/api", "http://1.2.3.999/api", "prefect", "http://prefect\x01/api"]
)
def test_an_invalid_address_is_wrong_use(url: str) -> None:
    with pytest.raises(WrongUse, match="is not the address of a Prefect API"):
        PrefectApi(url)
