"""Assignment, owners, bulk actions and versions over the operators' API."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import psycopg
import pytest

from collector.routes import registry
from collector.routes.openapi import build_openapi_document
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import ALL, BLOG, SHOP, SHOP_SENDER, code, fill, serving
from tests.integration.incident_store_cases import detection, incident_id, record

UNKNOWN = "inc_00000000000000000000000000000000"
MALFORMED = "../status"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def owners(tmp_path: Path) -> Path:
    path = tmp_path / "OWNERS"
    path.write_text("[shop]\nendpoint:/api/orders @payments anna@example.com\n[*]\n* @everybody\n")
    return path


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore, owners: Path) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url, owners_file=owners) as made:
        yield made


def find_id(client: httpx.Client, key: dict[str, str] = SHOP) -> str:
    (found,) = client.get("/v1/incidents", headers=key).json()["incidents"]
    return str(found["incidentId"])


def list_shop(client: httpx.Client) -> list[dict[str, Any]]:
    return list(client.get("/v1/incidents", headers=SHOP).json()["incidents"])


def read(client: httpx.Client, incident_id: str) -> dict[str, Any]:
    return dict(client.get(f"/v1/incidents/{incident_id}", headers=ALL).json())


def assert_documented(name: str, value: object) -> None:
    schemas = build_openapi_document(registry.GROUPS)["components"]
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": schemas})


def assign(client: httpx.Client, incident_id: str, assignee: str | None, **headers: str) -> httpx.Response:
    body = {"assignee": assignee, "reason": "their checkout"}
    return client.post(f"/v1/incidents/{incident_id}/assign", json=body, headers={**SHOP, **headers})


# Owners
# ----------------------------------------------------------------------------------------------------------------------


def test_an_incident_has_its_owner_and_the_rule_that_decided(client: httpx.Client, owners: Path) -> None:
    listed = client.get("/v1/incidents", headers=ALL).json()["incidents"]
    by_project = {found["projectId"]: found["owner"] for found in listed}
    assert by_project["blog"]["names"] == ["@everybody"]
    assert by_project["shop"] == {
        "names": ["@payments", "anna@example.com"],
        "decidedBy": "rule",
        "line": 2,
        "rule": "endpoint:/api/orders",
        "reason": "line 2: endpoint:/api/orders",
    }
    shown = read(client, find_id(client))
    assert shown["owner"] == by_project["shop"]
    assert_documented("IncidentDetail", shown)
    owners.write_text("# nobody owns anything\n")
    assert read(client, find_id(client))["owner"] is None


def test_a_person_who_was_assigned_is_the_owner(client: httpx.Client) -> None:
    answer = assign(client, find_id(client), "ben")
    assert answer.status_code == 200
    assert answer.json()["owner"]["names"] == ["ben"]
    assert answer.json()["owner"]["reason"] == "assigned by shop on call"
    assert answer.json()["history"][-1]["reason"] == "assigned to ben: their checkout"
    assert_documented("IncidentDetail", answer.json())
    back = assign(client, find_id(client), None).json()
    assert (back["assignee"], back["owner"]["names"][0]) == (None, "@payments")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101, "\x1b[31m", 7])
def test_a_name_is_one_line(client: httpx.Client, name: Any) -> None:
    answer = assign(client, find_id(client), name)
    assert (answer.status_code, code(answer)) == (400, "invalid_body")
    assert read(client, find_id(client))["assignee"] is None


def test_a_key_assigns_in_its_project_only(client: httpx.Client) -> None:
    path, body = f"/v1/incidents/{find_id(client)}/assign", {"assignee": "ben"}
    assert client.post(path, json=body, headers=BLOG).status_code == 404
    assert client.post(path, json=body, headers=SHOP_SENDER).status_code == 403
    assert client.post(path, json=body).status_code == 401
    assert read(client, find_id(client))["assignee"] is None


# Versions
# ----------------------------------------------------------------------------------------------------------------------


def test_a_change_of_an_older_version_is_refused_in_words(client: httpx.Client) -> None:
    incident_id = find_id(client)
    seen = client.get(f"/v1/incidents/{incident_id}", headers=SHOP)
    tag = seen.headers["etag"]
    assert tag == f'"{seen.json()["version"]}"'
    first = client.post(
        f"/v1/incidents/{incident_id}/suppress", json={"reason": "noise"}, headers={**SHOP, "If-Match": tag}
    )
    assert first.status_code == 200
    assert first.headers["etag"] != tag
    late = client.post(
        f"/v1/incidents/{incident_id}/reopen", json={"reason": "real"}, headers={**SHOP, "If-Match": f"W/{tag}"}
    )
    assert (late.status_code, code(late)) == (412, "version_changed")
    assert f"has version {first.json()['version']} now" in late.json()["error"]["message"]
    assert "by shop on call: noise" in late.json()["error"]["message"]
    assert assign(client, incident_id, "ben", **{"If-Match": tag}).status_code == 412
    assert read(client, incident_id) == first.json() | {"updatedAt": read(client, incident_id)["updatedAt"]}
    assert assign(client, incident_id, "ben", **{"If-Match": tag.strip('"')}).status_code == 412
    assert assign(client, incident_id, "ben", **{"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize("tag", ["seven", '"seven"', '"1", "2"', '""', '"99999999999999999999"'])
def test_another_form_of_version_is_refused(client: httpx.Client, tag: str) -> None:
    answer = assign(client, find_id(client), "ben", **{"If-Match": tag})
    assert (answer.status_code, code(answer)) == (400, "invalid_header")
    assert read(client, find_id(client))["assignee"] is None


def test_of_two_people_at_once_one_is_refused(client: httpx.Client) -> None:
    incident_id, gate = find_id(client), threading.Barrier(6)
    tag = client.get(f"/v1/incidents/{incident_id}", headers=SHOP).headers["etag"]

    def choose(number: int) -> int:
        gate.wait()
        return assign(client, incident_id, f"person {number}", **{"If-Match": tag}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(choose, range(6))) == [200, 412, 412, 412, 412, 412]
    assert [entry["reason"].startswith("assigned to") for entry in read(client, incident_id)["history"]].count(
        True
    ) == 1


def test_merge_and_split_may_name_a_version(client: httpx.Client) -> None:
    incident_id, headers = find_id(client), {**SHOP, "If-Match": '"999"'}
    for action, more in (("merge", {"into": UNKNOWN}), ("split", {"failurePoint": "x"})):
        path = f"/v1/incidents/{incident_id}/{action}"
        answer = client.post(path, json={"reason": "r", **more}, headers=headers)
        # The other incident is looked for first.
        assert answer.status_code == (404 if action == "merge" else 412)


# Many at once
# ----------------------------------------------------------------------------------------------------------------------


def act_on_many(client: httpx.Client, key: dict[str, str] = SHOP, **body: Any) -> httpx.Response:
    content = json.dumps({"reason": "noise", **body})  # httpx would refuse half of a surrogate pair
    return client.post("/v1/incidents/bulk", content=content, headers={**key, "content-type": "application/json"})


def test_each_incident_of_many_has_its_answer(client: httpx.Client, store: IncidentStore) -> None:
    record(store, detection("n1", "other"), detection("n2", "third"))
    mine = [found["incidentId"] for found in client.get("/v1/incidents", headers=SHOP).json()["incidents"]]
    assert len(mine) == 3
    store.ledger.apply_action(mine[1], "suppress", "before", "anna")
    before = read(client, mine[2])
    ids = [mine[0], UNKNOWN, mine[1], MALFORMED, find_id(client, BLOG), "\ud800", mine[2], mine[0]]
    versions = {mine[2]: 999}
    answer = act_on_many(client, ids=ids, action="suppress", sessions=3, versions=versions)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["code"] for result in results] == [200, 404, 409, 404, 404, 404, 412]
    assert [result["incidentId"] for result in results[:5]] == ids[:5]
    assert (answer.json()["changed"], answer.json()["refused"]) == (1, 6)
    assert results[0]["status"] == "suppressed"
    assert results[0]["version"] == read(client, mine[0])["version"]
    assert "suppressed cannot suppress" in results[2]["error"]["message"]
    assert results[6]["error"]["code"] == "version_changed"
    assert [read(client, one)["status"] for one in mine[:2]] == ["suppressed", "suppressed"]
    assert read(client, mine[2]) == before
    assert read(client, mine[0])["suppressedSessions"] is not None
    assert_documented("BulkAnswer", answer.json())


def test_many_are_assigned(client: httpx.Client, store: IncidentStore) -> None:
    record(store, detection("n1", "other"))
    ids = [found["incidentId"] for found in client.get("/v1/incidents", headers=SHOP).json()["incidents"]]
    assert act_on_many(client, ids=ids, action="assign", assignee="@payments").json()["changed"] == 2
    assert {read(client, one)["assignee"] for one in ids} == {"@payments"}
    assert act_on_many(client, ids=ids, action="assign", assignee=None).json()["changed"] == 2
    assert {read(client, one)["assignee"] for one in ids} == {None}


@pytest.mark.parametrize(
    ("where", "fix"),
    [
        ({"version": "2.5", "environment": "production"}, ("2.5", "production", False)),
        ({"nextRelease": True}, (None, None, True)),
        ({}, (None, None, False)),
    ],
)
def test_many_are_resolved_where_they_are_fixed(
    client: httpx.Client, store: IncidentStore, where: dict[str, Any], fix: tuple[object, ...]
) -> None:
    record(store, detection("n1", "other"), detection("n2", "third"))
    store.ledger.apply_action(incident_id("other"), "confirm", "seen", "ann")
    ids = [one["incidentId"] for one in list_shop(client)]
    answer = act_on_many(client, ids=ids, action="resolve", **where).json()
    codes = {result["incidentId"]: result["code"] for result in answer["results"]}
    assert codes == {each: 409 if each == incident_id("third") else 200 for each in ids}
    for each in (one for one in list_shop(client) if one["incidentId"] != incident_id("third")):
        assert (each["fixVersion"], each["fixEnvironment"], each["fixInNextRelease"]) == fix
    assert store.incidents.read_incident_summaries([incident_id("third")])[incident_id("third")].status == "draft"


@pytest.mark.parametrize(
    "body",
    [
        {"ids": [], "action": "confirm"},
        {"ids": ["x"] * 201, "action": "confirm"},
        {"ids": "x", "action": "confirm"},
        {"ids": ["x"], "action": "delete"},
        {"ids": ["x"], "action": "confirm", "reason": " "},
        {"ids": ["x"], "action": "confirm", "versions": {"x": -1}},
        {"ids": ["x"], "action": "confirm", "more": 1},
        {"ids": ["x"], "action": "confirm", "version": "2.5"},
        {"ids": ["x"], "action": "assign", "nextRelease": True},
        {"ids": ["x"], "action": "resolve", "version": "2.5", "nextRelease": True},
        {"ids": ["x"], "action": "resolve", "environment": "production"},
        {"ids": ["x"], "action": "resolve", "version": "2\x005"},
    ],
)
def test_a_body_that_does_not_fit_is_refused(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = act_on_many(client, **body)
    assert (answer.status_code, code(answer)) == (400, "invalid_body")


def test_a_browsers_key_acts_on_nothing(client: httpx.Client) -> None:
    assert act_on_many(client, SHOP_SENDER, ids=[find_id(client)], action="suppress").status_code == 403
    assert read(client, find_id(client))["status"] == "confirmed"


def test_while_the_store_is_away_the_answers_say_so(
    client: httpx.Client, postgres_url: str, store: IncidentStore
) -> None:
    ids = [find_id(client), UNKNOWN]
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("ALTER TABLE incidents RENAME TO moved")
        codes = [result["code"] for result in act_on_many(client, ids=ids, action="suppress").json()["results"]]
        assert codes == [503, 503]
        other.execute("ALTER TABLE moved RENAME TO incidents")
    assert [result["code"] for result in act_on_many(client, ids=ids, action="suppress").json()["results"]] == [
        200,
        404,
    ]


# Detections of another system
# ----------------------------------------------------------------------------------------------------------------------


def test_what_a_project_learned_of_its_routes_holds_for_detections_of_others(
    client: httpx.Client, store: IncidentStore
) -> None:
    def send(project: str, route: str) -> str:
        point = {"route": route, "target": "button#save", "feedback": "PUT /api/things → 503"}
        sent = {
            "projectId": project, "sessionId": route, "frustrationScore": 88, "timestamp": "2024-01-15T11:00:00Z",
            "failurePoint": point,
        }  # fmt: skip
        answer = client.post("/v1/incidents", json={"incident": sent}, headers=ALL)
        assert answer.status_code == 200
        return str(answer.json()["incidentId"])

    store.routes.decide_rule("shop", "/things/*", "parameter", "operator")
    assert send("shop", "/things/red") == send("shop", "/things/blue")
    assert send("blog", "/things/red") != send("blog", "/things/blue")
