"""Alerts on the review pages: channels of owners, a test of the channels, and snoozing an incident."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.access.keys import hash_key
from stores.incidents.channel_tests import ChannelAnswer
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import BLOG, SHOP, fill, serving, until
from tests.integration.page_cases import csrf_of, find_foreign_markup, own_origin, page_of, send, sign_in

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    made.keys.save_api_key(hash_key("all-admin"), "all-ad", "*", "admin", "all-admin")
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        sign_in(made, "/settings", "all-admin")
        yield made


def edit(client: httpx.Client, path: str, **fields: Any) -> httpx.Response:
    """Send a form of the page of ``shop``, with the hidden fields that it has."""
    page = client.get("/settings?project=shop")
    seen = re.search(r'name="seen" value="([0-9a-f]+)"', page.text)
    assert seen is not None
    return client.post(
        path,
        data={"csrf": csrf_of(page), "project": "shop", "seen": seen[1], **fields},
        headers=own_origin(client),
    )


def set_owners(client: httpx.Client, text: str) -> httpx.Response:
    return edit(client, "/settings/values", section="alerts", **{"set.alertOwners": text})


def owners_of(store: IncidentStore) -> object:
    return next(record.settings for record in store.keys.read_projects() if record.id == "shop").get("alertOwners")


# Channels of owners
# ----------------------------------------------------------------------------------------------------------------------


def test_channels_of_owners_are_lines(client: httpx.Client, store: IncidentStore) -> None:
    assert set_owners(client, "@team-pay = pay, ops\r\na=b@example.com=mail\r\n@quiet =\r\n").status_code == 303
    assert owners_of(store) == {"@team-pay": ["pay", "ops"], "a=b@example.com": ["mail"], "@quiet": []}
    shown = html.unescape(client.get("/settings?project=shop").text)
    assert "@quiet = \n@team-pay = pay, ops\na=b@example.com = mail</textarea>" in shown
    assert "one owner a line, like @team-pay = pay, ops" in shown
    changes = len(store.edits.list_changes("shop"))
    field = re.search(r'name="set.alertOwners"[^>]*>([^<]*)<', shown)
    assert field is not None
    assert set_owners(client, field[1]).status_code == 303
    assert len(store.edits.list_changes("shop")) == changes
    assert set_owners(client, "").status_code == 303
    assert owners_of(store) is None
    assert "alertOwners to its default" in store.edits.list_changes("shop")[0].change


@pytest.mark.parametrize(
    "text",
    [
        "@team-pay",
        "= pay",
        "@a = pay\n@a = ops",
        "@a = no channel",
        f"@a = {HOSTILE}",
        '{"@a": ["pay"]}',
        f"{'x' * 201} = pay",
    ],
)
def test_lines_that_are_none_are_refused(client: httpx.Client, store: IncidentStore, text: str) -> None:
    assert set_owners(client, "@team-pay = pay").status_code == 303
    refused = set_owners(client, text)
    assert refused.status_code == 400
    assert find_foreign_markup(refused) == []
    assert owners_of(store) == {"@team-pay": ["pay"]}


def test_hostile_owners_are_text_and_a_wrong_stored_value_stays(client: httpx.Client, store: IncidentStore) -> None:
    assert set_owners(client, f"{HOSTILE} = pay").status_code == 303
    assert owners_of(store) == {HOSTILE: ["pay"]}
    assert find_foreign_markup(client.get("/settings?project=shop")) == []
    wrong = {"alertOwners": {"@a": "pay"}}
    store.keys.save_project("shop", ["https://shop.example"], wrong)
    shown = html.unescape(client.get("/settings?project=shop").text)
    assert '{"@a": "pay"}' in shown
    fields = {"set.alertOwners": '{"@a": "pay"}', "set.alertUserTimes": "7"}
    assert edit(client, "/settings/values", section="alerts", **fields).status_code == 303
    assert owners_of(store) == {"@a": "pay"}


# A test of the channels
# ----------------------------------------------------------------------------------------------------------------------


def test_a_test_is_asked_for_and_its_answers_are_shown(client: httpx.Client, store: IncidentStore) -> None:
    assert "No test was asked for yet." in client.get("/settings").text
    assert client.get("/settings.json").json()["alertTest"] is None
    answer = edit(client, "/settings/alerts/test")
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings?project=shop#engine")
    assert "A test was asked for now by all-admin" in re.sub(r"<[^>]*>", "", client.get("/settings").text)
    test = store.channel_tests.read_test()
    assert test is not None
    store.channel_tests.record_answers(test, [ChannelAnswer("ops", True, ""), ChannelAnswer("mail", False, HOSTILE)])
    shown = client.get("/settings")
    assert find_foreign_markup(shown) == []
    assert "<code>ops</code> <span" in shown.text
    assert "&lt;script&gt;" in shown.text
    assert "asked for a test alert" in shown.text
    assert client.get("/settings.json").json()["alertTest"]["channels"] == [
        {"channel": "ops", "sent": True, "answer": ""},
        {"channel": "mail", "sent": False, "answer": HOSTILE},
    ]
    logged = store.audit.list_audit_entries().entries
    assert [(entry.actor, entry.project) for entry in logged if entry.action == "alerts.tested"] == [("all-admin", "*")]
    store.channel_tests.ask_for_test("all-admin")
    again = store.channel_tests.read_test()
    assert again is not None
    store.channel_tests.record_answers(again, [])
    assert "names no channel" in client.get("/settings").text


# Snoozing
# ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def operator(client: httpx.Client) -> httpx.Client:
    client.cookies.clear()
    sign_in(client, "/incidents", "shop-operator")
    return client


def test_an_incident_is_snoozed_and_wakes(operator: httpx.Client, store: IncidentStore) -> None:
    page = page_of(operator)
    assert "Not snoozed" in operator.get(page).text
    assert send(operator, page, f"{page}/snooze", **{"for": "4h", "reason": HOSTILE}).status_code == 303
    (snooze,) = store.alert_outbox.list_snoozes()
    assert timedelta(hours=3, minutes=59) < snooze.until - datetime.now(UTC) <= timedelta(hours=4)
    assert (snooze.actor, snooze.reason) == ("shop on call", HOSTILE)
    shown = operator.get(page)
    assert find_foreign_markup(shown) == []
    assert "Snoozed until" in shown.text
    assert operator.get(f"{page}.json").json()["snoozedUntil"] == snooze.until.isoformat()
    assert operator.get(f"{page}.json").json()["history"][-1]["reason"].startswith("alerts snoozed until ")
    assert send(operator, page, f"{page}/snooze", **{"for": "0"}).status_code == 303
    assert store.alert_outbox.list_snoozes() == []
    ended = operator.get(f"{page}.json").json()
    assert (ended["snoozedUntil"], ended["history"][-1]["reason"]) == (None, "alerts no longer snoozed")
    assert ended["history"][-1]["actor"] == "shop on call"


def test_a_snooze_makes_no_other_form_older(operator: httpx.Client) -> None:
    page = page_of(operator)
    before = operator.get(f"{page}.json").json()["version"]
    assert send(operator, page, f"{page}/snooze", **{"for": "1h"}).status_code == 303
    assert operator.get(f"{page}.json").json()["version"] == before


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"for": ""},
        {"for": "1y"},
        {"for": "-1h"},
        {"for": "1h", "reason": "a\x00b"},
        {"for": "1h", "reason": "x" * 2001},
    ],
)
def test_the_form_is_checked(operator: httpx.Client, store: IncidentStore, fields: dict[str, str]) -> None:
    page = page_of(operator)
    assert send(operator, page, f"{page}/snooze", **fields).status_code == 400
    assert store.alert_outbox.list_snoozes() == []


def test_who_may_not_snooze(operator: httpx.Client, store: IncidentStore) -> None:
    blog, page, wanted = page_of(operator, BLOG), page_of(operator), {"for": "1h"}
    assert send(operator, "/incidents", f"{blog}/snooze", **wanted).status_code == 404
    token = csrf_of(operator.get("/incidents"))
    path, data = f"{page}/snooze", {**wanted, "csrf": token}
    assert operator.post(path, data={**data, "csrf": "0" * 64}, headers=own_origin(operator)).status_code == 403
    assert operator.post(path, data=data, headers={"origin": "https://evil.example"}).status_code == 403
    operator.cookies.clear()
    assert operator.post(path, data=data, headers={**own_origin(operator), **SHOP}).status_code == 401
    store.keys.save_api_key(hash_key("shop-viewer"), "shop-v", "shop", "viewer")
    until(lambda: operator.get("/v1/incidents", headers={"X-API-Key": "shop-viewer"}).status_code == 200)
    sign_in(operator, page, "shop-viewer")
    shown = operator.get(page)
    assert "Not snoozed" in shown.text
    assert path not in shown.text
    data["csrf"] = csrf_of(operator.get("/incidents"))
    assert operator.post(path, data=data, headers=own_origin(operator)).status_code == 403
    assert store.alert_outbox.list_snoozes() == []
