"""The operators' API on a real socket with a real Postgres behind it, row by row of incidents-and-tickets.md, HTTP."""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import psycopg
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from collector.app import create_app
from collector.config import CollectorConfig
from collector.routes import registry
from collector.routes.openapi import OpenApiDocument, build_openapi_document
from collector.routes.route import Operation, Route, list_routes
from collector.spool.segments import list_segments
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import (
    ALL,
    BLOG,
    EVENT,
    SHOP,
    SHOP_SENDER,
    STRUGGLE,
    code,
    fill,
    serving,
    until,
)

ROOT = Path(__file__).parents[2]
DETECTION: dict[str, Any] = {
    "projectId": "shop",
    "sessionId": "elsewhere-1",
    "frustrationScore": 88,
    "timestamp": "2024-01-15T11:00:00+01:00",
    "failurePoint": {"route": "/orders/8841", "target": "button#save", "feedback": "PUT /api/orders/:id → 503"},
    "triggeringSignals": ["rage", {"type": "feedback", "count": 2, "text": "PUT answered 503 twice"}],
    "explanation": "5 clicks on button#save in 3 s",
}


def documented_routes() -> list[tuple[Route[Any], Operation]]:
    return [(route, route.operation) for route in list_routes(registry.GROUPS) if route.operation is not None]


def openapi_document() -> OpenApiDocument:
    return build_openapi_document(registry.GROUPS)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    made.keys.save_project("strict", settings={"confirmSessions": 4})
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


@pytest.fixture(scope="module")
def calm(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A collector shared by the tests after which everything is as it was before."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE api_calm")
    url = postgres_server.build_database_url("api_calm")
    fill(url).close()
    with serving(tmp_path_factory.mktemp("calm"), url) as made:
        yield made


def incident_id(client: httpx.Client, headers: dict[str, str] = SHOP) -> str:
    (found,) = client.get("/v1/incidents", headers=headers).json()["incidents"]
    return str(found["incidentId"])


def act(client: httpx.Client, action: str, body: Any, headers: dict[str, str] = SHOP) -> httpx.Response:
    return client.post(f"/v1/incidents/{incident_id(client)}/{action}", json=body, headers=headers)


