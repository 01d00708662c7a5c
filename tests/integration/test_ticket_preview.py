"""The preview of an incident's tickets on the review pages: as HTML, JSON and Markdown."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tests.integration.api_cases import ALL, BLOG, fill, serving, whole_detection
from tests.integration.page_cases import find_foreign_markup, page_of, record_one, sign_in

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}[x](http://evil.example)"
FILE = """
[jira]
title = "Look: {{ label }}"
body = '''
## {{ failure }}
{{ steps[0] }}
'''
fields = { components = ["Checkout", "Web"] }
[[linear.rules]]
when = { application = "shop" }
fields = { assignee = "<b>ada</b>" }
"""


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def ticket_file(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore, ticket_file: Path) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url, ticket_fields=str(ticket_file)) as made:
        sign_in(made, "/incidents", "shop-operator")
        yield made


def test_the_page_shows_the_ticket_of_each_tracker(client: httpx.Client) -> None:
    page = page_of(client)
    assert f'href="{page}/ticket"' in client.get(page).text
    shown = client.get(f"{page}/ticket")
    assert shown.status_code == 200
    for part in ("Ticket preview", "Jira", "Linear", "Look: ", "Checkout, Web", "## What users tried", "&lt;b&gt;ada"):
        assert part in shown.text
    assert find_foreign_markup(shown) == []


def test_the_same_for_programs(client: httpx.Client) -> None:
    page = page_of(client)
    client.cookies.clear()
    assert client.get(f"{page}/ticket.json").status_code == 401
    data = client.get(f"{page}/ticket.json", headers=ALL).json()
    jira, linear, *others = data["tickets"]
    assert [other["tracker"] for other in others] == ["GitHub", "GitLab", "Webhook"]
    assert [other["fields"] for other in others] == [{}, {}, {}]
    assert data["problem"] is None
    assert (jira["tracker"], jira["fields"], jira["problems"]) == ("Jira", {"components": ["Checkout", "Web"]}, [])
    assert jira["title"].startswith("Look: ")
    assert jira["text"].startswith("## ")
    assert linear["fields"] == {"assignee": ["<b>ada</b>"]}
    assert "What users tried" in linear["text"]
    text = client.get(f"{page}/ticket.md", headers=ALL)
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "    ## What users tried" in text.text


def test_another_projects_key_sees_nothing(client: httpx.Client) -> None:
    page = page_of(client)
    client.cookies.clear()
    for path in (f"{page}/ticket.json", f"{page}/ticket.md", "/incidents/none/ticket.json"):
        assert client.get(path, headers=BLOG).status_code == 404


def test_hostile_text_is_text(client: httpx.Client, store: IncidentStore) -> None:
    found = whole_detection("s-hostile", "shop")
    found["failurePoint"] = {"route": HOSTILE, "target": HOSTILE, "feedback": HOSTILE}
    found["primaryFailurePoint"] = HOSTILE
    found["fingerprint"] = "hostile"
    found["timeline"] = [{**step, "text": HOSTILE, "route": HOSTILE} for step in found["timeline"]]
    found["context"] = {**found["context"], "label": HOSTILE}
    record_one(store, found)
    (incident,) = [
        one
        for one in store.incidents.list_incidents(IncidentQuery(project="shop")).incidents
        if HOSTILE in one["failurePoint"]["route"]
    ]
    shown = client.get(f"/incidents/{incident['incidentId']}/ticket")
    assert shown.status_code == 200
    assert find_foreign_markup(shown) == []
    assert "&lt;script&gt;" in shown.text
    text = client.get(f"/incidents/{incident['incidentId']}/ticket.json").json()["tickets"][0]["text"]
    assert "\n## \\<script\\>alert" in f"\n{text}"
    assert "[x](" not in text


def test_a_template_that_fails_and_a_broken_file_are_told_and_then_right_again(
    client: httpx.Client, ticket_file: Path
) -> None:
    page = page_of(client)
    ticket_file.write_text("jira.title = '{{ nope }}'")
    jira, *_ = client.get(f"{page}/ticket.json").json()["tickets"]
    assert "the built-in title is used: UndefinedError: 'nope' is undefined" in jira["problems"][0]
    assert "'nope' is undefined" in client.get(f"{page}/ticket").text.replace("&#39;", "'")
    ticket_file.write_text("[jira")
    data = client.get(f"{page}/ticket.json").json()
    assert "FURROW_TICKET_FIELDS" in data["problem"]
    assert "What users tried" in data["tickets"][0]["text"]
    assert "no ticket is filed until it is right" in client.get(f"{page}/ticket").text
    assert "FURROW" in client.get(f"{page}/ticket.md").text
    ticket_file.write_text(FILE)
    assert client.get(f"{page}/ticket.json").json()["problem"] is None
