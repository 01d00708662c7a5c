"""The client of Prefect's API against answers on a real socket."""

import pytest
from pytest_httpserver import HTTPServer

from furrow import prefect_api
from furrow.errors import TransientError
from furrow.prefect_api import PrefectApi


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_api, "_WAITS_SECONDS", (0.0, 0.0))


def test_a_locked_database_is_asked_again(httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/flow_runs/filter").respond_with_data("locked", 503)
    httpserver.expect_request("/flow_runs/filter").respond_with_json([])
    httpserver.expect_request("/flows/filter").respond_with_json([])
    with PrefectApi(httpserver.url_for("")) as api:
        assert api.recent_runs(1) == []


def test_a_server_that_stays_away_is_told(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/flow_runs/filter").respond_with_data("locked", 503)
    with PrefectApi(httpserver.url_for("")) as api, pytest.raises(TransientError, match="503"):
        api.recent_runs(1)
    assert len(httpserver.log) == 3


def test_asking_again_starts_no_second_run(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/deployments/name/detect/detect").respond_with_json({"id": "d"})
    path = "/deployments/d/create_flow_run"
    httpserver.expect_oneshot_request(path).respond_with_data("locked", 503)
    httpserver.expect_request(path).respond_with_json({"id": "r", "name": "n", "state": {"type": "SCHEDULED"}})
    with PrefectApi(httpserver.url_for("")) as api:
        api.run("detect/detect")
    first, second = [request.get_json()["idempotency_key"] for request, _ in httpserver.log if request.path == path]
    assert first == second