def assert_documented(name: str, value: object, *, whole: bool = True) -> None:
    """``value`` fits the schema of the document; ``whole``: and holds nothing that the document does not name."""
    schemas = json.loads(
        json.dumps(openapi_document()["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/")
    )
    if whole:
        for schema in schemas.values():
            if "properties" in schema:
                schema["additionalProperties"] = False
    jsonschema.validate(value, {"$ref": f"#/$defs/{name}", "$defs": schemas})


# ------------------------------------------------------------------------------------------------------------ acting


def test_a_key_is_told_the_projects_that_it_sees(calm: httpx.Client) -> None:
    every = calm.get("/v1/projects", headers=ALL).json()["projects"]
    assert every == sorted(every)
    assert {"default", "shop", "blog"} <= set(every)
    assert "*" not in every
    assert calm.get("/v1/projects", headers=SHOP).json() == {"projects": ["shop"]}
    assert calm.get("/v1/projects", headers=SHOP_SENDER).status_code == 403
    assert calm.get("/v1/projects").status_code == 401


def test_a_person_moves_an_incident_and_the_history_names_key_and_reason(client: httpx.Client) -> None:
    resolved = act(client, "resolve", {"reason": "fixed in 2.4.2"}).json()
    assert (resolved["status"], resolved["allowedActions"]) == ("resolved", ["suppress", "reopen"])
    last = resolved["history"][-1]
    assert (last["actor"], last["from"], last["to"], last["reason"]) == (
        "shop on call",
        "confirmed",
        "resolved",
        "fixed in 2.4.2",
    )
    reopened = act(client, "reopen", {"reason": "not fixed:\nsee ✗"}, ALL).json()
    assert (reopened["status"], reopened["history"][-1]["actor"]) == ("confirmed", "all-op")
    assert reopened["history"][-1]["reason"] == "not fixed:\nsee ✗"
    assert_documented("IncidentDetail", reopened)


def test_an_incident_is_resolved_in_a_version_or_in_the_next_release(client: httpx.Client) -> None:
    fixed = {"reason": "merged", "version": "2.5.0", "environment": "production"}
    resolved = act(client, "resolve", fixed).json()
    assert (resolved["fixVersion"], resolved["fixEnvironment"], resolved["fixInNextRelease"]) == (
        "2.5.0",
        "production",
        False,
    )
    assert resolved["history"][-1]["reason"] == "fixed in 2.5.0 (production): merged"
    assert_documented("IncidentDetail", resolved)
    assert act(client, "reopen", {"reason": "not fixed"}).json()["fixVersion"] is None
    waiting = act(client, "resolve", {"reason": "merged", "nextRelease": True}).json()
    assert (waiting["fixVersion"], waiting["fixInNextRelease"]) == (None, True)
    # A release of another project has nothing to do with it; the next one of this project has the fix.
    other = {"projectId": "blog", "version": "2.6.0"}
    assert client.post("/v1/releases", json=other, headers=ALL).json() == {"success": True, "incidents": []}
    release = {"projectId": "shop", "version": "2.6.0", "branch": "main"}
    added = client.post("/v1/releases", json=release, headers=SHOP)
    assert added.json() == {"success": True, "incidents": [waiting["incidentId"]]}
    shown = client.get(f"/v1/incidents/{waiting['incidentId']}", headers=SHOP).json()
    assert (shown["fixVersion"], shown["fixInNextRelease"]) == ("2.6.0", False)
    assert client.post("/v1/releases", json=release, headers=SHOP).json()["incidents"] == []


@pytest.mark.parametrize(
    "more",
    [
        {"version": "2.5", "nextRelease": True},
        {"environment": "production"},
        {"version": ""},
        {"version": " "},
        {"version": "2\n5"},
        {"version": "v" * 201},
        {"version": 2.5},
        {"nextRelease": "yes"},
        {"until": "2999-01-01T00:00:00Z"},
    ],
)
def test_a_fix_that_makes_no_sense_is_refused(calm: httpx.Client, more: dict[str, Any]) -> None:
    refused = act(calm, "resolve", {"reason": "merged", **more})
    assert (refused.status_code, code(refused)) == (400, "invalid_body")


def test_releases_are_listed_with_the_versions_that_sessions_have(client: httpx.Client) -> None:
    release = {"projectId": "shop", "version": "2.5.0", "environment": "production", "time": "2024-01-20T10:00:00Z"}
    assert client.post("/v1/releases", json=release, headers=SHOP).status_code == 200
    listed = client.get("/v1/releases", headers=SHOP).json()
    assert_documented("ReleaseList", listed)
    found = {entry["version"]: entry for entry in listed["releases"]}
    assert set(found) == {"2.4.1", "2.5.0"}
    assert (found["2.5.0"]["releasedAt"], found["2.5.0"]["addedBy"], found["2.5.0"]["firstSeen"]) == (
        "2024-01-20T10:00:00.000Z",
        "shop on call",
        None,
    )
    assert found["2.4.1"]["releasedAt"] is None
    assert found["2.4.1"]["firstSeen"] is not None
    assert client.get("/v1/releases?project=shop&environment=staging", headers=ALL).json() == {"releases": []}
    every = client.get("/v1/releases", headers=ALL).json()["releases"]
    assert {entry["projectId"] for entry in every} == {"shop", "blog"}
    for odd in ("project=", "project=%00", f"project={'x' * 129}", "environment=a%0Ab", f"environment={'x' * 201}"):
        assert client.get(f"/v1/releases?{odd}", headers=ALL).status_code == 400, odd
    assert client.get("/v1/releases?project=blog", headers=SHOP).status_code == 403
    assert client.get("/v1/releases", headers=SHOP_SENDER).status_code == 403
    assert client.post("/v1/releases", json=release, headers=BLOG).status_code == 403
    assert client.post("/v1/releases", json=release, headers=SHOP_SENDER).status_code == 403
    assert client.post("/v1/releases", json=release).status_code == 401


@pytest.mark.parametrize(
    "more",
    [
        {"version": ""},
        {"version": None},
        {"version": "a\tb"},
        {"environment": ""},
        {"branch": "x" * 201},
        {"time": "yesterday"},
        {"time": "2999-01-01T00:00:00Z"},
        {"projectId": ""},
        {"extra": 1},
    ],
)
def test_a_release_that_makes_no_sense_is_refused(calm: httpx.Client, more: dict[str, Any]) -> None:
    refused = calm.post("/v1/releases", json={"projectId": "shop", "version": "2.5.0", **more}, headers=SHOP)
    assert (refused.status_code, code(refused)) == (400, "invalid_body")


@pytest.mark.parametrize(
    ("ends", "until", "sessions"),
    [
        ({}, None, None),
        ({"until": "2030-01-01T00:00:00+01:00"}, "2029-12-31T23:00:00.000Z", None),
        ({"sessions": 10}, None, 13),
        ({"sessions": 10.0, "until": None}, None, 13),
        ({"sessions": 1, "until": "2030-01-01T00:00:00Z"}, "2030-01-01T00:00:00.000Z", 4),
    ],
)
def test_a_suppression_lasts_for_ever_until_a_date_or_for_so_many_sessions(
    client: httpx.Client, ends: dict[str, Any], until: str | None, sessions: int | None
) -> None:
    moved = act(client, "suppress", {"reason": "a load test", **ends}).json()
    assert (moved["status"], moved["suppressedUntil"], moved["suppressedSessions"]) == ("suppressed", until, sessions)


def test_409_says_what_the_incident_may_do(calm: httpx.Client) -> None:
    answer = act(calm, "confirm", {"reason": "again"})
    assert (answer.status_code, code(answer)) == (409, "illegal_transition")
    assert "confirmed cannot confirm" in answer.json()["error"]["message"]
    assert calm.get("/v1/incidents?status=confirmed", headers=SHOP).json()["total"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "  \n\t "},
        {"reason": None},
        {"reason": 5},
        {"reason": "x" * 2_001},
        {"reason": "a\x00b"},
        {"reason": "\x1b[31mred"},
        {"reason": "why", "until": "2030-01-01"},
        {"reason": "why", "until": "0001-01-01T00:00:00+01:00"},
        {"reason": "why", "until": 1_900_000_000_000},
        {"reason": "why", "sessions": 0},
        {"reason": "why", "sessions": 10**30},
        {"reason": "why", "sessions": 1.5},
        {"reason": "why", "sessions": True},
        {"reason": "why", "unknown": 1},
        {"reason": "why", "a\x00": 1},
    ],
)
def test_400_names_the_field_that_does_not_fit(calm: httpx.Client, body: dict[str, Any]) -> None:
    answer = act(calm, "suppress", body)
    assert (answer.status_code, code(answer)) == (400, "invalid_body")
    assert f"`{list(body or {'reason': 0})[-1]}`" in answer.json()["error"]["message"]
    assert calm.get(f"/v1/incidents/{incident_id(calm)}", headers=SHOP).json()["status"] == "confirmed"


