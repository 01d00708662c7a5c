"""Who gets in: one-time links, sessions in Postgres, tokens of forms, cookies of others, a store that is away."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import ALL, BLOG, SHOP, SHOP_SENDER, fill, serving, until
from tests.integration.page_cases import csrf_of, own_origin, page_of, send, sign_in


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


def make_link(client: httpx.Client, headers: dict[str, str], role: str = "operator") -> str:
    made = client.post("/v1/sign-in-links", json={"role": role}, headers=headers)
    assert made.status_code == 200, made.text
    return str(made.json()["url"])


def test_a_link_signs_in_once(client: httpx.Client) -> None:
    link = make_link(client, SHOP)
    entered = client.get(link)
    assert (entered.status_code, entered.headers["location"]) == (303, "/incidents")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert client.get("/incidents").status_code == 200
    with httpx.Client(base_url=client.base_url, trust_env=False) as thief:
        stolen = thief.get(link)
        assert (stolen.status_code, "set-cookie" in stolen.headers) == (401, False)
        assert "This link was used before" in stolen.text
        assert thief.get("/incidents").status_code == 401


def test_of_two_browsers_with_one_link_one_gets_in(client: httpx.Client) -> None:
    from concurrent.futures import ThreadPoolExecutor

    link = make_link(client, SHOP)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: httpx.get(link, trust_env=False).status_code, range(8)))
    assert sorted(answers) == [303, *[401] * 7]


def test_an_expired_link_does_not_work(client: httpx.Client, postgres_url: str) -> None:
    link = make_link(client, SHOP)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE sign_in_links SET expires_at = now() - interval '1 second'")
    assert client.get(link).status_code == 401


def test_an_expired_session_ends(client: httpx.Client, postgres_url: str) -> None:
    client.get(make_link(client, SHOP))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE page_sessions SET expires_at = now() - interval '1 second'")
    assert client.get("/incidents").status_code == 401


def test_the_database_holds_neither_tokens_nor_keys(client: httpx.Client, postgres_url: str) -> None:
    link = make_link(client, SHOP)
    unused = make_link(client, SHOP)
    client.get(link)
    with psycopg.connect(postgres_url) as connection:
        kept = str([connection.execute(f"SELECT * FROM {t}").fetchall() for t in ("page_sessions", "sign_in_links")])
    for secret in (link, unused):
        assert secret.rpartition("/")[2] not in kept
    assert client.cookies["furrow_session"] not in kept
    assert "shop-operator" not in kept


def test_a_session_outlives_the_collector(tmp_path: Path, postgres_url: str, store: IncidentStore) -> None:
    with serving(tmp_path, postgres_url) as first:
        sign_in(first, "/incidents", "shop-operator")
        token = first.cookies["furrow_session"]
    with serving(tmp_path, postgres_url) as second:
        second.cookies.set("furrow_session", token)
        assert second.get("/incidents").status_code == 200


@pytest.mark.parametrize("token", ["x", "a" * 43, "' OR 1=1 --", "%00", "é" * 20])
def test_a_forged_cookie_is_nobody(client: httpx.Client, token: str) -> None:
    answer = client.get("/incidents", headers={"cookie": f"furrow_session={token}".encode()})
    assert answer.status_code == 401


@pytest.mark.parametrize("token", ["x", "a" * 43, "%00", "..%2f..", "a" * 5000])
def test_a_forged_link_is_refused(client: httpx.Client, token: str) -> None:
    assert client.get(f"/sign-in/{token}").status_code in (401, 404)


def test_links_cannot_be_guessed(tmp_path: Path, postgres_url: str, store: IncidentStore) -> None:
    with serving(tmp_path, postgres_url, guesses_per_second=0.1) as client:
        answers = [client.get(f"/sign-in/guess-{n}").status_code for n in range(30)]
    assert set(answers) == {401, 429}


@pytest.mark.parametrize("headers", [{}, SHOP_SENDER, {"X-API-Key": "nonsense"}])
def test_only_operators_make_links(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post("/v1/sign-in-links", json={}, headers=headers).status_code in (401, 403)


def test_a_link_has_the_rights_of_its_key(client: httpx.Client) -> None:
    page = page_of(client, SHOP)
    client.get(make_link(client, BLOG))
    assert client.get(page).status_code == 404
    assert client.get(page_of(client, BLOG)).status_code == 200


def test_a_viewer_reads_and_does_not_act(client: httpx.Client) -> None:
    page = page_of(client)
    client.get(make_link(client, SHOP, "viewer"))
    shown = client.get(page)
    assert shown.status_code == 200
    assert 'name="csrf"' not in shown.text
    client.get(make_link(client, ALL, "operator"))  # another session: its token is of no use to the viewer
    other = csrf_of(client.get(page))
    client.get(make_link(client, SHOP, "viewer"))
    fields = {"csrf": other, "action": "resolve", "reason": "x", "seen": "confirmed"}
    assert client.post(f"{page}/act", data=fields, headers=own_origin(client)).status_code == 403


def test_a_revoked_key_ends_the_sessions_of_its_links(client: httpx.Client, store: IncidentStore) -> None:
    client.get(make_link(client, SHOP))
    unused = make_link(client, SHOP)
    assert client.get("/incidents").status_code == 200
    store.keys.revoke_api_keys("shop-o")
    until(lambda: client.get("/incidents").status_code == 401)
    assert client.get(unused).status_code == 401


@pytest.mark.parametrize("csrf", ["", "0" * 32, "é"])
def test_a_form_without_its_token_changes_nothing(client: httpx.Client, csrf: str) -> None:
    page = page_of(client)
    sign_in(client, page, "shop-operator")
    fields = {"csrf": csrf, "action": "resolve", "reason": "fixed", "seen": "confirmed"}
    answer = client.post(f"{page}/act", data=fields, headers=own_origin(client))
    assert answer.status_code == 403
    assert client.get("/v1/incidents", headers=SHOP).json()["incidents"][0]["status"] == "confirmed"


def test_a_form_of_another_site_changes_nothing(client: httpx.Client) -> None:
    page = page_of(client)
    sign_in(client, page, "shop-operator")
    fields = {"csrf": csrf_of(client.get(page)), "action": "resolve", "reason": "fixed", "seen": "confirmed"}
    for origin in ("https://evil.example", "null", ""):
        assert client.post(f"{page}/act", data=fields, headers={"origin": origin}).status_code == 403


def test_an_operator_key_in_the_header_posts_no_form(client: httpx.Client) -> None:
    page = page_of(client)
    fields = {"csrf": "", "action": "resolve", "reason": "fixed", "seen": "confirmed"}
    answer = client.post(f"{page}/act", data=fields, headers={**own_origin(client), **SHOP})
    assert answer.status_code == 401


def test_the_first_request_after_a_link_on_another_site_is_asked_again(client: httpx.Client) -> None:
    page = page_of(client)
    asked = client.get(page, headers={"sec-fetch-site": "cross-site"})
    assert f'http-equiv="refresh" content="0;url={page}"' in asked.text
    assert "http-equiv" not in client.get(page, headers={"sec-fetch-site": "same-origin"}).text


def test_a_dead_postgres_is_named_and_the_pages_come_back(tmp_path: Path, stoppable_postgres: EmbeddedPostgres) -> None:
    fill(stoppable_postgres.url).close()
    with serving(tmp_path, stoppable_postgres.url) as client:
        sign_in(client, "/incidents", "shop-operator")
        page = page_of(client)
        assert client.get(page).status_code == 200
        stoppable_postgres.stop()
        for path in ("/incidents", page, "/session?project=shop&id=s1", "/near-misses", "/health"):
            away = client.get(path)
            assert away.status_code == 503
            assert "The database does not answer" in away.text
            assert "Nothing is lost" in away.text
        assert client.get("/incidents.json").status_code == 503
        assert sign_in(client, "/incidents", "shop-operator").status_code == 503
        stoppable_postgres.start()
        until(lambda: client.get(page).status_code == 200)


def test_signed_out_is_signed_out(client: httpx.Client) -> None:
    sign_in(client, "/incidents", "shop-operator")
    token = client.cookies["furrow_session"]
    left = client.post("/sign-out", headers=own_origin(client))
    assert (left.status_code, left.headers["location"]) == (303, "/sign-in")
    assert client.get("/sign-in").status_code == 200
    client.cookies.set("furrow_session", token)
    assert client.get("/incidents").status_code == 401


def test_a_person_confirms_and_the_history_names_them(client: httpx.Client) -> None:
    page = page_of(client)
    sign_in(client, page, "shop-operator")
    done = send(client, page, f"{page}/act", action="resolve", reason="fixed in 2.5", seen="confirmed")
    assert (done.status_code, done.headers["location"]) == (303, page)
    last = client.get(f"{page}.json").json()["history"][-1]
    assert (last["actor"], last["to"], last["reason"]) == ("shop on call", "resolved", "fixed in 2.5")
