"""The audit log: who did what, for admins; its page, its exports; sessions that an admin ends."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from collector.access.keys import hash_key
from furrow.cli.app import app
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import SHOP, fill, serving
from tests.integration.page_cases import csrf_of, find_foreign_markup, own_origin, page_of, send, sign_in

HOSTILE = "<script>alert(1)</script>'\"\u202e"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    made.keys.save_api_key(hash_key("shop-admin"), "shop-a", "shop", "admin", "shop's admin")
    made.keys.save_api_key(hash_key("all-admin"), "all-ad", "*", "admin", "root")
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


def entries_of(client: httpx.Client, key: str, **query: str) -> list[dict[str, str]]:
    answer = client.get("/audit.json", headers={"X-API-Key": key}, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["entries"])


def test_what_people_do_is_in_the_log_with_their_names(client: httpx.Client) -> None:
    page = page_of(client)
    sign_in(client, page, "shop-operator")
    send(client, page, f"{page}/act", action="resolve", reason=HOSTILE, seen="confirmed")
    client.post("/sign-out", headers=own_origin(client))
    found = entries_of(client, "shop-admin")
    assert [(entry["actor"], entry["action"], entry["projectId"]) for entry in found] == [
        ("shop on call", "sign_out", "shop"),
        ("shop on call", "incident.resolved", "shop"),
        ("shop on call", "sign_in", "shop"),
    ]
    assert found[1]["subject"] == page.rpartition("/")[2]
    sign_in(client, "/audit", "shop-admin")
    shown = client.get("/audit")
    assert find_foreign_markup(shown) == []
    assert "shop on call" in shown.text
    assert "shop on call" in client.get("/audit.md").text


def test_a_refused_action_is_in_the_log(client: httpx.Client, store: IncidentStore) -> None:
    store.keys.save_api_key(hash_key("shop-viewer"), "shop-v", "shop", "viewer", "guest")
    page = page_of(client)
    for _ in range(600):
        if sign_in(client, page, "shop-viewer").status_code == 303:
            break
    fields = {"csrf": csrf_of(client.get("/incidents")), "action": "resolve", "reason": "x", "seen": "confirmed"}
    assert client.post(f"{page}/act", data=fields, headers=own_origin(client)).status_code == 403
    last = entries_of(client, "all-admin")[0]
    assert (last["actor"], last["action"], last["subject"]) == ("guest", "action.refused", f"{page}/act")


def test_links_are_in_the_log_and_a_stolen_one(client: httpx.Client) -> None:
    link = client.post("/v1/sign-in-links", json={"role": "viewer"}, headers=SHOP).json()["url"]
    client.get(link)
    with httpx.Client(trust_env=False) as thief:
        thief.get(link)
        thief.get(f"{link}x")  # a link that nobody made fills no log
    found = entries_of(client, "shop-admin")
    assert [entry["action"] for entry in found] == ["sign_in.refused", "sign_in", "link.created"]
    assert all(link.rpartition("/")[2] not in str(entry) for entry in found)


@pytest.mark.parametrize("key", ["shop-operator", "all-operator"])
def test_only_admins_see_the_log(client: httpx.Client, key: str) -> None:
    for path in ("/audit.json", "/audit.md"):
        assert client.get(path, headers={"X-API-Key": key}).status_code == 403
    sign_in(client, "/incidents", key)
    assert client.get("/audit").status_code == 403
    assert 'href="/audit"' not in client.get("/incidents").text
    assert client.get("/audit").status_code == 403
    sign_in(client, "/incidents", "shop-admin")
    assert 'href="/audit"' in client.get("/incidents").text


def test_an_admin_of_one_project_sees_nothing_of_another(client: httpx.Client) -> None:
    for key in ("shop-operator", "blog-operator", "all-operator"):
        sign_in(client, "/incidents", key)
    assert {entry["projectId"] for entry in entries_of(client, "shop-admin")} == {"shop"}
    assert {entry["projectId"] for entry in entries_of(client, "all-admin")} == {"shop", "blog", "*"}
    assert client.get("/audit.json?project=blog", headers={"X-API-Key": "shop-admin"}).status_code == 404
    assert client.get("/audit.json?project=*", headers={"X-API-Key": "shop-admin"}).status_code == 404


def test_the_log_is_read_page_by_page_without_gap(client: httpx.Client, store: IncidentStore) -> None:
    for number in range(450):
        store.audit.add_audit_entry("Ann", "key.created", "shop", f"key {number}")
    seen: list[str] = []
    after = ""
    while True:
        page = client.get("/audit.json", headers={"X-API-Key": "all-admin"}, params={"after": after}).json()
        seen += [entry["subject"] for entry in page["entries"]]
        after = page["next"] or ""
        if not after:
            break
    assert seen == [f"key {number}" for number in reversed(range(450))]


@pytest.mark.parametrize("query", ["after=x", "after=2026-01-01~0~1", "since=yesterday", "until=%00", "project=%00",
                                   "after=9999-99-99T00:00:00%2B00:00~0~1"])  # fmt: skip
def test_a_wrong_filter_is_refused(client: httpx.Client, query: str) -> None:
    assert client.get(f"/audit.json?{query}", headers={"X-API-Key": "all-admin"}).status_code == 400


def test_the_log_is_filtered_by_time(client: httpx.Client, store: IncidentStore) -> None:
    store.audit.add_audit_entry("Ann", "key.created", "shop")
    now = datetime.now(UTC)
    later, earlier = ((now + timedelta(hours=hours)).isoformat() for hours in (1, -1))
    assert [len(entries_of(client, "all-admin", since=at)) for at in (earlier, later)] == [1, 0]
    assert [len(entries_of(client, "all-admin", until=at)) for at in (earlier, later)] == [0, 1]


def test_nobody_changes_the_log(store: IncidentStore, postgres_url: str) -> None:
    store.audit.add_audit_entry("Ann", "key.created", "shop")
    for statement in ("UPDATE audit_log SET actor = 'Bob'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with psycopg.connect(postgres_url) as connection, pytest.raises(psycopg.Error, match="append-only"):
            connection.execute(statement)


def test_an_admin_ends_a_session(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url, trust_env=False) as other:
        sign_in(other, "/incidents", "shop-operator")
        sign_in(client, "/audit", "shop-admin")
        (number,) = re.findall(
            r'name="session" value="(\d+)"><button type="submit">End session<span class="hidden"> of shop on call<',
            client.get("/audit").text,
        )
        assert send(client, "/audit", "/audit/sessions/end", session=number).status_code == 303
        assert other.get("/incidents").status_code == 401
    assert entries_of(client, "shop-admin")[0]["action"] == "session.ended"
    assert send(client, "/audit", "/audit/sessions/end", session=number).status_code == 404


def test_sessions_of_others_are_ended_by_admins_of_their_projects_only(client: httpx.Client, postgres_url: str) -> None:
    with httpx.Client(base_url=client.base_url, trust_env=False) as other:
        sign_in(other, "/incidents", "blog-operator")
        with psycopg.connect(postgres_url) as connection:
            ((number,),) = connection.execute("SELECT session_id FROM page_sessions").fetchall()
        sign_in(client, "/audit", "shop-admin")
        assert "blog on call" not in client.get("/audit").text
        for session in (str(number), "", "x", "-1", "9" * 30):
            assert send(client, "/audit", "/audit/sessions/end", session=session).status_code == 404
        own = csrf_of(client.get("/audit"))
        sign_in(client, "/incidents", "shop-operator")
        fields = {"csrf": csrf_of(client.get("/incidents")), "session": str(number)}
        assert client.post("/audit/sessions/end", data=fields, headers=own_origin(client)).status_code == 403
        assert (
            client.post("/audit/sessions/end", data={**fields, "csrf": own}, headers=own_origin(client)).status_code
            == 403
        )
        assert other.get("/incidents").status_code == 200


def test_the_command_exports_json_lines(
    store: IncidentStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    run = CliRunner()
    made = run.invoke(app, ["keys", "create", "--role", "admin", "--project", "shop", "--label", "Ann"])
    assert made.exit_code == 0, made.output
    store.audit.add_audit_entry("Änn\n", "sign_in", "shop", reason="x")
    lines = [json.loads(line) for line in run.invoke(app, ["audit"]).output.splitlines()]
    assert [(line["actor"], line["action"], line["reason"]) for line in lines] == [
        ("Änn\n", "sign_in", "x"),
        ("command line", "key.created", "admin key Ann"),
    ]
    assert run.invoke(app, ["audit", "--since", "2999-01-01"]).output == ""
    assert run.invoke(app, ["audit", "--until", "2999-01-01", "--project", "blog"]).output == ""
    assert run.invoke(app, ["audit", "--since", "yesterday"]).exit_code != 0