def test_until_and_sessions_belong_to_suppress_alone(calm: httpx.Client) -> None:
    assert act(calm, "resolve", {"reason": "why", "sessions": 3}).status_code == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"reason"', b"\xff", b'{"reason": NaN}', b"[" * 100_000])
def test_400_for_what_is_no_json_object(calm: httpx.Client, body: bytes) -> None:
    paths = ("/v1/incidents", "/v1/incidents/inc_1/confirm", "/v1/sessions/events", "/v1/sessions/process")
    for path in paths:
        answer = calm.post(path, content=body, headers={**ALL, "content-type": "application/json"})
        assert (answer.status_code, code(answer)) in ((400, "invalid_json"), (400, "invalid_batch"))


@pytest.mark.parametrize("name", ["inc_unknown", "%00", "a%2fb", "é", "x" * 5_000, "..", "inc_1%0a"])
def test_404_for_an_incident_that_is_not_there(calm: httpx.Client, name: str) -> None:
    for answer in (
        calm.get(f"/v1/incidents/{name}", headers=ALL),
        calm.post(f"/v1/incidents/{name}/confirm", json={"reason": "why"}, headers=ALL),
    ):
        assert (answer.status_code, code(answer)) == (404, "not_found")


def test_the_limits_of_a_batch_hold_for_every_body(client: httpx.Client) -> None:
    for path in ("/v1/incidents", "/v1/incidents/inc_1/confirm", "/v1/sessions/events", "/v1/sessions/process"):
        large = client.post(path, content=b" " * (1 << 20) + b"{}", headers=ALL)
        assert (large.status_code, code(large)) == (413, "too_large")
        html = client.post(path, content=b"{}", headers={**ALL, "content-type": "text/html"})
        assert (html.status_code, code(html)) == (415, "unsupported_media_type")
    packed = {**SHOP, "content-encoding": "gzip"}
    body = gzip.compress(json.dumps({"reason": "packed"}).encode())
    assert client.post(f"/v1/incidents/{incident_id(client)}/resolve", content=body, headers=packed).status_code == 200


