"""The review pages: lists, an incident, a session, near misses, health; each also as JSON and Markdown."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tests.integration.api_cases import ALL, BLOG, SHOP, fill, serving, whole_detection
from tests.integration.incident_store_cases import detection, iso
from tests.integration.page_cases import csrf_of, find_foreign_markup, own_origin, page_of, record_one, send, sign_in

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        sign_in(made, "/incidents", "shop-operator")
        yield made


def why_not(session: str, rule: str, text: str, project: str = "shop") -> dict[str, Any]:
    return {
        "projectId": project,
        "sessionId": session,
        "visitId": f"v-{session}-{rule}"[:60],
        "visitStart": "2024-01-15T10:00:00.000Z",
        "rule": rule,
        "text": text,
        "candidates": [{"failurePoint": text, "rule": rule, "text": text, "score": 55}],
    }


def many(store: IncidentStore, number: int) -> None:
    for n in range(number):
        at = datetime.now(UTC) - timedelta(hours=n)
        found = detection(f"m{n}", f"failure-{n}", at=at, user=f"u{n}")
        found["context"] = {**found["context"], "appVersion": f"9.{n % 2}", "userAgent": "", "truncated": False}
        record_one(store, found)


def test_the_list_shows_what_is_open(client: httpx.Client) -> None:
    shown = client.get("/incidents")
    assert shown.status_code == 200
    for part in ("POST /api/orders", "confirmed", "/checkout", 'class="spark"', "Sessions", "Last seen"):
        assert part in shown.text
    assert find_foreign_markup(shown) == []
    assert "unsafe" not in shown.headers["content-security-policy"]


def test_the_list_goes_on_by_cursor_and_leaves_none_out(client: httpx.Client, store: IncidentStore) -> None:
    many(store, 120)
    for sort in ("-lastSeen", "firstSeen", "-affectedSessions", "severity"):
        seen: list[str] = []
        after = ""
        for _ in range(4):
            page = client.get("/incidents.json", params={"sort": sort, "status": "all", "after": after}).json()
            seen += [incident["incidentId"] for incident in page["incidents"]]
            after = page["next"]
            if after is None:
                break
        assert len(seen) == len(set(seen)) == 121
        listed = store.incidents.list_incidents(IncidentQuery(project="shop", sort=sort, limit=1000))
        assert set(seen) == {incident["incidentId"] for incident in listed.incidents}


def test_an_incident_that_appears_between_two_pages_moves_nothing(client: httpx.Client, store: IncidentStore) -> None:
    many(store, 60)
    first = client.get("/incidents.json").json()
    record_one(store, detection("new", "brand-new", at=datetime.now(UTC)))
    second = client.get("/incidents.json", params={"after": first["next"]}).json()
    ids = [incident["incidentId"] for page in (first, second) for incident in page["incidents"]]
    assert len(ids) == len(set(ids)) == 61


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=API%2Forders", True),
        ("q=100%25", False),
        ("q=P_ST", False),
        ("status=confirmed", True),
        ("status=draft", False),
        ("status=resolved,confirmed", True),
        ("severity=Low", False),
        ("route=%2Fcheckout", True),
        ("route=%2Fcart", False),
        ("version=2.4.1", True),
        ("version=9.9", False),
        ("environment=production", True),
        ("browser=nothing", False),
        ("exported=true", False),
        ("project=shop", True),
        ("status=&q=&severity=&route=", True),
    ],
)
def test_filters_are_in_the_address(client: httpx.Client, query: str, found: bool) -> None:
    assert bool(client.get(f"/incidents.json?{query}").json()["incidents"]) == found
    page = client.get(f"/incidents?{query}")
    assert page.status_code == 200
    assert ("data-row" in page.text) == found
    assert find_foreign_markup(page) == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("nothing=1", 400),
        ("sort=title;DROP", 400),
        ("sort=-medianScore", 400),
        ("status=odd", 400),
        ("severity=odd", 400),
        ("after=%00", 400),
        ("after=WyJ4IiwieSJd", 400),  # ["x", "y"]
        ("after=WyJOYU4iLCJ5Il0", 400),  # ["NaN", "y"]
        ("q=" + "x" * 201, 400),
        ("q=%00", 400),
        ("project=blog", 404),
        (f"q={HOSTILE}", 200),
        (f"route={HOSTILE}", 200),
    ],
)
def test_a_wrong_address_is_a_page_that_says_so(client: httpx.Client, query: str, status: int) -> None:
    shown = client.get(f"/incidents?{query}")
    assert shown.status_code == status
    assert find_foreign_markup(shown) == []
    assert "{{7*7}}" in shown.text or HOSTILE not in query  # no template in a value is evaluated
    assert client.get(f"/incidents.json?{query}").status_code == status


def test_a_key_of_another_project_sees_nothing(client: httpx.Client) -> None:
    page = page_of(client)
    client.cookies.clear()
    for path in (page, f"{page}.json", f"{page}.md", "/session.json?project=shop&id=s1"):
        assert client.get(path, headers=BLOG).status_code in (401, 404)
    assert all(
        incident["projectId"] == "blog" for incident in client.get("/incidents.json", headers=BLOG).json()["incidents"]
    )
    assert client.get("/near-misses.json?project=shop", headers=BLOG).status_code == 404
    assert client.get("/health.json", headers=BLOG).json()["status"]["project"] == "blog"


def test_every_page_is_json_and_markdown_for_programs(client: httpx.Client) -> None:
    page = page_of(client)
    client.cookies.clear()
    for path in ("/incidents", page, "/near-misses", "/exceptions", "/health"):
        assert client.get(f"{path}.json").status_code == 401
        data = client.get(f"{path}.json", headers=ALL)
        text = client.get(f"{path}.md", headers=ALL)
        assert (data.status_code, data.headers["content-type"]) == (200, "application/json")
        assert (text.status_code, text.headers["content-type"]) == (200, "text/markdown; charset=utf-8")
    assert client.get("/session.md?project=shop&id=s1", headers=SHOP).status_code == 200
    detail = client.get(f"{page}.json", headers=SHOP).json()
    assert len(detail["trend"]["counts"]) == 30
    assert sum(detail["trend"]["counts"]) == 3
    assert "How to reproduce" in client.get(f"{page}.md", headers=SHOP).text


def test_hostile_text_is_text_on_every_page(client: httpx.Client, store: IncidentStore) -> None:
    found = whole_detection("s-hostile", "shop")
    found["explanation"] = HOSTILE
    found["failurePoint"] = {"route": HOSTILE, "target": HOSTILE, "feedback": HOSTILE}
    found["primaryFailurePoint"] = HOSTILE
    found["fingerprint"] = "hostile"
    found["points"] = [{"rule": HOSTILE, "points": 3}]
    found["timeline"] = [{**step, "text": HOSTILE, "route": HOSTILE} for step in found["timeline"]]
    found["triggeringSignals"] = [{**signal, "text": HOSTILE} for signal in found["triggeringSignals"]]
    found["context"] = {**found["context"], "label": HOSTILE, "appVersion": HOSTILE, "environment": HOSTILE}
    session = f"s{HOSTILE}"[:120]
    found["sessionId"] = session
    record_one(store, found, (why_not(session, "a_rule", HOSTILE),))
    (incident,) = [
        one
        for one in store.incidents.list_incidents(IncidentQuery(project="shop")).incidents
        if HOSTILE in one["failurePoint"]["route"]
    ]
    page = f"/incidents/{incident['incidentId']}"
    send(client, page, f"{page}/act", action="suppress", reason=HOSTILE, seen="draft")
    for path in (
        "/incidents?status=all",
        page,
        f"/session?{httpx.QueryParams(project='shop', id=session)}",
        "/near-misses",
        "/near-misses?rule=a_rule",
        "/health",
    ):
        shown = client.get(path)
        assert shown.status_code == 200, path
        assert find_foreign_markup(shown) == [], path
        if path != "/health":
            assert "&lt;script&gt;" in shown.text
    for path in (f"{page}.md", "/incidents.md?status=all", "/near-misses.md"):
        text = client.get(path).text
        assert "<script>" not in re.sub(r"`[^`]*`", "", text), path


def test_the_session_says_why_it_was_flagged_and_why_not(client: httpx.Client, store: IncidentStore) -> None:
    found = whole_detection("both", "shop")
    record_one(store, found, (why_not("both", "succeeded_later", "the action succeeded 3 s later"),))
    shown = client.get("/session?project=shop&id=both")
    assert shown.status_code == 200
    for part in (
        "Flagged",
        "Not flagged",
        "succeeded_later",
        "the action succeeded 3 s later",
        'class="lanes"',
        'id="t=0"',
    ):
        assert part in shown.text
    near = client.get("/near-misses.json").json()
    assert near["counts"] == {"succeeded_later": 1}
    assert near["nearMisses"][0]["score"] == 55
    assert client.get("/session?project=shop&id=unknown").status_code == 404
    assert client.get("/session?project=blog&id=s1").status_code == 404
    assert client.get("/session").status_code == 400


def test_an_analysis_replaces_the_near_misses_of_its_session(client: httpx.Client, store: IncidentStore) -> None:
    found = whole_detection("again", "shop")
    record_one(store, found, (why_not("again", "first_rule", "x"),))
    record_one(store, found, (why_not("again", "second_rule", "x"),))
    assert set(client.get("/near-misses.json").json()["counts"]) == {"second_rule"}
    assert store.erasure.erase_sessions("shop", ["again"]).detections == 1
    assert client.get("/near-misses.json").json()["counts"] == {}


def test_of_two_people_the_second_is_told(client: httpx.Client) -> None:
    page = page_of(client)
    first = send(client, page, f"{page}/act", action="resolve", reason="fixed by Ann", seen="confirmed")
    second = send(client, page, f"{page}/act", action="suppress", reason="my own words", seen="confirmed")
    assert (first.status_code, second.status_code) == (303, 409)
    for part in ("Your action was not applied", "fixed by Ann", 'value="my own words"'):
        assert part in second.text
    history = client.get(f"{page}.json").json()["history"]
    assert [entry["to"] for entry in history[-2:]] == ["confirmed", "resolved"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "explode", "reason": "x", "seen": "confirmed"}, 400),
        ({"action": "resolve", "reason": " ", "seen": "confirmed"}, 400),
        ({"action": "resolve", "reason": "x" * 2001, "seen": "confirmed"}, 400),
        ({"action": "resolve", "reason": "a\x00b", "seen": "confirmed"}, 400),
        ({"action": "resolve", "reason": "x", "seen": "odd"}, 400),
        ({"action": "resolve", "reason": "x", "seen": "confirmed", "fix_version": "v" * 201}, 400),
        ({"action": "resolve", "reason": "x", "seen": "confirmed", "fix_version": "2", "next_release": "yes"}, 400),
        ({"action": "resolve", "reason": "x", "seen": "confirmed", "fix_environment": "production"}, 400),
        ({"action": "resolve", "reason": "x", "seen": "confirmed", "fix_version": "2\x005"}, 400),
        ({"action": "resolve", "reason": "x", "seen": "confirmed", "next_release": "yes", "fix_environment": "p"}, 303),
        ({"action": "resolve", "reason": "x"}, 400),
        ({"action": "reopen", "reason": "x", "seen": "confirmed"}, 409),
        ({"action": "suppress", "reason": "x", "seen": "confirmed", "until": "soon"}, 400),
        ({"action": "suppress", "reason": "x", "seen": "confirmed", "sessions": "0"}, 400),
        ({"action": "suppress", "reason": "x", "seen": "confirmed", "sessions": "9" * 30}, 400),
        ({"action": "suppress", "reason": "x", "seen": "confirmed", "until": "2999-01-01", "sessions": "5"}, 303),
    ],
)
def test_a_form_is_checked(client: httpx.Client, fields: dict[str, str], status: int) -> None:
    page = page_of(client)
    assert send(client, page, f"{page}/act", **fields).status_code == status


def test_an_incident_is_resolved_in_a_version_and_the_page_says_so(client: httpx.Client) -> None:
    page = page_of(client)
    form = client.get(page).text
    assert 'name="fix_version"' in form
    assert '<option value="2.4.1">' in form
    fields = {
        "action": "resolve",
        "reason": "merged",
        "seen": "confirmed",
        "fix_version": HOSTILE,
        "fix_environment": "production",
    }
    assert send(client, page, f"{page}/act", **fields).status_code == 303
    shown = client.get(page)
    assert find_foreign_markup(shown) == []
    assert "Fixed in &lt;script&gt;" in shown.text
    assert "(production). Older versions keep counting" in shown.text
    assert client.get(f"{page}.json").json()["fixVersion"] == HOSTILE
    send(client, page, f"{page}/act", action="reopen", reason="again", seen="resolved")
    fields = {"action": "resolve", "reason": "merged", "seen": "confirmed", "next_release": "yes"}
    assert send(client, page, f"{page}/act", **fields).status_code == 303
    assert "Fixed in the next release." in client.get(page).text


ODD = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ["-1", "1e9", "null", "%00", "'--", "\x00", "9" * 40]
)
fuzzed = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@fuzzed
@given(
    st.sampled_from(
        ["/incidents", "/incidents.json", "/session", "/session.md", "/near-misses", "/health", "/incidents/x"]
    ),
    st.dictionaries(
        st.sampled_from(
            ["status", "severity", "q", "sort", "after", "route", "project", "id", "rule", "since", "minScore"]
        )
        | ODD,
        ODD,
        max_size=4,
    ),
)
def test_no_parameter_breaks_a_page(client: httpx.Client, path: str, parameters: dict[str, str]) -> None:
    assert client.get(path, params=parameters).status_code in (200, 400, 404)


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "action",
                "reason",
                "seen",
                "until",
                "sessions",
                "incident",
                "back",
                "tracker",
                "assignee",
                "version",
                "into",
            ]
        )
        | ODD,
        ODD,
        max_size=5,
    ),
    st.sampled_from(
        [
            "/incidents/inc_x/act",
            "/incidents/act",
            "/incidents/inc_x/assign",
            "/incidents/assign",
            "/incidents/inc_x/merge",
            "/incidents/merge",
            "/health/retry",
            "/sign-in",
        ]
    ),
)
def test_no_form_breaks_a_page(client: httpx.Client, fields: dict[str, str], path: str) -> None:
    csrf = csrf_of(client.get("/incidents"))
    answer = client.post(path, data={**fields, "csrf": csrf}, headers=own_origin(client))
    assert answer.status_code in (303, 400, 401, 404, 409)


def test_several_incidents_at_once(client: httpx.Client, store: IncidentStore) -> None:
    many(store, 3)
    listed = client.get("/incidents.json?status=draft").json()["incidents"]
    chosen = [f"{incident['incidentId']}:draft" for incident in listed]
    done = send(
        client,
        "/incidents",
        "/incidents/act",
        action="confirm",
        reason="seen",
        incident=chosen,
        back="/incidents?status=draft",
    )
    assert (done.status_code, done.headers["location"]) == (303, "/incidents?status=draft")
    assert client.get("/incidents.json?status=draft").json()["incidents"] == []
    again = send(
        client, "/incidents", "/incidents/act", action="confirm", reason="seen", incident=chosen, back="//evil"
    )
    assert again.status_code == 409
    assert "3 of 3 incidents stayed as they are" in again.text
    assert "evil" not in again.text


def test_several_incidents_are_resolved_in_a_version_at_once(client: httpx.Client, store: IncidentStore) -> None:
    ids = [page_of(client).rpartition("/")[2]]
    listed = client.get("/incidents.json").json()["incidents"]
    chosen = [f"{one['incidentId']}:{one['status']}" for one in listed if one["incidentId"] in ids]
    fields = {"reason": "merged", "incident": chosen, "fix_version": HOSTILE[:200]}
    assert 'name="fix_version"' in client.get("/incidents").text
    assert send(client, "/incidents", "/incidents/act", action="suppress", **fields).status_code == 400
    assert send(client, "/incidents", "/incidents/act", action="resolve", **fields).status_code == 303
    found = store.incidents.read_incident(ids[0])
    assert found is not None
    assert (found["status"], found["fixVersion"]) == ("resolved", HOSTILE[:200])


def test_a_failed_export_is_retried_by_a_person(client: httpx.Client, store: IncidentStore) -> None:
    page = page_of(client)
    incident_id = page.rpartition("/")[2]
    store.outbox.claim_incidents("jira", limit=1, min_score=70, only=[incident_id])
    store.outbox.record_failed_export(incident_id, "jira", "customfield_10010 is required", None)
    shown = client.get("/health")
    assert "customfield_10010 is required" in shown.text
    done = send(client, "/health", "/health/retry", incident=incident_id, tracker="jira")
    assert (done.status_code, done.headers["location"]) == (303, "/health")
    assert [claim.state for claim in store.outbox.claim_incidents("jira", limit=5, min_score=70)] == ["retry"]
    assert client.get(f"{page}.json").json()["history"][-1]["reason"] == "export to jira asked for again"
    assert send(client, page, "/health/retry", incident=incident_id, tracker="linear").status_code == 404
    client.cookies.clear()
    sign_in(client, "/incidents", "blog-operator")
    blog_page = page_of(client, BLOG)
    assert send(client, blog_page, "/health/retry", incident=incident_id, tracker="jira").status_code == 404


def test_an_empty_installation_teaches(tmp_path: Path, postgres_url: str) -> None:
    fill(postgres_url).close()
    with serving(
        tmp_path, postgres_url, public_url="http://localhost:8080", development_ingest_key="dev-key"
    ) as client:
        import psycopg

        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("UPDATE incidents SET status = 'suppressed'")  # the way back to a draft
            connection.execute("UPDATE incidents SET status = 'draft', withdrawn_at = now()")
        sign_in(client, "/incidents", "all-operator")
        shown = client.get("/incidents")
        assert "No incident yet" in shown.text
        assert "http://localhost:8080/furrow.js" in shown.text
        assert "dev-key" in shown.text
        client.cookies.clear()
        sign_in(client, "/incidents", "shop-operator")
        assert "dev-key" not in client.get("/incidents").text  # a key of another project


def test_assets_are_kept_and_compressed(client: httpx.Client) -> None:
    page = client.get("/incidents").text
    for address in re.findall(r'(?:src|href)="(/assets/[^"]+)"', page):
        asset = client.get(address)
        assert (asset.status_code, "immutable" in asset.headers["cache-control"]) == (200, True)
        assert client.get(address, headers={"if-none-match": asset.headers["etag"]}).status_code == 304
    assert client.get("/assets/htmx-LICENSE.txt").status_code == 404
    assert client.get("/assets/..%2fincident.py").status_code == 404
    packed = client.get("/incidents", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"


def test_the_fragment_of_the_list_is_asked_for_by_its_place(client: httpx.Client) -> None:
    fragment = client.get("/incidents", headers={"hx-request": "true", "hx-target": "list"})
    assert "<html" not in fragment.text
    assert "data-row" in fragment.text


def test_old_incidents_show_the_days_in_which_they_were_seen(client: httpx.Client) -> None:
    assert "2024-01-15" in client.get(page_of(client)).text
    assert iso(datetime(2024, 1, 15, 10, tzinfo=UTC)) in client.get(page_of(client)).text


def test_the_home_page_leads_to_the_list(client: httpx.Client) -> None:
    assert client.get("/").headers["location"] == "/incidents"
    assert client.post("/sign-out", headers=own_origin(client)).status_code == 303
    assert client.get("/incidents").status_code == 401
