"""Signing in at a real OpenID provider: the whole login over HTTP, roles from groups, names in the history, the way out."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import fill, until
from tests.integration.oidc_cases import (
    Installation,
    begin_login,
    browser,
    installation,
    installation_with_provider,
    log_in,
    running_provider,
    visit_provider,
)
from tests.integration.page_cases import csrf_of, find_foreign_markup, own_origin, page_of, send, sign_in


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def made(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[Installation]:
    with installation_with_provider(tmp_path, postgres_url) as running:
        yield running


@pytest.fixture
def person(made: Installation) -> Iterator[httpx.Client]:
    with browser(made) as client:
        yield client


def test_the_sign_in_page_leads_to_the_provider(person: httpx.Client) -> None:
    asked = person.get("/incidents?q=a%26b")
    assert (asked.status_code, "Sign in with Staff login" in asked.text) == (401, True)
    link = re.search(r'href="(/sign-in/provider\?[^"]+)"', asked.text)
    assert link is not None
    began = person.get(link[1])
    sent = parse_qs(urlsplit(began.headers["location"]).query)
    assert sent["code_challenge_method"] == ["S256"]
    assert sent["response_type"] == ["code"]
    assert all(sent[name][0] for name in ("state", "nonce", "code_challenge"))
    back = visit_provider(person, began.headers["location"], "ada")
    assert 'content="0;url=/incidents?q=a%26b"' in person.get(back).text


def test_an_operator_of_one_project_acts_there_under_their_name(made: Installation, person: httpx.Client) -> None:
    entered = log_in(person, "bob")
    assert (entered.status_code, "You are signed in as Bob (bob@example.com)" in entered.text) == (200, True)
    assert re.search(
        r"furrow_session=[^;]+; HttpOnly; Max-Age=\d+; Path=/; SameSite=strict", entered.headers["set-cookie"]
    )
    page = page_of(made.client)
    done = send(person, page, f"{page}/act", action="resolve", reason="fixed in 2.5", seen="confirmed")
    assert (done.status_code, done.headers["location"]) == (303, page)
    assert person.get(f"{page}.json").json()["history"][-1]["actor"] == "Bob (bob@example.com)"
    assert person.get(page_of(made.client, {"X-API-Key": "blog-operator"})).status_code == 404


def test_a_viewer_reads_all_and_acts_nowhere(made: Installation, person: httpx.Client) -> None:
    assert "signed in as vic" in log_in(person, "vic").text  # a group as one text, and neither a name nor an address
    for key in ("shop-operator", "blog-operator"):
        page = page_of(made.client, {"X-API-Key": key})
        shown = person.get(page)
        assert (shown.status_code, 'name="action"' in shown.text) == (200, False)
    fields = {"csrf": csrf_of(person.get("/incidents")), "action": "resolve", "reason": "x", "seen": "draft"}
    assert person.post(f"{page}/act", data=fields, headers=own_origin(person)).status_code == 403


def test_a_person_of_two_projects_chooses_one_and_no_other(made: Installation, person: httpx.Client) -> None:
    log_in(person, "cleo")
    shop, blog = (page_of(made.client, {"X-API-Key": f"{name}-operator"}) for name in ("shop", "blog"))
    assert [person.get(page).status_code for page in (shop, blog)] == [404, 200]
    assert send(person, "/incidents", "/sign-in/project", project="shop").status_code == 303
    assert [person.get(page).status_code for page in (shop, blog)] == [200, 404]
    for other in ("*", "default", "", "shop'--"):
        assert send(person, "/incidents", "/sign-in/project", project=other).status_code == 403
    assert person.post("/sign-in/project", data={"project": "blog"}, headers=own_origin(person)).status_code == 403
    assert person.get(shop).status_code == 200


def test_the_saved_views_of_a_person_are_theirs(made: Installation, person: httpx.Client, store: IncidentStore) -> None:
    log_in(person, "cleo")
    assert send(person, "/incidents", "/incidents/views", name="mine", query="status=all").status_code == 303
    assert "mine" in person.get("/incidents").text
    assert send(person, "/incidents", "/incidents/views", name="all", query="", shared="on").status_code == 403
    assert store.views.list_views("") == []


@pytest.mark.parametrize(
    ("login", "reason"), [("eve", "in no group that may use Furrow"), ("fay", "no groups in the claim")]
)
def test_a_person_whose_groups_allow_nothing_is_refused(
    made: Installation, person: httpx.Client, store: IncidentStore, login: str, reason: str
) -> None:
    refused = log_in(person, login)
    assert (refused.status_code, reason in refused.text) == (403, True)
    assert "furrow_session" not in person.cookies
    assert find_foreign_markup(refused) == []
    assert person.get("/incidents").status_code == 401
    entry = store.audit.list_audit_entries().entries[0]
    assert (entry.action, entry.actor.startswith(login.title())) == ("sign_in.refused", True)


def test_sign_ins_are_in_the_audit_log(made: Installation, person: httpx.Client, store: IncidentStore) -> None:
    log_in(person, "bob")
    person.post("/sign-out", headers=own_origin(person))
    assert [(e.actor, e.action, e.project, e.reason) for e in store.audit.list_audit_entries().entries] == [
        ("Bob (bob@example.com)", "sign_out", "shop", ""),
        ("Bob (bob@example.com)", "sign_in", "shop", "OpenID Connect, operator"),
    ]


def test_signing_out_leads_to_the_provider_too(made: Installation, person: httpx.Client) -> None:
    log_in(person, "bob")
    token = person.cookies["furrow_session"]
    left = person.post("/sign-out", headers=own_origin(person))
    assert left.headers["location"] == "/signed-out"
    shown = person.get("/signed-out")
    assert f"http://127.0.0.1:{made.port}/session/end?client_id=furrow" in shown.text
    person.cookies.set("furrow_session", token)
    assert person.get("/incidents").status_code == 401


def test_a_person_who_declines_at_the_provider_is_asked_again(person: httpx.Client) -> None:
    began = begin_login(person)
    page = person.get(began.headers["location"])
    while page.is_redirect:
        page = person.get(httpx.URL(str(page.url)).join(page.headers["location"]))
    abort = re.search(r'href="([^"]+/abort)"', page.text)
    assert abort is not None
    answer = person.get(httpx.URL(str(page.url)).join(abort[1]))
    while "/sign-in/callback" not in answer.headers.get("location", ""):
        answer = person.get(httpx.URL(str(answer.url)).join(answer.headers["location"]))
    refused = person.get(answer.headers["location"])
    assert (refused.status_code, "did not sign you in: access_denied" in refused.text) == (403, True)


def test_the_database_holds_no_secret_of_a_login(person: httpx.Client, postgres_url: str) -> None:
    began = begin_login(person)
    sent = parse_qs(urlsplit(began.headers["location"]).query)
    with psycopg.connect(postgres_url) as connection:
        kept = str(connection.execute("SELECT * FROM provider_visits").fetchall())
    assert "/incidents" in kept
    assert not any(value in kept for value in (sent["state"][0], sent["nonce"][0], person.cookies["furrow_visit"]))


def test_two_tabs_of_a_browser_sign_in(person: httpx.Client) -> None:
    first, second = begin_login(person, "/health"), begin_login(person, "/near-misses")
    later = person.get(visit_provider(person, second.headers["location"], "ada"))
    earlier = person.get(visit_provider(person, first.headers["location"], "ada"))
    assert ("0;url=/near-misses" in later.text, "0;url=/health" in earlier.text) == (True, True)


def test_a_role_taken_away_is_gone_at_the_next_login(tmp_path: Path, postgres_url: str, store: IncidentStore) -> None:
    with installation(tmp_path, postgres_url) as made, browser(made) as person:
        page = page_of(made.client)
        for groups, status, acts in ((["shop team"], 200, True), (["staff"], 200, False), ([], 403, False)):
            with running_provider(made.port, made.base, {"bob": {"name": "Bob", "groups": groups}}):
                assert log_in(person, "bob").status_code == status
            if status == 200:
                assert ('name="action"' in person.get(page).text) is acts


def test_without_the_provider_its_sessions_end(tmp_path: Path, postgres_url: str, store: IncidentStore) -> None:
    from tests.integration.api_cases import serving

    with installation_with_provider(tmp_path / "a", postgres_url) as made, browser(made) as person:
        log_in(person, "ada")
        token = person.cookies["furrow_session"]
    with serving(tmp_path / "b", postgres_url) as client:
        client.cookies.set("furrow_session", token)
        assert client.get("/incidents").status_code == 401
        assert client.get("/sign-in/provider").status_code == 404
        assert "Sign in with" not in client.get("/sign-in").text


def test_a_provider_that_is_away_stops_no_other_sign_in(
    tmp_path: Path, postgres_url: str, store: IncidentStore
) -> None:
    with installation(tmp_path, postgres_url) as made, browser(made) as person:
        away = begin_login(person)
        assert (away.status_code, "The provider does not answer" in away.text) == (503, True)
        assert 'name="key"' in away.text
        assert sign_in(person, "/incidents", "shop-operator").status_code == 303
        with running_provider(made.port, made.base):
            until(lambda: begin_login(person).status_code == 303)
            assert log_in(person, "ada").status_code == 200
            began = begin_login(person)
            back = visit_provider(person, began.headers["location"], "ada")
        gone = person.get(back)  # it went away while somebody was there
        assert (gone.status_code, "The provider does not answer" in gone.text) == (503, True)


def test_another_issuer_than_configured_is_named(tmp_path: Path, postgres_url: str, store: IncidentStore) -> None:
    with (
        installation(tmp_path, postgres_url) as made,
        running_provider(made.port, made.base, options={}),
        installation(tmp_path / "b", postgres_url, issuer=f"http://localhost:{made.port}") as other,
    ):
        wrong = begin_login(other.client)
        assert (wrong.status_code, "FURROW_OIDC_ISSUER" in wrong.text) == (503, True)


def test_the_group_claim_may_be_a_path(tmp_path: Path, postgres_url: str, store: IncidentStore) -> None:
    people = {"kim": {"name": "Kim", "realm_access": {"roles": ["staff"]}}}
    options = {"claims": {"openid": ["sub"], "profile": ["name"], "groups": ["realm_access"]}}
    with (
        installation(tmp_path, postgres_url, groups_claim="realm_access.roles") as made,
        running_provider(made.port, made.base, people, json.loads(json.dumps(options))),
        browser(made) as person,
    ):
        assert log_in(person, "kim").status_code == 200