def test_two_people_at_once_move_an_incident_once(client: httpx.Client) -> None:
    path = f"/v1/incidents/{incident_id(client)}/resolve"
    gate = threading.Barrier(6)

    def resolve(number: int) -> int:
        gate.wait()
        return client.post(path, json={"reason": f"by {number}"}, headers=SHOP).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(resolve, range(6))) == [200, 409, 409, 409, 409, 409]


# -------------------------------------------------------------------------------------------- a detection from elsewhere


def test_a_detection_made_elsewhere_becomes_an_incident_once(client: httpx.Client) -> None:
    answers = [client.post("/v1/incidents", json={"incident": DETECTION}, headers=SHOP) for _ in range(2)]
    first, again = (answer.json() for answer in answers)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert first == {"success": True, "incidentId": first["incidentId"], "duplicate": False}
    assert again == {**first, "duplicate": True}
    found = client.get(f"/v1/incidents/{first['incidentId']}", headers=SHOP).json()
    assert (found["projectId"], found["status"], found["affectedSessions"]) == ("shop", "draft", 1)
    assert found["failurePoint"]["route"] == "/orders/:id"
    assert found["signals"] == {"feedback": 1, "rage": 1}
    assert (found["firstSeen"], found["highestScore"]) == ("2024-01-15T10:00:00.000Z", 88)
    assert_documented("IncidentDetail", found)


def test_detections_from_elsewhere_confirm_by_the_projects_rule(store: IncidentStore, client: httpx.Client) -> None:
    def sent(project: str, session: str) -> str:
        detection = {**DETECTION, "projectId": project, "sessionId": session}
        incident = client.post("/v1/incidents", json={"incident": detection}, headers=ALL).json()["incidentId"]
        return str(client.get(f"/v1/incidents/{incident}", headers=ALL).json()["status"])

    assert [sent("blog", f"e{n}") for n in range(3)] == ["draft", "draft", "confirmed"]
    assert [sent("strict", f"e{n}") for n in range(4)] == ["draft", "draft", "draft", "confirmed"]


def test_an_incident_may_be_named_in_one_text(client: httpx.Client) -> None:
    def point(text: str) -> dict[str, str]:
        sent = {k: v for k, v in DETECTION.items() if k != "failurePoint"} | {"primaryFailurePoint": text}
        stored = client.post("/v1/incidents", json={"incident": sent}, headers=SHOP).json()
        found = client.get(f"/v1/incidents/{stored['incidentId']}", headers=SHOP).json()
        return dict(found["failurePoint"])

    whole = {"route": "/checkout", "target": "button#pay", "feedback": "POST /api/orders → 500"}
    assert point("/checkout › button#pay › POST /api/orders → 500") == whole
    assert point("/checkout?token=1") == {"route": "/checkout", "target": "", "feedback": ""}
    assert point("button#pay") == {"route": "", "target": "button#pay", "feedback": ""}
    assert point("button#pay › POST") == {"route": "", "target": "button#pay", "feedback": "POST"}
    assert point("/cart › POST") == {"route": "/cart", "target": "", "feedback": "POST"}


def test_what_the_engine_finds_and_what_is_sent_meet_in_one_incident(client: httpx.Client) -> None:
    (found,) = process(client).json()["incidents"]
    stored = client.post("/v1/incidents", json={"incident": found}, headers=SHOP).json()
    assert stored["incidentId"] == found["incidentId"] == f"inc_{found['fingerprint']}"
    shown = client.get(f"/v1/incidents/{stored['incidentId']}", headers=SHOP).json()
    assert shown["examples"][0]["timeline"] == found["timeline"]
    assert shown["examples"][0]["triggeringSignals"] == found["triggeringSignals"]
    assert_documented("IncidentDetail", shown)


