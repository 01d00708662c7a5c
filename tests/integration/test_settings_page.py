"""The page of settings: who sees what, who changes what, what is checked, and what is noted."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.access.keys import hash_key
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import ALL, EVENT, SHOP, fill, serving, until
from tests.integration.page_cases import csrf_of, find_foreign_markup, own_origin, sign_in

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
SALT = "salt-of-this-installation"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    made.keys.save_api_key(hash_key("all-admin"), "all-ad", "*", "admin", "all-admin")
    made.keys.save_api_key(hash_key("shop-admin"), "shop-a", "shop", "admin", "shop-admin")
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url, user_salt=SALT, operator_key="configured-operator-key") as made:
        sign_in(made, "/settings", "all-admin")
        yield made


def edit(client: httpx.Client, path: str, **fields: Any) -> httpx.Response:
    """Send a form of the page of ``shop``, with the hidden fields that it has."""
    page = client.get("/settings?project=shop")
    seen = re.search(r'name="seen" value="([0-9a-f]+)"', page.text)
    data = {"csrf": csrf_of(page), "project": "shop", "seen": seen[1] if seen else "", **fields}
    return client.post(path, data=data, headers=own_origin(client))


def settings_of(store: IncidentStore, project: str = "shop") -> dict[str, Any]:
    return next(dict(record.settings) for record in store.keys.read_projects() if record.id == project)


def test_the_page_shows_settings_with_defaults_and_no_secrets(client: httpx.Client, postgres_url: str) -> None:
    shown = client.get("/settings?project=shop")
    assert shown.status_code == 200
    assert find_foreign_markup(shown) == []
    for text in (
        "https://shop.example",
        "thresholds.rage_clicks",
        "weights.failure",
        "confirmSessions",
        "ignoredRoutes",
        "jiraProject",
        "FURROW_USER_SALT",
        "FURROW_JIRA_URL",
        "set by FURROW_OPERATOR_KEY",
        "shop on call",
    ):
        assert text in shown.text, text
    for path in ("/settings", "/settings.json", "/settings.md"):
        text = client.get(path).text
        assert SALT not in text
        assert "configured-operator-key" not in text
        assert postgres_url not in html.unescape(text)
    data = client.get("/settings.json?project=shop").json()
    assert ("shop-o", "operator") in {(key["prefix"], key["role"]) for key in data["keys"]}
    assert data["environment"]["FURROW_USER_SALT"] == "set"
    assert next(entry for entry in data["settings"] if entry["name"] == "confirmSessions")["default"] == "3"


def test_a_key_is_shown_once_works_and_is_revoked(client: httpx.Client, store: IncidentStore) -> None:
    made = edit(client, "/settings/keys", role="ingest", label="the shop's pages")
    assert made.status_code == 200
    assert find_foreign_markup(made) == []
    key = re.findall(r"fi_[A-Za-z0-9_\-]{43}", made.text)[0]
    assert f'data-key="{key}"' in html.unescape(made.text)
    sent = {"X-API-Key": key}
    until(lambda: client.post("/v1/events", json={"events": [EVENT]}, headers=sent).status_code == 202)
    for path in ("/settings?project=shop", "/settings.json?project=shop"):
        shown = client.get(path).text
        assert key not in shown
        assert key[:11] in shown
    done = edit(client, "/settings/keys/revoke", prefix=key[:11], key_project="shop")
    assert done.status_code == 303
    until(lambda: client.post("/v1/events", json={"events": [EVENT]}, headers=sent).status_code == 401)
    assert edit(client, "/settings/keys/revoke", prefix=key[:11], key_project="shop").status_code == 404
    words = [tuple(change[3:]) for change in store.edits.list_changes("shop")]
    assert words == [("key.revoked", key[:11], ""), ("key.created", key[:11], "ingest key the shop's pages")]
    assert all(change.actor == "all-admin" for change in store.edits.list_changes(None))


def test_a_revoked_operator_key_ends_its_sessions(client: httpx.Client) -> None:
    made = edit(client, "/settings/keys", role="operator", label="Ann", everywhere="on")
    key = re.findall(r"fo_[A-Za-z0-9_\-]{43}", made.text)[0]
    with httpx.Client(base_url=client.base_url, trust_env=False) as ann:
        until(lambda: sign_in(ann, "/incidents", key).status_code == 303)
        assert ann.get("/incidents").status_code == 200
        assert edit(client, "/settings/keys/revoke", prefix=key[:11], key_project="*").status_code == 303
        assert ann.get("/incidents").status_code == 401


def test_values_are_set_and_reset(client: httpx.Client, store: IncidentStore) -> None:
    first = edit(
        client,
        "/settings/values",
        section="thresholds",
        **{"set.thresholds.rage_clicks": "5", "set.thresholds.slow_ms": ""},
    )
    assert (first.status_code, first.headers["location"]) == (303, "/settings?project=shop&saved=1#thresholds")
    assert settings_of(store) == {"thresholds": {"rage_clicks": 5}}
    edit(client, "/settings/values", section="ignored", **{"set.ignoredRoutes": "/admin/*\r\n\r\n /internal \n"})
    edit(client, "/settings/values", section="limits", **{"set.confirmSessions": "7", "set.confirmDays": "0.5"})
    edit(client, "/settings/values", section="trackers", **{"set.jiraProject": "OPS"})
    edit(client, "/settings/values", section="weights", **{"set.weights.failure": "20"})
    assert settings_of(store) == {
        "thresholds": {"rage_clicks": 5},
        "ignoredRoutes": ["/admin/*", "/internal"],
        "confirmSessions": 7,
        "confirmDays": 0.5,
        "jiraProject": "OPS",
        "weights": {"failure": 20},
    }
    shown = client.get("/settings?project=shop").text
    assert re.search(r'name="set.thresholds.rage_clicks" value="5" placeholder="\d+"', shown)
    assert "/admin/*\n/internal" in shown
    edit(client, "/settings/values", section="thresholds", **{"set.thresholds.rage_clicks": ""})
    assert "thresholds" not in settings_of(store)
    assert store.edits.list_changes("shop")[0].change == "thresholds.rage_clicks to its default"
    unchanged = len(store.edits.list_changes("shop"))
    assert edit(client, "/settings/values", section="limits", **{"set.confirmSessions": "7"}).status_code == 303
    assert len(store.edits.list_changes("shop")) == unchanged


@pytest.mark.parametrize(
    ("section", "name", "text"),
    [
        ("limits", "confirmSessions", "0"),
        ("limits", "confirmSessions", "many"),
        ("limits", "confirmSessions", "[1]"),
        ("limits", "confirmSessions", "9" * 5_000),
        ("limits", "requestsPerSecond", "1e999"),
        ("limits", "requestsPerSecond", "NaN"),
        ("thresholds", "thresholds.rage_clicks", "2.5"),
        ("thresholds", "thresholds.slow_ms", "1"),
        ("thresholds", "thresholds.nothing", "1"),
        ("weights", "weights.failure", "-1e3"),
        ("ignored", "ignoredRoutes", "\x00"),
        ("ignored", "ignoredRoutes", "x" * 501),
        ("trackers", "jiraProject", HOSTILE),
        ("limits", "jiraProject", "OPS"),
        ("nothing", "confirmSessions", "3"),
        ("", "", ""),
    ],
)
def test_a_wrong_value_is_a_page_that_says_so(
    client: httpx.Client, store: IncidentStore, section: str, name: str, text: str
) -> None:
    answer = edit(client, "/settings/values", section=section, **{f"set.{name}": text})
    assert answer.status_code == 400
    assert find_foreign_markup(answer) == []
    assert settings_of(store) == {}


def test_origins_are_checked_and_replaced(client: httpx.Client, store: IncidentStore) -> None:
    done = edit(client, "/settings/origins", origins="https://shop.example:443/\nhttps://*.shop.example\n")
    assert done.status_code == 303
    (shop,) = [record for record in store.keys.read_projects() if record.id == "shop"]
    assert shop.origins == ["https://shop.example", "https://*.shop.example"]
    for wrong in ("shop.example", "https://shop.example/path", "javascript:alert(1)", HOSTILE, "https://*.com"):
        answer = edit(client, "/settings/origins", origins=wrong)
        assert (answer.status_code, find_foreign_markup(answer)) == (400, [])
    assert edit(client, "/settings/origins", origins="").status_code == 303
    assert store.edits.list_changes("shop")[0].change == "origins: none"


def test_a_project_is_created(client: httpx.Client, store: IncidentStore) -> None:
    made = edit(client, "/settings/projects", project="forum")
    assert (made.status_code, made.headers["location"]) == (303, "/settings?project=forum&saved=1#keys")
    assert "forum" in store.keys.list_known_projects()
    assert client.get("/settings?project=forum").status_code == 200
    assert edit(client, "/settings/projects", project="forum").status_code == 409
    assert edit(client, "/settings/projects", project=HOSTILE).status_code == 400
    assert client.get("/settings?project=unknown").status_code == 404


def test_of_two_administrators_the_second_is_told(client: httpx.Client, store: IncidentStore) -> None:
    page = client.get("/settings?project=shop").text
    seen = re.findall(r'name="seen" value="([0-9a-f]+)"', page)[0]
    assert edit(client, "/settings/values", section="limits", **{"set.confirmSessions": "7"}).status_code == 303
    late = edit(client, "/settings/values", section="limits", seen=seen, **{"set.confirmSessions": "9"})
    assert late.status_code == 409
    assert "Somebody changed this project" in late.text
    assert settings_of(store) == {"confirmSessions": 7}


def test_two_changes_at_once_keep_both_histories(client: httpx.Client, store: IncidentStore) -> None:
    from concurrent.futures import ThreadPoolExecutor

    page = client.get("/settings?project=shop").text
    seen, csrf = re.findall(r'name="seen" value="([0-9a-f]+)"', page)[0], re.findall(r'csrf" value="(\w+)"', page)[0]

    def save(number: int) -> int:
        data = {"csrf": csrf, "project": "shop", "seen": seen, "section": "limits", "set.confirmSessions": str(number)}
        return client.post("/settings/values", data=data, headers=own_origin(client)).status_code

    with ThreadPoolExecutor(6) as threads:
        answers = sorted(threads.map(save, range(10, 16)))
    assert answers == [303, *[409] * 5]
    assert len(store.edits.list_changes("shop")) == 1


PATHS = (
    "/settings/projects",
    "/settings/origins",
    "/settings/values",
    "/settings/keys",
    "/settings/keys/revoke",
    "/settings/trackers/check",
    "/settings/alerts/test",
)


@pytest.mark.parametrize("path", PATHS)
def test_only_an_administrator_changes_settings(client: httpx.Client, store: IncidentStore, path: str) -> None:
    csrf = csrf_of(client.get("/settings"))
    wanted = {"project": "blog", "role": "operator", "origins": "", "section": "limits", "prefix": "blog-o"}
    forged = client.post(path, data={**wanted, "csrf": csrf}, headers={"origin": "https://evil.example"})
    assert forged.status_code == 403
    assert client.post(path, data={**wanted, "csrf": "0" * 32}, headers=own_origin(client)).status_code == 403
    client.cookies.clear()
    assert client.post(path, data=wanted, headers=own_origin(client)).status_code == 401
    assert client.post(path, data=wanted, headers={**own_origin(client), **ALL}).status_code == 401
    sign_in(client, "/settings", "shop-operator")
    token = csrf_of(client.get("/incidents"))
    assert client.post(path, data={**wanted, "csrf": token}, headers=own_origin(client)).status_code == 403
    viewer = client.post("/v1/sign-in-links", json={"role": "viewer"}, headers=ALL).json()["url"]
    client.cookies.clear()
    client.get(viewer)
    seen = client.get("/settings?project=shop")
    assert seen.status_code == 200
    assert 'action="/settings' not in seen.text
    assert client.post(path, data={**wanted, "csrf": token}, headers=own_origin(client)).status_code == 403
    assert store.edits.list_changes(None) == []


def test_an_admin_of_one_project_changes_that_project_alone(client: httpx.Client, store: IncidentStore) -> None:
    client.cookies.clear()
    sign_in(client, "/settings", "shop-admin")
    assert edit(client, "/settings/origins", origins="https://new.example").status_code == 303
    assert edit(client, "/settings/keys", role="operator", label="Bo").status_code == 200
    changes = len(store.edits.list_changes(None))
    for path, fields in (
        ("/settings/projects", {"project": "more"}),
        ("/settings/origins", {"project": "blog", "origins": ""}),
        ("/settings/keys", {"project": "blog", "role": "ingest"}),
        ("/settings/keys", {"role": "admin", "everywhere": "on"}),
        ("/settings/keys/revoke", {"prefix": "blog-o", "key_project": "blog"}),
        ("/settings/keys/revoke", {"prefix": "all-ad", "key_project": "*"}),
        ("/settings/trackers/check", {"tracker": "jira"}),
        ("/settings/alerts/test", {}),
    ):
        assert edit(client, path, **fields).status_code == 403, path
    assert len(store.edits.list_changes(None)) == changes


def test_a_tracker_is_asked_about_and_answers(client: httpx.Client, store: IncidentStore) -> None:
    assert edit(client, "/settings/trackers/check", tracker="jira").status_code == 303
    assert "asked now by all-admin" in re.sub(r"<[^>]*>", "", client.get("/settings").text)
    assert store.checks.list_unanswered() == ["jira"]
    store.checks.record_answer("jira", False, f"Jira answered 401: {HOSTILE}")
    shown = client.get("/settings")
    assert find_foreign_markup(shown) == []
    assert "Jira answered 401" in shown.text
    (jira,) = [one for one in client.get("/settings.json").json()["trackers"] if one["tracker"] == "jira"]
    assert jira["accepts"] is False
    assert edit(client, "/settings/trackers/check", tracker="nothing").status_code == 400


def test_a_key_of_one_project_sees_that_project_alone(client: httpx.Client) -> None:
    edit(client, "/settings/keys", role="operator", everywhere="on", label="keeper")
    client.cookies.clear()
    sign_in(client, "/settings", "shop-operator")
    shown = client.get("/settings")
    assert shown.status_code == 200
    for hidden in ("blog", "all-admin", "FURROW_", "keeper", 'action="/settings'):
        assert hidden not in shown.text, hidden
    assert client.get("/settings?project=blog").status_code == 404
    assert client.get("/settings.json?project=blog", headers=SHOP).status_code == 404


def test_hostile_stored_settings_are_text(client: httpx.Client, store: IncidentStore) -> None:
    store.keys.save_project(
        "shop", [HOSTILE], {"ignoredRoutes": [HOSTILE], "jiraProject": HOSTILE, "thresholds": HOSTILE}
    )
    store.keys.save_api_key("hash", HOSTILE[:11], "shop", "ingest", HOSTILE)
    shown = client.get("/settings?project=shop")
    assert (shown.status_code, find_foreign_markup(shown)) == (200, [])
    assert "&lt;script&gt;" in shown.text
    assert "not valid and therefore not used" in shown.text
    assert client.get("/settings.md?project=shop").status_code == 200


ODD = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ["-1", "1e9", "null", "%00", "'--", "\x00", "9" * 40, "shop", "*", "limits", "thresholds", "operator", HOSTILE]
)
fuzzed = settings(suppress_health_check=list(HealthCheck), max_examples=60)
FIELDS = ("project", "tracker", "seen", "section", "origins", "role", "label", "everywhere", "prefix", "key_project",
          "set.confirmSessions", "set.ignoredRoutes", "set.thresholds.rage_clicks", "set.jiraProject")  # fmt: skip


@fuzzed
@given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(FIELDS) | ODD, ODD, max_size=7), st.booleans())
def test_no_form_breaks_the_settings(client: httpx.Client, path: str, fields: dict[str, str], true_page: bool) -> None:
    if true_page:
        answer = edit(client, path, **fields)
    else:
        data = {**fields, "csrf": csrf_of(client.get("/settings"))}
        answer = client.post(path, data=data, headers=own_origin(client))
    assert answer.status_code in (200, 303, 400, 404, 409)
    assert find_foreign_markup(answer) == []
    assert find_foreign_markup(client.get("/settings?project=shop")) == []


@fuzzed
@given(st.sampled_from(["/settings", "/settings.json", "/settings.md"]), st.dictionaries(st.just("project") | ODD, ODD))
def test_no_parameter_breaks_the_settings(client: httpx.Client, path: str, parameters: dict[str, str]) -> None:
    assert client.get(path, params=parameters).status_code in (200, 400, 404)
