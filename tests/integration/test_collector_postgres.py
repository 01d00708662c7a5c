"""The collector beside a real incident store: keys, origins and incidents come from it, and intake survives
its absence."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from pydantic import SecretStr

from collector.access.keys import hash_key
from collector.app import create_app
from collector.config import CollectorConfig
from incidents.model import AnalysedSession, Cursor, TouchedSession
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import IncidentStore

EVENT = {"eventType": "click", "timestamp": "2024-01-15T10:00:00Z", "sessionId": "s", "route": "/"}
SENDER = {"X-API-Key": "shop-sender"}
SHOP = {"X-API-Key": "shop-operator"}
ALL = {"X-API-Key": "all-operator"}
_PATIENCE_SECONDS = 60.0


def detection(number: int, *, project: str = "shop", route: str = "/checkout") -> dict[str, Any]:
    fingerprint = f"{route}-{project}".encode().hex().ljust(32, "0")[:32]
    return {
        "detectionId": f"{number:032x}",
        "projectId": project,
        "sessionId": f"s{number}",
        "visitId": f"{number:032x}",
        "visitStart": "2024-01-15T10:00:00.000Z",
        "fingerprint": fingerprint,
        "failurePoint": {"route": route, "target": "button#pay", "feedback": "POST /api/orders → 500"},
        "primaryFailurePoint": f"{route} › button#pay › POST /api/orders → 500",
        "frustrationScore": 92,
        "confidenceLevel": "High",
        "confidenceScore": 0.92,
        "severityType": "Bug",
        "timestamp": "2024-01-15T10:00:05.000Z",
        "lastSeen": "2024-01-15T10:00:09.000Z",
        "triggeringSignals": [
            {
                "type": "rage",
                "start": "2024-01-15T10:00:05.000Z",
                "end": "2024-01-15T10:00:09.000Z",
                "route": route,
                "target": "button#pay",
                "count": 4,
                "text": "4 clicks on button#pay in 1.9 s",
                "eventIds": [],
            }
        ],
        "points": [{"rule": "rage on the failing control", "points": 35}],
        "explanation": "4 clicks on button#pay in 1.9 s.",
        "timeline": [],
        "endedFlow": True,
        "resolved": False,
        "context": {
            "userHash": "",
            "environment": "",
            "appVersion": "",
            "userAgent": "",
            "label": "",
            "truncated": False,
        },
        "engineVersion": "1",
    }


def fill(url: str) -> IncidentStore:
    """A store with three confirmed sessions at one point of `shop`, one draft of another project, keys and
    origins."""
    store = IncidentStore.connect(url)
    store.migrate()
    found = [detection(n) for n in range(1, 4)] + [detection(9, project="other", route="/cart")]
    of_session = {(d["projectId"], d["sessionId"]): d for d in found}
    store.queue.enqueue_sessions([TouchedSession(p, s, n, 0, 0) for n, (p, s) in enumerate(of_session)], Cursor())
    waiting = store.queue.find_due_sessions(1, 100)
    assert (
        store.ledger.record_detections(
            [AnalysedSession(w, (of_session[w.project, w.session_id],), 1) for w in waiting]
        ).stored
        == 4
    )
    store.keys.save_api_key(hash_key("shop-sender"), "shop-s", "shop", "ingest", "browser")
    store.keys.save_api_key(hash_key("shop-operator"), "shop-o", "shop", "operator", "people")
    store.keys.save_api_key(hash_key("all-operator"), "all-op", "*", "operator", "people")
    store.keys.save_project("shop", ["https://shop.example"])
    return store


@contextmanager
def serving(directory: Path, url: str) -> Iterator[httpx.Client]:
    config = CollectorConfig(
        spool_dir=directory / "spool",
        user_salt=SecretStr("salt"),
        incident_store_url=SecretStr(url),
        keys_refresh_seconds=0.1,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(config), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def send(client: httpx.Client, headers: dict[str, str] = SENDER) -> httpx.Response:
    return client.post("/v1/events", json={"events": [EVENT]}, headers=headers)


def until(what: Callable[[], bool]) -> None:
    """Wait for something that happens in the background; fails after a minute."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shop(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE collector_shop")
    url = postgres_server.build_database_url("collector_shop")
    fill(url).close()
    with serving(tmp_path_factory.mktemp("shop"), url) as client:
        until(lambda: send(client).status_code == 202)
        yield client


def test_events_go_to_the_keys_project_and_its_origins_may_send(shop: httpx.Client) -> None:
    assert send(shop).json() == {"accepted": 1, "rejected": []}
    assert send(shop, {**SENDER, "origin": "https://shop.example"}).status_code == 202
    assert send(shop, {**SENDER, "origin": "https://evil.example"}).status_code == 403
    assert send(shop, {**SENDER, "origin": "http://localhost:3000"}).status_code == 403