def test_texts_of_a_detection_are_masked_like_those_of_events(client: httpx.Client) -> None:
    sent = {
        **DETECTION,
        "explanation": "mail to jane@example.com",
        "failurePoint": {"route": "/pay?card=4111111111111111", "target": "a", "feedback": "Bearer abcdefghijkl"},
        "context": {"userHash": "jane@example.com", "label": "jane@example.com"},
        "timeline": [
            {"text": "typed 4111 1111 1111 1111", "at": "2024-01-15T10:00:00Z", "route": "/u/jane@example.com"}
        ],
    }
    stored = client.post("/v1/incidents", json={"incident": sent}, headers=SHOP).json()
    text = client.get(f"/v1/incidents/{stored['incidentId']}", headers=SHOP).text
    for secret in ("jane", "4111", "abcdefghijkl", "card="):
        assert secret not in text
    assert "[email]" in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sessionId", None),
        ("sessionId", "a\x00"),
        ("sessionId", "x" * 129),
        ("projectId", None),
        ("projectId", ""),
        ("frustrationScore", 101),
        ("frustrationScore", "92"),
        ("frustrationScore", 10**400),
        ("timestamp", "yesterday"),
        ("timestamp", 1705312805000),
        ("failurePoint", {"target": "x"}),
        ("failurePoint", None),
        ("severityType", "Fatal"),
        ("triggeringSignals", ["\x00"]),
        ("triggeringSignals", ["x"] * 101),
        ("explanation", "x" * 4_001),
        ("timeline", [{"offsetMs": 10**30}]),
        ("timeline", [{"text": "\x00"}]),
        ("points", [{"rule": "x", "points": "5"}]),
        ("context", {"label": "\x7f"}),
        ("endedFlow", "yes"),
        ("fingerprint", "\n"),
    ],
)
def test_a_detection_that_does_not_fit_is_refused_with_the_fields_name(
    calm: httpx.Client, field: str, value: Any
) -> None:
    answer = calm.post("/v1/incidents", json={"incident": {**DETECTION, field: value}}, headers=SHOP)
    assert (answer.status_code, code(answer)) == (400, "invalid_body")
    assert "`incident" in answer.json()["error"]["message"]
    assert calm.get("/v1/incidents", headers=SHOP).json()["total"] == 1


# ------------------------------------------------------------------------------------------- sessions, in the seed's shapes


def rows(spool: Path, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def sealed() -> bool:
        found[:] = [json.loads(line) for s in list_segments(spool) for line in s.read().splitlines()]
        return len(found) >= count

    until(sealed)
    return found


def test_events_of_a_session_land_like_others(client: httpx.Client, spool: Path) -> None:
    nameless = {name: value for name, value in EVENT.items() if name != "sessionId"}
    other = {**EVENT, "sessionId": "another"}
    body = {
        "project_id": "shop",
        "session_id": "s1",
        "events": [nameless, EVENT, other, {**nameless, "eventType": "tap"}, 5],
        "appVersion": "2.4.2",
    }
    answer = client.post("/v1/sessions/events", json=body, headers=SHOP)
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "processed": 2,
        "rejected": [
            {"index": 2, "field": "sessionId", "reason": "is not the session that the body names"},
            {"index": 3, "field": "eventType", "reason": "unknown event type"},
            {"index": 4, "field": "", "reason": "an event must be an object"},
        ],
    }
    assert client.post("/v1/events", json={"events": [EVENT]}, headers=SHOP_SENDER).status_code == 202
    stored = rows(spool, 3)
    assert {(row["project"], row["session_id"]) for row in stored} == {("shop", "s1")}
    assert stored[0]["event_id"] == stored[2]["event_id"], "the same event is the same by either road"
    assert stored[0]["app_version"] == "2.4.2"
    (letters,) = (spool / "dead-letters").iterdir()
    kept = [json.loads(line)["event"] for line in letters.read_text().splitlines()]
    assert (kept[0]["sessionId"], kept[1]["eventType"], kept[2]) == ("another", "tap", 5)


def test_success_is_false_when_no_event_was_accepted(calm: httpx.Client) -> None:
    body = {"project_id": "shop", "session_id": "s1", "events": [{}]}
    answer = calm.post("/v1/sessions/events", json=body, headers=SHOP).json()
    assert (answer["success"], answer["processed"], len(answer["rejected"])) == (False, 0, 1)


