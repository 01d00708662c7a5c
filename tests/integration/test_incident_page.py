"""The page that links in tickets lead to: behind a sign-in, escaped, without inline scripts, and blind to other projects."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from incidents.model import IncidentQuery
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import fill, serving, whole_detection
from tests.integration.page_cases import find_foreign_markup, own_origin, page_of, record_one, sign_in

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


def test_a_person_signs_in_with_an_operator_key_and_reads_the_incident(client: httpx.Client) -> None:
    page = page_of(client)
    asked = client.get(page)
    assert (asked.status_code, 'name="key"' in asked.text) == (401, True)
    entered = sign_in(client, page, "shop-operator")
    assert (entered.status_code, entered.headers["location"]) == (303, page)
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "shop-operator" not in cookie
    shown = client.get(page)
    assert shown.status_code == 200
    for part in (
        "POST /api/orders",
        "confirmed",
        "History",
        "Tickets",
        "Timeline of an example session",
        "What fails",
        "Whom it hits",
        "Since when",
        "Why we are sure",
        "Steps to reproduce",
        "shop on call",
    ):
        assert part in shown.text
    assert "default-src 'self'" in shown.headers["content-security-policy"]
    assert "unsafe" not in shown.headers["content-security-policy"]
    assert find_foreign_markup(shown) == []
    assert "://" not in shown.text


def test_signing_out_ends_the_session_for_good(client: httpx.Client) -> None:
    page = page_of(client)
    sign_in(client, page, "shop-operator")
    token = client.cookies["furrow_session"]
    assert client.get(page).status_code == 200
    client.post("/sign-out", headers=own_origin(client))
    client.cookies.set("furrow_session", token)
    assert client.get(page).status_code == 401


@pytest.mark.parametrize(("key", "status"), [("", 401), ("nonsense", 401), ("shop-sender", 403)])
def test_what_is_no_operator_key_sees_nothing(client: httpx.Client, key: str, status: int) -> None:
    page = page_of(client)
    refused = sign_in(client, page, key)
    assert refused.status_code == status
    assert 'role="alert"' in refused.text
    assert "set-cookie" not in refused.headers
    assert client.get(page).status_code == 401


def test_another_projects_incident_does_not_exist(client: httpx.Client) -> None:
    page = page_of(client)
    sign_in(client, page, "blog-operator")
    assert client.get(page).status_code == 404
    assert client.get("/incidents/nothing-of-that-name").status_code == 404


def test_a_revoked_key_ends_its_sessions(client: httpx.Client, store: IncidentStore) -> None:
    page = page_of(client)
    sign_in(client, page, "shop-operator")
    assert client.get(page).status_code == 200
    store.keys.revoke_api_keys("shop-o")
    for _ in range(600):
        if client.get(page).status_code == 401:
            return
    pytest.fail("the session went on")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_form_of_another_site_signs_nobody_in(client: httpx.Client, origin: str) -> None:
    assert sign_in(client, page_of(client), "shop-operator", origin).status_code == 403


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/incidents/a/../../x", "/v1/status", ""]
)
def test_signing_in_leads_nowhere_else(client: httpx.Client, target: str) -> None:
    assert sign_in(client, target, "shop-operator").status_code == 400


def test_text_of_browsers_is_text(client: httpx.Client, store: IncidentStore) -> None:
    found = whole_detection("s-hostile", "shop")
    found["explanation"] = HOSTILE
    found["failurePoint"] = {"route": HOSTILE, "target": HOSTILE, "feedback": HOSTILE}
    found["fingerprint"] = "hostile"
    found["timeline"] = [{**step, "text": HOSTILE, "route": HOSTILE} for step in found["timeline"]]
    record_one(store, found)
    listed = store.incidents.list_incidents(IncidentQuery(project="shop")).incidents
    (incident,) = [one for one in listed if HOSTILE in one["failurePoint"]["route"]]
    page = f"/incidents/{incident['incidentId']}"
    sign_in(client, page, "shop-operator")
    shown = client.get(page)
    assert shown.status_code == 200
    assert "&lt;script&gt;" in shown.text
    assert find_foreign_markup(shown) == []


def test_a_collector_for_events_alone_has_no_pages(tmp_path: Path, postgres_url: str, store: IncidentStore) -> None:
    with serving(tmp_path, postgres_url, api=False) as client:
        assert client.get("/incidents/x").status_code == 404
        assert sign_in(client, "/incidents/x", "shop-operator").status_code == 404


def test_the_cookie_is_for_https_alone_where_people_come_by_https(
    tmp_path: Path, postgres_url: str, store: IncidentStore
) -> None:
    with serving(tmp_path, postgres_url, public_url="https://furrow.example") as client:
        assert "Secure" in sign_in(client, page_of(client), "shop-operator").headers["set-cookie"]


def test_keys_cannot_be_guessed_at_the_sign_in(tmp_path: Path, postgres_url: str, store: IncidentStore) -> None:
    with serving(tmp_path, postgres_url, guesses_per_second=0.1) as client:
        answers = [sign_in(client, "/incidents/x", f"guess-{n}").status_code for n in range(60)]
    assert set(answers) == {401, 429}
    assert answers[-1] == 429
