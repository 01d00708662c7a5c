"""Attacks on signing in at an OpenID provider: tokens that prove nothing, answers that are not this browser's, redirects."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import fill, serving
from tests.integration.hostile_provider import Claims, HostileProvider
from tests.integration.oidc_cases import (
    Installation,
    begin_login,
    browser,
    installation_with_provider,
    log_in,
    provider_config,
    visit_provider,
)
from tests.integration.page_cases import find_foreign_markup, own_origin


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def real(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[Installation]:
    with installation_with_provider(tmp_path, postgres_url) as running:
        yield running


@pytest.fixture
def hostile(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[tuple[HostileProvider, httpx.Client]]:
    with HostileProvider() as provider:
        config = provider_config(0, issuer=provider.address)
        with serving(tmp_path, postgres_url, oidc=config) as client:
            yield provider, client


def enter(provider: HostileProvider, client: httpx.Client, **parameters: str) -> httpx.Response:
    """A browser that comes back from the hostile provider."""
    began = begin_login(client)
    assert began.status_code == 303, began.text
    sent = {name: values[0] for name, values in parse_qs(urlsplit(began.headers["location"]).query).items()}
    provider.nonce = provider.nonce or sent["nonce"]
    return client.get("/sign-in/callback", params={"code": "c", "state": sent["state"], **parameters})


def is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 403 and "set-cookie" not in answer.headers and not find_foreign_markup(answer)


def test_a_token_in_order_signs_in(hostile: tuple[HostileProvider, httpx.Client]) -> None:
    provider, client = hostile
    assert enter(provider, client).status_code == 200
    assert client.get("/incidents").status_code == 200
    (asked,) = [request for request in provider.requests if request.path == "/token"]
    assert "code_verifier=" in asked.text
    assert asked.headers["authorization"].startswith("Basic ")


def test_clocks_may_differ_by_a_minute(hostile: tuple[HostileProvider, httpx.Client]) -> None:
    provider, client = hostile
    provider.change_claims = lambda claims: {**claims, "exp": time.time() - 30, "iat": time.time() + 30}
    assert enter(provider, client).status_code == 200


WRONG: list[tuple[str, Callable[[Claims], Claims]]] = [
    ("expired", lambda claims: {**claims, "exp": time.time() - 120}),
    ("of the future", lambda claims: {**claims, "iat": time.time() + 3600}),
    ("not valid yet", lambda claims: {**claims, "nbf": time.time() + 3600}),
    ("for another client", lambda claims: {**claims, "aud": "another"}),
    ("for others, by this client", lambda claims: {**claims, "aud": "another", "azp": "furrow"}),
    ("for several, by another", lambda claims: {**claims, "aud": ["furrow", "another"], "azp": "another"}),
    ("of another issuer", lambda claims: {**claims, "iss": "https://evil.example"}),
    ("of another login", lambda claims: {**claims, "nonce": "0" * 64}),
    ("of another access token", lambda claims: {**claims, "at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    ("with a number as subject", lambda claims: {**claims, "sub": 7}),
    ("with a text as expiry", lambda claims: {**claims, "exp": "tomorrow"}),
    *(
        (f"without {name}", lambda claims, name=name: {k: v for k, v in claims.items() if k != name})  # type: ignore[misc]
        for name in ("iss", "sub", "aud", "exp", "iat", "nonce")
    ),
]


@pytest.mark.parametrize("change", [change for _, change in WRONG], ids=[name for name, _ in WRONG])
def test_a_token_with_wrong_claims_is_refused(
    hostile: tuple[HostileProvider, httpx.Client], change: Callable[[Claims], Claims]
) -> None:
    provider, client = hostile
    provider.change_claims = change
    assert is_refused(enter(provider, client))
    assert client.get("/incidents").status_code == 401


@pytest.mark.parametrize(
    "sign",
    ["sign_with_another_key", "sign_with_an_unknown_key", "sign_with_the_public_key_as_secret",
     "sign_with_the_client_secret", "sign_not_at_all"],
)  # fmt: skip
def test_a_forged_token_is_refused(hostile: tuple[HostileProvider, httpx.Client], sign: str) -> None:
    provider, client = hostile
    provider.sign = getattr(provider, sign)
    assert is_refused(enter(provider, client))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "." * 3, "a" * 100_000])
def test_what_is_no_token_is_refused(hostile: tuple[HostileProvider, httpx.Client], token: str) -> None:
    provider, client = hostile
    provider.sign = lambda _: token
    assert is_refused(enter(provider, client))


def test_a_key_that_the_provider_changed_is_read_again(hostile: tuple[HostileProvider, httpx.Client]) -> None:
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    provider, client = hostile
    assert enter(provider, client).status_code == 200
    provider.key, provider.nonce = RSAKey.generate_key(2048, {"kid": "newer", "use": "sig"}), ""
    provider.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": "newer"}, claims, provider.key)
    assert enter(provider, client).status_code == 200


def test_the_userinfo_of_another_person_is_refused(hostile: tuple[HostileProvider, httpx.Client]) -> None:
    provider, client = hostile
    provider.change_claims = lambda claims: {name: value for name, value in claims.items() if name != "groups"}
    provider.userinfo = {"sub": "admin", "groups": ["/furrow/admins"]}
    assert is_refused(enter(provider, client))


@pytest.mark.parametrize("groups", [None, 3, {"/furrow/admins": 1}, [["/furrow/admins"]], [None], "/furrow", [], "*",
                                    ["/FURROW/ADMINS"], ["/furrow/admins "]])  # fmt: skip
def test_what_is_not_exactly_a_group_gives_no_role(hostile: tuple[HostileProvider, httpx.Client], groups: Any) -> None:
    provider, client = hostile
    provider.change_claims = lambda claims: {**claims, "groups": groups}
    assert is_refused(enter(provider, client))


def test_a_role_in_the_claims_gives_no_role(hostile: tuple[HostileProvider, httpx.Client]) -> None:
    provider, client = hostile
    provider.change_claims = lambda claims: {**claims, "groups": ["shop team"], "role": "admin", "project": "*"}
    assert enter(provider, client).status_code == 200
    assert client.get("/audit").status_code == 403


def test_a_person_named_like_the_rule_is_not_the_rule(hostile: tuple[HostileProvider, httpx.Client]) -> None:
    provider, client = hostile
    names = {"email": "\u202eru\u200ble\x00"}
    provider.change_claims = lambda claims: {**claims, **names}
    assert "signed in as person rule" in enter(provider, client).text.lower()


def test_an_answer_of_another_issuer_is_refused(hostile: tuple[HostileProvider, httpx.Client]) -> None:
    provider, client = hostile
    assert is_refused(enter(provider, client, iss="https://evil.example"))
    assert not [request for request in provider.requests if request.path == "/token"]


@pytest.mark.parametrize("metadata", [{"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/"},
                                      {"jwks_uri": 7}, {"authorization_endpoint": "javascript:alert(1)"},
                                      {"end_session_endpoint": "javascript:alert(1)"},
                                      {"id_token_signing_alg_values_supported": ["none", "HS256"]}])  # fmt: skip
def test_a_provider_that_states_nonsense_is_not_used(
    hostile: tuple[HostileProvider, httpx.Client], metadata: dict[str, Any]
) -> None:
    provider, client = hostile
    provider.metadata = metadata
    answer = begin_login(client)
    assert (answer.status_code, "location" in answer.headers, find_foreign_markup(answer)) == (503, False, [])


@pytest.mark.parametrize("error", ["access_denied", "<script>alert(1)</script>", "x" * 5000])
def test_an_error_of_the_provider_is_shown_as_text(hostile: tuple[HostileProvider, httpx.Client], error: str) -> None:
    provider, client = hostile
    answer = enter(provider, client, error=error, error_description="<b>")
    assert is_refused(answer)
    assert len(answer.text) < 5000


TARGETS = ["https://evil.example/", "//evil.example", "/\\evil.example", "/incidents/../../x", "javascript:alert(1)", "",
           "/incidents\r\nx: y", "/sign-out", "/incidents@evil.example", "/sign-in/provider"]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_a_login_leads_to_pages_of_this_collector_only(
    hostile: tuple[HostileProvider, httpx.Client], postgres_url: str, target: str
) -> None:
    provider, client = hostile
    began = begin_login(client, target)
    state = parse_qs(urlsplit(began.headers["location"]).query)["state"][0]
    provider.nonce = parse_qs(urlsplit(began.headers["location"]).query)["nonce"][0]
    entered = client.get("/sign-in/callback", params={"code": "c", "state": state})
    assert 'content="0;url=/incidents"' in entered.text
    began = begin_login(client)  # also when the store was written to by somebody else
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE provider_visits SET target = %s", [target])
    sent = parse_qs(urlsplit(began.headers["location"]).query)
    provider.nonce = sent["nonce"][0]
    entered = client.get("/sign-in/callback", params={"code": "c", "state": sent["state"][0]})
    assert 'content="0;url=/incidents"' in entered.text


@pytest.mark.parametrize("state", ["", "x", "a" * 43, "%00", "é" * 50, "' OR 1=1 --", "a" * 10_000])
def test_a_state_that_nobody_got_is_refused(real: Installation, state: str) -> None:
    with browser(real) as person:
        begin_login(person)
        answer = person.get("/sign-in/callback", params={"code": "c", "state": state})
        assert (answer.status_code, "furrow_session" in person.cookies) == (400, False)


def test_the_answer_of_one_browser_is_of_no_use_in_another(real: Installation) -> None:
    """Neither may a thief use it, nor may an attacker sign a victim in as the attacker."""
    with browser(real) as person, browser(real) as other, browser(real) as fresh:
        back = visit_provider(person, begin_login(person).headers["location"], "ada")
        begin_login(other)
        for thief in (other, fresh):
            stolen = thief.get(back)
            assert (stolen.status_code, "furrow_session" in thief.cookies) == (400, False)
        # Whoever saw the state could have used it: it is over.
        assert person.get(back).status_code == 400


def test_an_answer_works_once(real: Installation) -> None:
    with browser(real) as person:
        back = visit_provider(person, begin_login(person).headers["location"], "ada")
        assert person.get(back).status_code == 200
        again = person.get(back)
        assert (again.status_code, "set-cookie" in again.headers) == (400, False)


def test_of_the_same_answer_at_once_one_signs_in(real: Installation) -> None:
    with browser(real) as person:
        back = visit_provider(person, begin_login(person).headers["location"], "ada")
        cookies = {"cookie": f"furrow_visit={person.cookies['furrow_visit']}"}
        with ThreadPoolExecutor(6) as threads:
            answers = list(
                threads.map(
                    lambda _: httpx.get(back, headers=cookies, trust_env=False, timeout=30).status_code, range(6)
                )
            )
    assert sorted(answers) == [200, *[400] * 5]


def test_a_code_of_another_login_does_not_fit(real: Installation) -> None:
    """A code that somebody else got, put into a login of one's own: PKCE and the nonce refuse it."""
    with browser(real) as victim, browser(real) as attacker:
        stolen = parse_qs(urlsplit(visit_provider(victim, begin_login(victim).headers["location"], "ada")).query)
        own = parse_qs(urlsplit(begin_login(attacker).headers["location"]).query)
        answer = attacker.get("/sign-in/callback", params={"code": stolen["code"][0], "state": own["state"][0]})
        assert is_refused(answer)