@pytest.mark.parametrize("path", ["/v1/sessions/events", "/v1/sessions/process"])
def test_sessions_have_the_limits_of_a_batch(calm: httpx.Client, path: str) -> None:
    names = {"project_id": "shop", "session_id": "s1", "projectId": "shop", "sessionId": "s1"}
    for events, status in (([], 400), ([EVENT] * 1_001, 400), ("x", 400), (None, 400)):
        assert calm.post(path, json={**names, "events": events}, headers=SHOP).status_code == status
    assert calm.post(path, json={**names, "events": [EVENT] * 1_000}, headers=SHOP).status_code == 200
    for name, bad in (("project_id", "\x00"), ("session_id", ""), ("projectId", 5), ("sessionId", "x" * 129)):
        if (name in ("projectId", "sessionId")) == path.endswith("process"):
            answer = calm.post(path, json={**names, name: bad, "events": [EVENT]}, headers=SHOP)
            assert (answer.status_code, code(answer)) == (400, "invalid_body")


def process(client: httpx.Client, headers: dict[str, str] = SHOP, **changes: Any) -> httpx.Response:
    body = {"sessionId": "s9", "projectId": "shop", "events": STRUGGLE, **changes}
    return client.post("/v1/sessions/process", json=body, headers=headers)


def test_one_session_is_analysed_at_once_and_nothing_is_stored(client: httpx.Client, spool: Path) -> None:
    before = client.get("/v1/status", headers=ALL).json()
    answer = process(client)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["count"], found["whyNot"], found["rejected"]) == (1, [], [])
    (incident,) = found["incidents"]
    assert (incident["sessionId"], incident["projectId"], incident["severityType"]) == ("s9", "shop", "Bug")
    assert incident["failurePoint"]["feedback"] == "POST /api/orders → 500"
    assert_documented("Analysis", found)
    assert process(client).json() == found
    after = client.get("/v1/status", headers=ALL).json()
    assert {**after, "lagSeconds": 0} == {**before, "lagSeconds": 0}
    assert not list(spool.glob("*.jsonl"))


def test_a_silent_session_says_why(calm: httpx.Client) -> None:
    found = process(calm, events=[{k: v for k, v in EVENT.items() if k != "sessionId"}, {"eventType": "tap"}]).json()
    assert (found["count"], found["incidents"]) == (0, [])
    assert [silent["rule"] for silent in found["whyNot"]] == ["no_negative_feedback"]
    assert [reject["index"] for reject in found["rejected"]] == [1]
    assert_documented("Analysis", found)


def test_what_a_project_ignores_is_ignored_here_too(client: httpx.Client, store: IncidentStore) -> None:
    store.keys.save_project("shop", settings={"ignoredRoutes": ["/check*"]})
    until(lambda: process(client).json()["count"] == 0)
    assert process(client, ALL, projectId="blog").json()["count"] == 1


def test_intake_goes_on_while_sessions_are_analysed(calm: httpx.Client) -> None:
    large = [{**event, "idempotencyKey": f"{n}"} for n in range(70) for event in STRUGGLE]
    with ThreadPoolExecutor(12) as pool:
        analysed = [pool.submit(process, calm, events=large[:1_000]) for _ in range(12)]
        sent = [calm.post("/v1/events", json={"events": [EVENT]}, headers=SHOP_SENDER) for _ in range(20)]
        assert {answer.status_code for answer in sent} == {202}
        statuses = [future.result().status_code for future in analysed]
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


# --------------------------------------------------------------------------------------------- who may, and what is told


def every_operator_call(client: httpx.Client) -> dict[str, Callable[[dict[str, str]], httpx.Response]]:
    incident = incident_id(client)
    calls: dict[str, Callable[[dict[str, str]], httpx.Response]] = {
        "list": lambda h: client.get("/v1/incidents", headers=h),
        "show": lambda h: client.get(f"/v1/incidents/{incident}", headers=h),
        "create": lambda h: client.post("/v1/incidents", json={"incident": DETECTION}, headers=h),
        "status": lambda h: client.get("/v1/status", headers=h),
        "events": lambda h: client.post(
            "/v1/sessions/events", json={"project_id": "shop", "session_id": "s", "events": [EVENT]}, headers=h
        ),
        "process": lambda h: process(client, h),
    }
    for action in ("confirm", "suppress", "resolve", "reopen"):
        path = f"/v1/incidents/{incident}/{action}"
        calls[action] = lambda h, path=path: client.post(path, json={"reason": "why"}, headers=h)  # type: ignore[misc]
    return calls


