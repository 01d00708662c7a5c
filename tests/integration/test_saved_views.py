"""Saved views of the list, the incidents before and after, and what an empty installation says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.access.keys import hash_key
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import BLOG, fill, serving
from tests.integration.incident_store_cases import detection
from tests.integration.page_cases import csrf_of, find_foreign_markup, own_origin, record_one, send, sign_in

HOSTILE = "<script>alert(1)</script>\"'>"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    made.keys.save_api_key(hash_key("all-admin"), "all-ad", "*", "admin", "all-admin")
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        sign_in(made, "/incidents", "all-admin")
        yield made


def test_a_view_is_saved_found_and_removed(client: httpx.Client) -> None:
    query = "severity=High&route=%2Fcheckout&sort=firstSeen"
    saved = send(client, "/incidents", "/incidents/views", name="Mornings", query=f"{query}&after=x")
    assert (saved.status_code, saved.headers["location"]) == (303, f"/incidents?{query}")
    shown = client.get(f"/incidents?{query}").text
    assert 'aria-current="true">Mornings</a>' in shown
    send(client, "/incidents", "/incidents/views", name="Everybody's", query="status=draft", shared="on")
    client.cookies.clear()
    sign_in(client, "/incidents", "shop-operator")
    other = client.get("/incidents").text
    assert "Mornings" not in other
    assert "Everybody&#39;s" in other
    assert 'aria-label="Remove the view' not in other
    for path in ("/incidents/views", "/incidents/views/remove"):
        assert send(client, "/incidents", path, name="Everybody's", query="q=x", shared="on").status_code == 403
    assert send(client, "/incidents", "/incidents/views/remove", name="Mornings").status_code == 404
    client.cookies.clear()
    sign_in(client, "/incidents", "all-admin")
    assert send(client, "/incidents", "/incidents/views/remove", name="Mornings").status_code == 303
    assert "Mornings" not in client.get("/incidents").text


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "", "query": "q=x"},
        {"name": "x" * 61, "query": "q=x"},
        {"name": "a\nb", "query": "q=x"},
        {"name": "x", "query": "nothing=1"},
        {"name": "x", "query": "q=%00"},
        {"name": "x", "query": "&" * 9},
        {"name": "x", "query": "q=" + "x" * 5_000},
    ],
)
def test_a_wrong_view_is_refused(client: httpx.Client, fields: dict[str, str]) -> None:
    assert send(client, "/incidents", "/incidents/views", **fields).status_code == 400


def test_views_are_bounded_and_their_names_are_text(client: httpx.Client, store: IncidentStore) -> None:
    send(client, "/incidents", "/incidents/views", name=HOSTILE, query=f"q={HOSTILE.replace('&', '')}")
    assert find_foreign_markup(client.get("/incidents")) == []
    csrf = csrf_of(client.get("/incidents"))
    answers = [
        client.post("/incidents/views", data={"csrf": csrf, "name": f"v{n}", "query": ""}, headers=own_origin(client))
        for n in range(50)
    ]
    assert [answer.status_code for answer in answers] == [303] * 49 + [409]
    forged = client.post("/incidents/views", data={"name": "x", "query": ""}, headers=own_origin(client))
    assert forged.status_code == 403


ODD = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(["status=all", "%00", "on", "\x00", "&=&"])
fuzzed = settings(suppress_health_check=list(HealthCheck), max_examples=50)


@fuzzed
@given(
    st.sampled_from(["/incidents/views", "/incidents/views/remove"]),
    st.dictionaries(st.sampled_from(["name", "query", "shared"]) | ODD, ODD, max_size=4),
)
def test_no_form_breaks_the_views(client: httpx.Client, path: str, fields: dict[str, str]) -> None:
    csrf = csrf_of(client.get("/incidents"))
    answer = client.post(path, data={**fields, "csrf": csrf}, headers=own_origin(client))
    assert answer.status_code in (303, 400, 404, 409)
    assert client.get("/incidents").status_code == 200


def test_an_incident_leads_to_those_before_and_after(client: httpx.Client, store: IncidentStore) -> None:
    at = datetime.now(UTC)
    for n in range(4):
        record_one(store, detection(f"n{n}", f"failure-{n // 2 * 2}{n}", at=at - timedelta(hours=n // 2)))
    client.cookies.clear()
    sign_in(client, "/incidents", "shop-operator")
    listed = [incident["incidentId"] for incident in client.get("/incidents.json").json()["incidents"]]
    assert len(listed) == 5
    for before, now, after in zip([None, *listed], listed, [*listed[1:], None], strict=False):
        found = client.get(f"/incidents/{now}.json").json()
        assert (found["previous"], found["next"]) == (before, after)
    page = client.get(f"/incidents/{listed[1]}").text
    assert f'rel="prev" data-previous href="/incidents/{listed[0]}"' in page
    theirs = client.get("/incidents.json", headers=BLOG).json()["incidents"][0]["incidentId"]
    assert theirs not in client.get(f"/incidents/{listed[-1]}.json").json().values()


def test_empty_pages_teach(tmp_path: Path, postgres_url: str) -> None:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    store.close()
    with serving(
        tmp_path,
        postgres_url,
        operator_key="all-operator",
        development_operator_key="own-admin",
        public_url="http://localhost:8080",
    ) as client:
        sign_in(client, "/incidents", "own-admin")
        shown = client.get("/incidents").text
        for text in ("http://localhost:8080/furrow.js", "YOUR-INGEST-KEY", "create one in Settings", "data-waiting"):
            assert text in shown
        near = client.get("/near-misses")
        assert "A near miss is a session" in near.text
        assert find_foreign_markup(near) == []
        assert "None of this rule" in client.get("/near-misses?rule=x").text