def test_a_login_that_took_too_long_is_over(real: Installation, postgres_url: str) -> None:
    with browser(real) as person:
        back = visit_provider(person, begin_login(person).headers["location"], "ada")
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("UPDATE provider_visits SET expires_at = now() - interval '1 second'")
        assert person.get(back).status_code == 400


def test_a_form_of_another_site_ends_no_session(real: Installation) -> None:
    with browser(real) as person:
        log_in(person, "bob")
        for origin in ("https://evil.example", "null", ""):
            assert person.post("/sign-out", headers={"origin": origin}).status_code == 403
        assert person.get("/incidents").status_code == 200


def test_logins_that_nobody_finishes_are_limited(real: Installation) -> None:
    answers = [begin_login(real.client).status_code for _ in range(80)]
    assert set(answers) == {303, 429}


def test_an_old_session_is_of_no_use_after_signing_in(real: Installation) -> None:
    """A session that an attacker planted in the browser is not the person's afterwards."""
    with browser(real) as person, browser(real) as attacker:
        person.cookies.set("furrow_session", "planted" * 6)
        log_in(person, "bob")
        attacker.cookies.set("furrow_session", "planted" * 6)
        assert attacker.get("/incidents").status_code == 401
        assert person.post("/sign-out", headers=own_origin(person)).status_code == 303