def test_incidents_are_listed_with_total_limit_and_offset(shop: httpx.Client) -> None:
    page = shop.get("/v1/incidents", headers=ALL).json()
    assert (page["total"], page["limit"], page["offset"]) == (2, 100, 0)
    confirmed = shop.get("/v1/incidents?status=confirmed&exported=false&limit=100", headers=ALL).json()
    assert [i["projectId"] for i in confirmed["incidents"]] == ["shop"]
    assert confirmed["incidents"][0]["affectedSessions"] == 3
    assert shop.get("/v1/incidents?offset=1&limit=1&sort=firstSeen", headers=ALL).json()["total"] == 2


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("status=draft", 1),
        ("status=draft,confirmed", 2),
        ("status=draft&status=confirmed", 2),
        ("exported=true", 0),
        ("project=other", 1),
        ("project=none", 0),
        ("route=/checkout", 1),
        ("minScore=93", 0),
        ("minScore=92", 2),
        ("since=2024-01-15T10:00:05Z", 2),
        ("since=2024-01-15T10:00:06Z", 0),
        ("since=1705312805000", 2),
        ("severity=critical,high,medium,low", 2),
    ],
)
def test_filters_of_the_list(shop: httpx.Client, query: str, total: int) -> None:
    assert shop.get(f"/v1/incidents?{query}", headers=ALL).json()["total"] == total


@pytest.mark.parametrize(
    "query",
    [
        "status=open",
        "status=",
        "exported=maybe",
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=-1",
        "minScore=101",
        "since=yesterday",
        "since=99999999999999999999",
        "sort=score;drop",
        "severity=worst",
        "since=0001-01-01T00:00:00%2B01:00",
        "since=0000-01-01T00:00:00Z",
        "since=%00",
        "limit=99999999999999999999",
        "limit=1e3",
        "offset=99999999999",
        "offset=%D9%A1",
        "unknown=1",
        "route=%00",
        "route=a%1b[31m",
        "project=%00",
        "exported=",
    ],
)
def test_parameters_that_do_not_fit_are_named(shop: httpx.Client, query: str) -> None:
    answer = shop.get(f"/v1/incidents?{query}", headers=ALL)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_parameter")
    assert query.split("=")[0] in answer.json()["error"]["message"]


def test_an_incident_comes_whole(shop: httpx.Client) -> None:
    (listed,) = shop.get("/v1/incidents?project=shop", headers=ALL).json()["incidents"]
    whole = shop.get(f"/v1/incidents/{listed['incidentId']}", headers=ALL).json()
    assert whole["incidentId"] == listed["incidentId"]
    assert len(whole["examples"]) == 3
    assert whole["history"]


@pytest.mark.parametrize("incident_id", ["inc_unknown", "%00", "a%2fb", "é", "x" * 5_000])
def test_an_unknown_incident_is_404(shop: httpx.Client, incident_id: str) -> None:
    answer = shop.get(f"/v1/incidents/{incident_id}", headers=ALL)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_projects_operator_sees_that_project_alone(shop: httpx.Client) -> None:
    everything = shop.get("/v1/incidents", headers=ALL).json()["incidents"]
    ids = {i["projectId"]: i["incidentId"] for i in everything}
    assert [i["projectId"] for i in shop.get("/v1/incidents", headers=SHOP).json()["incidents"]] == ["shop"]
    assert shop.get(f"/v1/incidents/{ids['shop']}", headers=SHOP).status_code == 200
    assert shop.get(f"/v1/incidents/{ids['other']}", headers=SHOP).status_code == 404
    assert shop.get("/v1/incidents?project=other", headers=SHOP).status_code == 404


def test_status_tells_the_incident_stores_figures(shop: httpx.Client) -> None:
    status = shop.get("/v1/status", headers=ALL).json()
    assert (status["detections"], status["incidents"]["confirmed"], status["incidents"]["draft"]) == (4, 1, 1)
    assert status["sessions"]["open"] == 0
    assert status["unavailable"] == ["eventStore"]


def test_intake_survives_postgres_being_down_even_over_a_restart(
    tmp_path: Path, stoppable_postgres: EmbeddedPostgres
) -> None:
    store = fill(stoppable_postgres.url)
    with serving(tmp_path, stoppable_postgres.url) as client:
        until(lambda: send(client).status_code == 202)
        stoppable_postgres.stop()
        until(lambda: client.get("/v1/health").json()["status"] == "degraded")
        assert client.get("/v1/health").status_code == 200, "it still takes events"
        assert send(client).status_code == 202
        answer = client.get("/v1/incidents", headers=ALL)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "incident_store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        status = client.get("/v1/status", headers=ALL).json()
        assert (status["incidents"], status["spoolPending"]["events"]) == (None, 2)
        assert "incidentStore" in status["unavailable"]
    with serving(tmp_path, stoppable_postgres.url) as client:
        assert send(client).status_code == 202, "the keys were kept on disk"
        assert send(client, {"X-API-Key": "unknown"}).status_code == 401
        stoppable_postgres.start()
        store.keys.revoke_api_keys("shop-s")
        until(lambda: send(client).status_code == 401)
        assert client.get("/v1/health").json()["status"] == "ok"
        assert client.get("/v1/incidents", headers=ALL).json()["total"] == 2
    store.close()
