"""Several projects in one installation: nothing of one can be seen, counted, changed or blocked from another.

`shop` and `blog` hold sessions, events, detections and fingerprints of the same names.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.access.keys import hash_key
from collector.spool.segments import list_segments
from stores.incidents.incident_store import AnalysedSession, Cursor, IncidentStore, TouchedSession
from tests.integration.api_cases import (
    ALL,
    BLOG,
    BLOG_SENDER,
    EVENT,
    SHOP,
    SHOP_SENDER,
    STRUGGLE,
    code,
    fill,
    serving,
    until,
    whole_detection,
)

DETECTION: dict[str, Any] = {
    "sessionId": "s1",
    "detectionId": "d1",
    "fingerprint": "f1",
    "frustrationScore": 90,
    "timestamp": "2024-01-15T10:00:00Z",
    "failurePoint": {"route": "/cart", "target": "button#add", "feedback": "POST /api/cart → 500"},
}


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


def own_incident(client: httpx.Client, headers: dict[str, str]) -> dict[str, Any]:
    (found,) = client.get("/v1/incidents", headers=headers).json()["incidents"]
    return dict(found)


def test_lists_and_counts_are_of_the_keys_project(client: httpx.Client) -> None:
    shop, blog = own_incident(client, SHOP), own_incident(client, BLOG)
    assert (shop["projectId"], shop["affectedSessions"], shop["status"]) == ("shop", 3, "confirmed")
    assert (blog["projectId"], blog["affectedSessions"], blog["status"]) == ("blog", 2, "draft")
    assert client.get("/v1/incidents", headers=ALL).json()["total"] == 2
    for filters in ("", "?status=draft,confirmed", "?route=/checkout", "?offset=1&limit=1", "?minScore=1"):
        assert client.get(f"/v1/incidents{filters}", headers=BLOG).json()["total"] == 1
    for other in ("shop", "nowhere", "*", ""):
        answer = client.get("/v1/incidents", params={"project": other}, headers=BLOG)
        assert (answer.status_code, code(answer)) == (404, "not_found"), "the same, whether it exists or not"


def test_an_incident_of_another_project_is_not_there(client: httpx.Client) -> None:
    shop = own_incident(client, SHOP)["incidentId"]
    for known in (shop, "inc_" + "0" * 32):
        answers = [client.get(f"/v1/incidents/{known}", headers=BLOG)]
        for action in ("confirm", "suppress", "resolve", "reopen"):
            path = f"/v1/incidents/{known}/{action}"
            answers.append(client.post(path, json={"reason": "why"}, headers=BLOG))
        assert {(answer.status_code, answer.text) for answer in answers} == {
            (404, '{"error":{"code":"not_found","message":"no such incident"}}')
        }
    after = client.get(f"/v1/incidents/{shop}", headers=SHOP).json()
    assert after["status"] == "confirmed"
    assert [entry["actor"] for entry in after["history"]] == ["rule", "rule"]


@pytest.mark.parametrize("project", ["shop", "nowhere", "*"])
def test_a_body_cannot_name_another_project(client: httpx.Client, tmp_path: Path, project: str) -> None:
    events = {"project_id": project, "session_id": "s1", "events": [EVENT]}
    session = {"projectId": project, "sessionId": "s1", "events": STRUGGLE}
    answers = [
        client.post("/v1/sessions/events", json=events, headers=BLOG),
        client.post("/v1/sessions/process", json=session, headers=BLOG),
        client.post("/v1/incidents", json={"incident": {**DETECTION, "projectId": project}}, headers=BLOG),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (403, '{"error":{"code":"forbidden","message":"this key is for another project"}}')
    }
    assert not list((tmp_path / "spool").glob("*.jsonl"))
    assert client.get("/v1/incidents", headers=ALL).json()["total"] == 2


def test_a_key_of_all_projects_names_one(client: httpx.Client) -> None:
    body = {"project_id": "*", "session_id": "s1", "events": [EVENT]}
    assert client.post("/v1/sessions/events", json=body, headers=ALL).status_code == 403
    for project in ("shop", "a new one"):
        answer = client.post("/v1/sessions/events", json={**body, "project_id": project}, headers=ALL)
        assert answer.json()["processed"] == 1


def test_colliding_events_and_users_are_apart(client: httpx.Client, tmp_path: Path) -> None:
    event = {**EVENT, "idempotencyKey": "same", "userId": "jane"}
    for sender in (SHOP_SENDER, BLOG_SENDER):
        assert client.post("/v1/events", json={"events": [event, EVENT]}, headers=sender).status_code == 202
    found: list[dict[str, Any]] = []

    def landed() -> bool:
        segments = list_segments(tmp_path / "spool")
        found[:] = [json.loads(line) for segment in segments for line in segment.read().splitlines()]
        return len(found) == 4

    until(landed)
    assert {row["session_id"] for row in found} == {"s1"}
    assert sorted(row["project"] for row in found) == ["blog", "blog", "shop", "shop"]
    assert len({row["event_id"] for row in found}) == 4
    assert len({row["user_hash"] for row in found if row["user_hash"]}) == 2


def test_colliding_detections_are_two_incidents(client: httpx.Client) -> None:
    answers = {
        project: client.post(
            "/v1/incidents", json={"incident": {**DETECTION, "projectId": project}}, headers=ALL
        ).json()
        for project in ("shop", "blog")
    }
    assert [answer["duplicate"] for answer in answers.values()] == [False, False]
    assert answers["shop"]["incidentId"] != answers["blog"]["incidentId"]
    for project, headers in (("shop", SHOP), ("blog", BLOG)):
        shown = client.get(f"/v1/incidents/{answers[project]['incidentId']}", headers=headers).json()
        assert (shown["projectId"], shown["affectedSessions"]) == (project, 1)


def test_nobody_can_take_another_projects_fingerprint(client: httpx.Client, store: IncidentStore) -> None:
    # The fingerprint of what will fail in `shop` tomorrow is no secret: it is a hash of project and failure point.
    tomorrow = {**whole_detection("t1", "shop"), "fingerprint": "ab" * 16}
    taken = {**DETECTION, "projectId": "blog", "fingerprint": "ab" * 16, "detectionId": tomorrow["detectionId"]}
    answer = client.post("/v1/incidents", json={"incident": taken}, headers=BLOG).json()
    assert answer["incidentId"] != f"inc_{'ab' * 16}"
    store.queue.enqueue_sessions([TouchedSession("shop", "t1", 7, 0, 0)], Cursor())
    (waiting,) = store.queue.find_due_sessions(1, 10)
    assert store.ledger.record_detections([AnalysedSession(waiting, (tomorrow,), 1)]).incidents == (f"inc_{'ab' * 16}",)
    shown = client.get(f"/v1/incidents/inc_{'ab' * 16}", headers=SHOP).json()
    assert (shown["projectId"], shown["affectedSessions"]) == ("shop", 1)


def test_an_external_detection_cannot_replace_one_of_the_engine(client: httpx.Client) -> None:
    shop = own_incident(client, SHOP)["incidentId"]
    before = client.get(f"/v1/incidents/{shop}", headers=SHOP).json()
    for example in before["examples"]:
        sent = {**DETECTION, "projectId": "shop", "detectionId": example["detectionId"]}
        assert not client.post("/v1/incidents", json={"incident": sent}, headers=SHOP).json()["duplicate"]
    assert client.get(f"/v1/incidents/{shop}", headers=SHOP).json() == before


def test_status_of_a_projects_key_tells_that_project_alone(client: httpx.Client, store: IncidentStore) -> None:
    for sender in (SHOP_SENDER, BLOG_SENDER):
        client.post("/v1/events", json={"events": [EVENT, {}]}, headers=sender)
    store.queue.enqueue_sessions([TouchedSession("blog", f"open-{n}", n, 9_000, 0) for n in range(5)], Cursor())
    store.outbox.claim_incidents("jira", limit=10, min_score=70)
    shop, blog, whole = (client.get("/v1/status", headers=headers).json() for headers in (SHOP, BLOG, ALL))
    assert (shop["project"], shop["detections"], shop["sessions"]) == ("shop", 3, {"open": 0, "complete": None})
    assert (blog["project"], blog["detections"], blog["sessions"]) == ("blog", 2, {"open": 5, "complete": None})
    assert (whole["project"], whole["detections"], whole["sessions"]["open"]) == (None, 5, 5)
    assert (shop["incidents"]["confirmed"], shop["incidents"]["draft"], shop["tickets"]) == (1, 0, {"claimed": 1})
    assert (blog["incidents"]["confirmed"], blog["incidents"]["draft"], blog["tickets"]) == (0, 1, {})
    for name in ("eventsStored", "spoolPending", "deadLetters", "lagSeconds", "lander"):
        assert shop[name] is None, "of the whole installation"
    assert whole["deadLetters"] == 2


def test_origins_are_those_of_the_keys_project(client: httpx.Client) -> None:
    def send(headers: dict[str, str], origin: str) -> int:
        return client.post("/v1/events", json={"events": [EVENT]}, headers={**headers, "origin": origin}).status_code

    assert send(SHOP_SENDER, "https://shop.example") == send(BLOG_SENDER, "https://blog.example") == 202
    assert send(SHOP_SENDER, "https://blog.example") == send(BLOG_SENDER, "https://shop.example") == 403


def test_hosts_below_a_name_may_send_and_pages_without_origin_only_where_asked_for(
    tmp_path: Path, postgres_url: str, store: IncidentStore
) -> None:
    store.keys.save_project("shop", origins=["https://*.shop.example"])
    store.keys.save_project("blog", origins=["*"])
    with serving(tmp_path, postgres_url) as client:

        def send(headers: dict[str, str], origin: str) -> tuple[int, str | None]:
            answer = client.post("/v1/events", json={"events": [EVENT]}, headers={**headers, "origin": origin})
            return answer.status_code, answer.headers.get("access-control-allow-origin")

        below = "https://www.eu.shop.example"
        assert send(SHOP_SENDER, below) == (202, below)
        asked = client.options("/v1/events", headers={"origin": below, "access-control-request-method": "POST"})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, below)
        assert send(SHOP_SENDER, "https://shop.example")[0] == 403
        assert send(SHOP_SENDER, "https://www.shop.example.evil.test")[0] == 403
        assert send(BLOG_SENDER, "https://any.test")[0] == 202
        assert send(BLOG_SENDER, "null") == (403, None)
        assert client.options("/v1/events", headers={"origin": "null"}).status_code == 403
    store.keys.save_project("blog", origins=["null"])
    with serving(tmp_path / "again", postgres_url) as client:
        assert send(BLOG_SENDER, "null") == (202, "null")
        assert send(SHOP_SENDER, "null")[0] == 403


def test_a_projects_rate_holds_for_all_its_keys_and_for_no_other_project(
    tmp_path: Path, postgres_url: str, store: IncidentStore
) -> None:
    store.keys.save_project("shop", settings={"requestsPerSecond": 0.01})
    store.keys.save_api_key(hash_key("second-sender"), "second", "shop", "ingest")
    with serving(tmp_path, postgres_url) as client:

        def send(headers: dict[str, str]) -> httpx.Response:
            return client.post("/v1/events", json={"events": [EVENT]}, headers=headers)

        def send_session(project: str, headers: dict[str, str]) -> httpx.Response:
            body = {"project_id": project, "session_id": "s1", "events": [EVENT]}
            return client.post("/v1/sessions/events", json=body, headers=headers)

        assert send(SHOP_SENDER).status_code == 202
        for refused in (
            send(SHOP_SENDER),
            send({"X-API-Key": "second-sender"}),
            send_session("shop", SHOP),
            send_session("shop", ALL),
        ):
            assert (refused.status_code, code(refused)) == (429, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 100
        assert {send(BLOG_SENDER).status_code for _ in range(20)} == {202}
        assert send_session("blog", ALL).status_code == 200
        assert client.get("/v1/incidents", headers=SHOP).status_code == 200, "reading is not sending"


def test_the_last_use_of_a_key_is_known(client: httpx.Client, store: IncidentStore) -> None:
    client.get("/v1/incidents", headers=BLOG)

    def used() -> set[str]:
        records = store.keys.read_api_keys()
        return {record.prefix for record in records if record.last_used_at is not None}

    until(lambda: "blog-o" in used())
    assert "shop-s" not in used()