def test_a_browsers_key_may_do_none_of_this(calm: httpx.Client) -> None:
    for name, call in every_operator_call(calm).items():
        assert (call(SHOP_SENDER).status_code, name) == (403, name)
        assert code(call(SHOP_SENDER)) == "forbidden"
        for unknown in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"Authorization": "Basic x"}):
            answer = call(unknown)
            assert (answer.status_code, code(answer), name) == (401, "unauthorized", name)


def test_a_collector_that_faces_the_internet_serves_none_of_this(
    tmp_path: Path, postgres_url: str, store: IncidentStore
) -> None:
    with serving(tmp_path, postgres_url, api=False) as client:
        until(lambda: client.post("/v1/events", json={"events": [EVENT]}, headers=SHOP_SENDER).status_code == 202)
        assert client.get("/v1/health").status_code == 200
        for route, _ in documented_routes():
            if route.path not in ("/v1/events", "/v1/health", "/furrow.js", "/furrow-{version}.js"):
                path = route.path.replace("{incident_id}", "inc_1").replace("{exception_id}", "exc_1")
                answer = client.request(route.method, path, headers=ALL)
                assert (answer.status_code, code(answer)) == (404, "not_found")
        for path in ("/docs", "/openapi.json", "/metrics", "/redoc"):
            assert client.get(path, headers=ALL).status_code == 404


def test_every_route_is_documented_and_the_other_way_round() -> None:
    app = create_app(CollectorConfig(spool_dir=Path("unused"), user_salt=SecretStr("s")))
    hidden = {"/metrics", "/docs", "/openapi.json", "/", "/sign-in", "/sign-in/{token}", "/sign-out", "/assets/{name}"}
    hidden |= {"/incidents/{incident_id}", "/incidents/{incident_id}/act", "/incidents/act", "/health/retry"}
    hidden |= {"/incidents/{incident_id}/verdict", "/exceptions/act", "/incidents/views", "/incidents/views/remove"}
    hidden |= {f"/incidents/{form}" for form in ("assign", "merge", "{incident_id}/assign", "{incident_id}/merge")}
    hidden |= {"/incidents/{incident_id}/snooze", "/settings/alerts/test"}
    hidden |= {"/sign-in/callback", "/sign-in/project", "/sign-in/provider", "/signed-out", "/audit/sessions/end"}
    hidden |= {
        f"/settings/{form}" for form in ("projects", "origins", "values", "keys", "keys/revoke", "trackers/check")
    }
    pages = ("incidents", "session", "near-misses", "exceptions", "health", "settings", "audit")
    hidden |= {f"/{page}{form}" for page in (*pages, "incidents/{incident_id}/ticket") for form in ("", ".json", ".md")}
    hidden |= {"/intake/{format}/{key}", "/intake/{format}/{key}/{anything:path}"}  # in the vendors' formats
    served = {(method.lower(), path) for method, path in routes(app) if path not in hidden and method != "OPTIONS"}
    assert served == {(route.method, route.path) for route, _ in documented_routes()}
    assert {(m, p) for p, methods in app.openapi()["paths"].items() for m in methods} == served


def routes(app: FastAPI) -> list[tuple[str, str]]:
    return [(m, r.path) for r in app.routes for m in r.methods]  # type: ignore[attr-defined]


def test_the_documentation_needs_no_internet_and_no_script(calm: httpx.Client) -> None:
    assert calm.get("/openapi.json").json() == json.loads(json.dumps(openapi_document()))
    page = calm.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for foreign in ("http://", "https://", "<script", "src="):
        assert foreign not in page.text
    for route, _ in documented_routes():
        assert f"<code>{route.path}</code>" in page.text


