"""Owner, assignment and merge on the review pages, and forms that were rendered from an older version."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.access.keys import hash_key
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import BLOG, SHOP, fill, serving, until
from tests.integration.incident_store_cases import detection, record
from tests.integration.page_cases import csrf_of, find_foreign_markup, own_origin, page_of, send, sign_in

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    owners = tmp_path / "OWNERS"
    owners.write_text("/checkout/ @shop-team\n@shop-team = jira:712020:x linear-team:PAY\n")
    with serving(tmp_path, postgres_url, owners_file=owners) as made:
        sign_in(made, "/incidents", "shop-operator")
        yield made


def submit(client: httpx.Client, seen: httpx.Response, path: str, **fields: object) -> httpx.Response:
    """Send a form of a page that was loaded before, with what it hides for this address."""
    form = re.search(rf'<form[^>]*action="{re.escape(path)}".*?</form>', seen.text, re.DOTALL)
    assert form is not None
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]))
    return client.post(path, data={**hidden, **fields}, headers=own_origin(client))


def choices(client: httpx.Client) -> list[str]:
    return re.findall(r'name="incident" value="([^"]+)"', client.get("/incidents").text)


def test_the_owner_is_shown_with_the_rule_that_decided(client: httpx.Client) -> None:
    page = page_of(client)
    shown = client.get(page)
    assert "<b>@shop-team</b>" in shown.text
    assert "line 1: /checkout/" in shown.text
    assert client.get(f"{page}.json").json()["owner"]["names"] == ["@shop-team"]
    assert client.get("/incidents.json").json()["incidents"][0]["owner"]["line"] == 1
    assert 'title="line 1: /checkout/">@shop-team' in client.get("/incidents").text
    assert "shop-team (line 1: /checkout/)" in client.get(f"{page}.md").text.replace("\u2060", "").replace("\\", "")


def test_the_preview_of_a_ticket_has_the_owner_in_text_and_fields(client: httpx.Client) -> None:
    page = page_of(client)
    by_tracker = {found["tracker"]: found for found in client.get(f"{page}/ticket.json").json()["tickets"]}
    assert by_tracker["Jira"]["fields"] == {"assignee": ["712020:x"]}
    assert by_tracker["Linear"]["fields"] == {"team": ["PAY"]}
    assert "shop-team (line 1: /checkout/)" in by_tracker["Jira"]["text"].replace("\u2060", "").replace("\\", "")


def test_a_person_assigns_and_takes_it_back(client: httpx.Client) -> None:
    page = page_of(client)
    assert submit(client, client.get(page), f"{page}/assign", assignee=" ben ").status_code == 303
    shown = client.get(page)
    assert "<b>ben</b>" in shown.text
    assert "assigned by shop on call" in shown.text
    assert submit(client, shown, f"{page}/assign", assignee="").status_code == 303
    assert "<b>@shop-team</b>" in client.get(page).text


def test_a_form_of_an_older_version_overwrites_nothing(client: httpx.Client) -> None:
    page = page_of(client)
    seen = client.get(page)
    assert submit(client, seen, f"{page}/assign", assignee="ann").status_code == 303
    late = submit(client, seen, f"{page}/assign", assignee="ben")
    assert late.status_code == 409
    for part in ("Your action was not applied", "assigned to ann", "<b>ann</b>"):
        assert part in late.text
    acted = submit(client, seen, f"{page}/act", action="resolve", reason="my own words")
    assert acted.status_code == 409
    assert 'value="my own words"' in acted.text
    found = client.get(f"{page}.json").json()
    assert (found["assignee"], found["status"]) == ("ann", "confirmed")
    assert submit(client, client.get(page), f"{page}/act", action="resolve", reason="fixed").status_code == 303


def test_counts_make_no_form_older(client: httpx.Client, store: IncidentStore) -> None:
    page = page_of(client)
    seen = client.get(page)
    before = client.get(f"{page}.json").json()["affectedSessions"]
    record(store, detection("later"))
    assert client.get(f"{page}.json").json()["affectedSessions"] == before + 1
    assert submit(client, seen, f"{page}/act", action="resolve", reason="fixed").status_code == 303


def test_those_chosen_in_the_list_are_assigned(client: httpx.Client, store: IncidentStore) -> None:
    record(store, detection("n1", "other"), detection("n2", "third"))
    chosen = choices(client)
    assert len(chosen) == 3
    store.ledger.assign_incident(chosen[1].partition(":")[0], "ann", "", "ann")
    answer = send(client, "/incidents", "/incidents/assign", incident=chosen, assignee="@web", reason="theirs")
    assert answer.status_code == 409
    assert "1 of 3 incidents stayed as they are" in answer.text
    assert "assigned to ann" in answer.text
    assert sorted(found["assignee"] for found in client.get("/incidents.json").json()["incidents"]) == [
        "@web",
        "@web",
        "ann",
    ]
    again = send(client, "/incidents", "/incidents/assign", incident=choices(client), assignee="@web", reason="all")
    assert (again.status_code, again.headers["location"]) == (303, "/incidents")
    assert {found["assignee"] for found in client.get("/incidents.json").json()["incidents"]} == {"@web"}


def test_a_name_beside_another_action_changes_nothing(client: httpx.Client) -> None:
    fields = {"action": "suppress", "reason": "x", "assignee": "@web"}
    assert send(client, "/incidents", "/incidents/act", incident=choices(client), **fields).status_code == 400
    assert client.get("/incidents.json").json()["incidents"][0]["status"] == "confirmed"


def test_two_are_merged_by_a_person_who_sees_which_one_remains(client: httpx.Client, store: IncidentStore) -> None:
    record(store, detection("n1", "other"))
    first, second = choices(client)
    asked = send(client, "/incidents", "/incidents/merge", incident=[first, second], reason="one button")
    assert asked.status_code == 200
    assert find_foreign_markup(asked) == []
    keep, goes = first.partition(":")[0], second.partition(":")[0]
    path = f"/incidents/{goes}/merge"
    done = submit(client, asked, path, reason="one button")
    assert (done.status_code, done.headers["location"]) == (303, f"/incidents/{keep}")
    assert client.get(f"/incidents/{goes}.json").json()["mergedInto"] == keep
    assert client.get(f"/incidents/{keep}.json").json()["affectedSessions"] == 4


def test_a_merge_of_an_older_version_is_refused(client: httpx.Client, store: IncidentStore) -> None:
    record(store, detection("n1", "other"))
    pair = choices(client)
    asked = send(client, "/incidents", "/incidents/merge", incident=pair, reason="one button")
    goes = pair[1].partition(":")[0]
    store.ledger.assign_incident(goes, "ann", "", "ann")
    late = submit(client, asked, f"/incidents/{goes}/merge", reason="one button")
    assert late.status_code == 409
    assert "assigned to ann" in late.text
    assert client.get(f"/incidents/{goes}.json").json()["mergedInto"] is None


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_merge_takes_two(client: httpx.Client, store: IncidentStore, number: int) -> None:
    record(store, detection("n1", "other"), detection("n2", "third"))
    answer = send(client, "/incidents", "/incidents/merge", incident=choices(client)[:number], reason="x")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"assignee": "a\nb"}, 400),
        ({"assignee": "x" * 101}, 400),
        ({"assignee": "ben", "version": "new"}, 400),
        ({"assignee": "ben", "version": "1" * 30}, 400),
        ({"assignee": "ben", "reason": "a\x00b"}, 400),
        ({"assignee": "ben"}, 303),
    ],
)
def test_the_form_is_checked(client: httpx.Client, fields: dict[str, str], status: int) -> None:
    page = page_of(client)
    assert send(client, page, f"{page}/assign", **fields).status_code == status


def test_a_viewer_and_another_project_assign_nothing(client: httpx.Client, store: IncidentStore) -> None:
    blog = page_of(client, BLOG)
    assert send(client, "/incidents", f"{blog}/assign", assignee="ben").status_code == 404
    assert send(client, "/incidents", f"{blog}/merge", into="inc_x", reason="x").status_code == 404
    mine = choices(client)[0]
    both = send(client, "/incidents", "/incidents/merge", incident=[mine, blog.rpartition("/")[2]], reason="x")
    assert both.status_code == 404
    page = page_of(client)
    forged = client.post(f"{page}/assign", data={"csrf": "0" * 64, "assignee": "ben"}, headers=own_origin(client))
    assert forged.status_code == 403
    client.cookies.clear()
    store.keys.save_api_key(hash_key("shop-viewer"), "shop-v", "shop", "viewer")
    until(lambda: client.get("/v1/incidents", headers={"X-API-Key": "shop-viewer"}).status_code == 200)
    assert sign_in(client, page, "shop-viewer").status_code == 303
    shown = client.get(page)
    assert "You are signed in as a viewer" in shown.text
    assert f"{page}/assign" not in shown.text
    answer = client.post(
        f"{page}/assign",
        data={"csrf": csrf_of(client.get("/incidents")), "assignee": "ben"},
        headers=own_origin(client),
    )
    assert answer.status_code == 403
    assert client.get(f"{page}.json", headers=SHOP).json()["assignee"] is None


def test_a_hostile_name_is_text(client: httpx.Client) -> None:
    page = page_of(client)
    assert send(client, page, f"{page}/assign", assignee=HOSTILE).status_code == 303
    for path in (page, "/incidents"):
        shown = client.get(path)
        assert find_foreign_markup(shown) == [], path
        assert "&lt;script&gt;" in shown.text, path
    assert "<script>" not in re.sub(r"`[^`]*`", "", client.get(f"{page}.md").text)