def test_the_examples_of_the_documentation_work(client: httpx.Client) -> None:
    incident = incident_id(client)
    for route, operation in documented_routes():
        if operation.body is not None:
            path = route.path.replace("{incident_id}", incident)
            headers = SHOP_SENDER if path == "/v1/events" else ALL
            there = {"into": incident, **({"sessionId": "s1"} if path.endswith("/verdict") else {})}
            body = {name: there.get(name, value) for name, value in operation.example.items()}
            answer = client.request(route.method, path, json=body, headers=headers)
            # No verdict proposes the exception of the examples, and no secret of a tracker's webhooks is set.
            missing = (404,) if "{exception_id}" in path or "{tracker}" in path else ()
            assert answer.status_code in (operation.status, 409, *missing), answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/nothing", 404, None),
        ("GET", "/v1/incidents/", 404, None),
        ("POST", "/v1/incidents/inc_1/delete", 404, None),
        ("DELETE", "/v1/incidents", 405, "GET, POST"),
        ("GET", "/v1/events", 405, "OPTIONS, POST"),
        ("GET", "/v1/incidents/inc_1/confirm", 405, "POST"),
        ("PUT", "/v1/incidents/inc_1", 405, "GET"),
        ("GET", "/nothing", 404, None),
    ],
)
def test_errors_of_the_framework_have_the_one_shape(
    calm: httpx.Client, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = calm.request(method, path, headers=ALL)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert code(answer) == ("not_found" if status == 404 else "method_not_allowed")


def test_an_unexpected_error_has_it_too(tmp_path: Path, postgres_url: str) -> None:
    # An app whose store breaks in a way that nobody foresaw.
    class Broken:
        def read_api_keys(self) -> list[Any]:
            return []

        read_projects = read_api_keys

        def record_keys_used(self, used: object) -> None: ...

        def list_incidents(self, query: object) -> Any:
            raise ZeroDivisionError("secret detail")

        def close(self) -> None: ...

        @property
        def keys(self) -> Any:
            return self

        @property
        def incidents(self) -> Any:
            return self

    config = CollectorConfig(
        spool_dir=tmp_path / "spool",
        user_salt=SecretStr("s"),
        operator_key=SecretStr("op"),
        incident_store_url=SecretStr("postgresql://u@h/d"),
    )
    app = create_app(config, connect=lambda _: Broken())  # type: ignore[arg-type, return-value]
    answer = asgi_get(app, "/v1/incidents", {"X-API-Key": "op"})
    assert (answer.status_code, code(answer)) == (500, "internal_error")
    assert "secret" not in answer.text


def asgi_get(app: FastAPI, path: str, headers: dict[str, str], host: str = "127.0.0.1") -> httpx.Response:
    """Ask the application itself, as a client at ``host``."""
    import asyncio

    async def ask() -> httpx.Response:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://collector") as client:
                return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_metrics_of_all_projects_are_for_this_machine_and_for_keys_of_all(
    tmp_path: Path, postgres_url: str, store: IncidentStore
) -> None:
    config = CollectorConfig(
        spool_dir=tmp_path / "spool", user_salt=SecretStr("s"), incident_store_url=SecretStr(postgres_url)
    )
    with serving(tmp_path, postgres_url) as client:  # leaves the keys in the cache of the spool's directory
        assert client.get("/metrics").status_code == 200
    for headers, status in (({}, 401), (SHOP, 403), (SHOP_SENDER, 403), (ALL, 200)):
        assert asgi_get(create_app(config), "/metrics", headers, host="192.0.2.7").status_code == status
    # Behind a proxy on this machine everybody comes from this machine, whether the proxy says so or not.
    forwarded = {"X-Forwarded-For": "192.0.2.7"}
    assert asgi_get(create_app(config), "/metrics", forwarded, host="127.0.0.1").status_code == 401
    behind = config.model_copy(update={"trusted_proxies": "127.0.0.1"})
    for headers, status in (({}, 401), (forwarded, 401), (ALL, 200)):
        assert asgi_get(create_app(behind), "/metrics", headers, host="127.0.0.1").status_code == status


def test_the_collector_starts_without_the_engine() -> None:
    wanted = "sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'pyarrow', 'pandas', 'prefect'})"
    # The incident store is opened too: its modules are loaded with it.
    store = "stores.opening.open_incident_store_at('postgresql://nobody@127.0.0.1/none')"
    program = f"import collector.__main__, stores.opening, sys; {store}; print({wanted})"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
