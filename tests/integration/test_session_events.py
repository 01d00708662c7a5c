"""The page of a session with all of its stored events: the collector asks the lander, which reads the event store."""

import random
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.metrics import DEGRADED
from core.session_window import SHOWN_EVENTS, WindowRequest, find_window_socket
from lander.session_socket import serve_session_windows
from stores.events.event_store import EventStore
from stores.events.session_window import read_session_rows
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import SHOP, fill, serving, whole_detection
from tests.integration.page_cases import find_foreign_markup, record_one, sign_in
from tests.rows import BASE_MS, lines, row

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


@pytest.fixture
def incidents(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@contextmanager
def open_pages(folder: Path, postgres_url: str, events: EventStore) -> Iterator[httpx.Client]:
    """A collector with a lander beside it that answers from ``events``."""
    status = folder / "lander.json"
    with (
        serve_session_windows(find_window_socket(status), lambda: events),
        serving(folder, postgres_url, lander_status=status) as client,
    ):
        sign_in(client, "/incidents", "shop-operator")
        yield client


@pytest.fixture
def client(
    tmp_path: Path, postgres_url: str, event_store: EventStore, incidents: IncidentStore
) -> Iterator[httpx.Client]:
    with open_pages(tmp_path, postgres_url, event_store) as made:
        yield made


def shop(session: str, at_ms: int, **columns: Any) -> dict[str, Any]:
    return row(session, at_ms, **{"project": "shop", "route": "/checkout", **columns})


def flagged(session: str, at_ms: int) -> dict[str, Any]:
    """A detection whose first signal is at ``at_ms``, with the failure half a second later."""

    def moment(milliseconds: int) -> str:
        return datetime.fromtimestamp((BASE_MS + milliseconds) / 1000, UTC).isoformat(timespec="milliseconds")

    found = whole_detection(session, "shop")
    found["timestamp"] = moment(at_ms)
    common = {"route": "/checkout", "target": "button#pay", "count": 3}
    found["triggeringSignals"] = [
        {
            "type": "rage",
            "start": moment(at_ms),
            "end": moment(at_ms + 900),
            "text": "3 clicks",
            "eventIds": [],
            **common,
        },
        {
            "type": "feedback",
            "start": moment(at_ms + 500),
            "end": moment(at_ms + 500),
            "text": "500",
            "eventIds": [],
            **common,
        },
    ]
    return found


def many_rows(session: str, number: int, label: str = "Pay now") -> list[dict[str, Any]]:
    return [
        shop(session, n * 100, target_type="button", target_tag="button", target_id=f"b{n}", target_label=label, seq=n)
        for n in range(number)
    ]


def test_every_stored_event_is_a_line_of_text(client: httpx.Client, event_store: EventStore) -> None:
    events = [
        shop("calm", 0, event_type="navigation", nav_type="link"),
        shop("calm", 900, target_type="button", target_id="pay", target_label="Pay now", responded=0),
        shop("calm", 1200, event_type="network", method="POST", url="/api/orders", status=500, duration_ms=250),
        shop("calm", 1300, event_type="error", error_type="javascript", message="x is not a function"),
        shop("calm", 1400, event_type="input", action="change", target_type="text", target_id="mail"),
        shop("calm", 1500, event_type="form_submit", valid=0),
        shop("calm", 1600, event_type="visibility", state="hidden"),
        shop("calm", 1700, event_type="session_end"),
    ]
    event_store.land_segment(lines(events), "calm")
    event_store.land_segment(lines(events), "calm, sent again")
    shown = client.get("/session?project=shop&id=calm")
    assert shown.status_code == 200
    assert find_foreign_markup(shown) == []
    for text in (
        "went to /checkout",
        "clicked button#pay “Pay now” (no reaction)",
        "POST /api/orders → 500 (250 ms)",
        "error: x is not a function",
        "changed text#mail",
        "submitted the form (not valid)",
        "the page was hidden",
        "the session ended",
        "Events 1 to 8 of 8",
        "Not flagged",
    ):
        assert text in shown.text, text
    assert shown.text.count('<li class="event-row') == 8
    data = client.get("/session.json?project=shop&id=calm").json()
    assert (data["eventsTotal"], len(data["events"]), data["events"][2]["failed"]) == (8, 8, True)
    assert "POST /api/orders → 500" in client.get("/session.md?project=shop&id=calm").text


def test_the_window_of_a_long_session_lies_around_the_failure(
    client: httpx.Client, event_store: EventStore, incidents: IncidentStore
) -> None:
    event_store.land_segment(lines(many_rows("long", 10_000)), "long")
    record_one(incidents, flagged("long", 700_000))
    shown = client.get("/session?project=shop&id=long")
    assert "of 10,000" in shown.text
    assert 'id="t=0"' in shown.text
    assert 'class="failure"' in shown.text
    assert 'class="bracket"' in shown.text
    assert "Events around the failure" not in shown.text
    assert int(shown.headers["content-length"]) < 50_000
    seen: set[int] = set()
    page = "/session?project=shop&id=long&from=0"
    for _ in range(10_000 // SHOWN_EVENTS + 2):
        part = client.get(page)
        numbers = [int(found.split('"')[0]) for found in part.text.split('id="t=')[1:]]
        assert not seen & set(numbers)
        seen |= set(numbers)
        if 'rel="next"' not in part.text:
            break
        page = part.text.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert len(seen) == 10_000
    assert "Events around the failure" in part.text
    moved = client.get("/session?project=shop&id=long&at=-600000")
    assert 'id="t=-600000"' in moved.text
    assert 'id="t=0"' not in moved.text


def test_a_page_of_the_longest_texts_is_bounded(client: httpx.Client, event_store: EventStore) -> None:
    chance = random.Random(1)
    letters = string.ascii_letters + string.digits

    def noise(number: int) -> str:
        return "".join(chance.choices(letters, k=number))

    rows = [
        shop("noisy", n, route=f"/{noise(900)}", target_id=noise(150), target_type="a", target_label=noise(190), seq=n)
        for n in range(400)
    ]
    event_store.land_segment(lines(rows), "noisy")
    shown = client.get("/session?project=shop&id=noisy&from=100", headers={"accept-encoding": "gzip"})
    assert shown.text.count('<li class="event-row') == SHOWN_EVENTS
    assert int(shown.headers["content-length"]) <= 50_000


def test_hostile_events_are_text(client: httpx.Client, event_store: EventStore) -> None:
    session = f"s{HOSTILE}"[:100]
    texts = {"target_label": HOSTILE, "target_id": HOSTILE, "target_type": HOSTILE, "route": HOSTILE}
    rows = [
        shop(session, 0, **texts),
        shop(session, 1, event_type="error", message=HOSTILE),
        shop(session, 2, event_type="network", url=HOSTILE, method=HOSTILE, status=500),
        shop(session, 3, event_type=HOSTILE),
    ]
    event_store.land_segment(lines(rows), "hostile")
    address = f"/session?{httpx.QueryParams(project='shop', id=session)}"
    shown = client.get(address)
    assert (shown.status_code, find_foreign_markup(shown)) == (200, [])
    assert "{{7*7}}" in shown.text


def test_events_of_another_project_do_not_exist(client: httpx.Client, event_store: EventStore) -> None:
    event_store.land_segment(lines([row("theirs", 0, project="blog")]), "blog")
    assert client.get("/session?project=blog&id=theirs").status_code == 404
    assert client.get("/session?project=shop&id=theirs").status_code == 404


def test_a_dead_lander_keeps_the_rest_of_the_page(
    tmp_path: Path, postgres_url: str, incidents: IncidentStore, event_store: EventStore
) -> None:
    before = DEGRADED.labels("session_events", "FileNotFoundError")._value.get()
    with serving(tmp_path, postgres_url, lander_status=tmp_path / "lander.json") as client:
        sign_in(client, "/incidents", "shop-operator")
        shown = client.get("/session?project=shop&id=s1")
        assert shown.status_code == 200
        for part in ("cannot be read now", "Flagged", 'class="lanes"'):
            assert part in shown.text
        assert client.get("/session.json?project=shop&id=s1").json()["events"] is None
        assert client.get("/session?project=shop&id=unknown").status_code == 503
        assert DEGRADED.labels("session_events", "FileNotFoundError")._value.get() == before + 3
        # The lander is back: the same collector shows the events.
        event_store.land_segment(lines([shop("s1", 0)]), "s1")
        with serve_session_windows(find_window_socket(tmp_path / "lander.json"), lambda: event_store):
            assert "Events 1 to 1 of 1" in client.get("/session?project=shop&id=s1").text


def test_a_dead_event_store_keeps_the_rest_of_the_page(
    tmp_path: Path, postgres_url: str, incidents: IncidentStore
) -> None:
    away = EventStore("clickhouse://furrow:secret@127.0.0.1:9/furrow")
    with open_pages(tmp_path, postgres_url, away) as client:
        shown = client.get("/session?project=shop&id=s1")
        assert shown.status_code == 200
        assert "the event store does not answer" in shown.text
        assert "secret" not in shown.text


def test_a_socket_in_a_long_folder(tmp_path: Path, event_store: EventStore) -> None:
    from collector.session_events import SessionEvents

    folder = tmp_path / ("x" * 200)
    folder.mkdir()
    event_store.land_segment(lines([shop("far", 0)]), "far")
    import anyio

    with serve_session_windows(find_window_socket(folder / "lander.json"), lambda: event_store):
        events = SessionEvents(folder / "lander.json")
        assert anyio.run(events.read_window, WindowRequest("shop", "far")).total == 1


def test_times_are_those_of_the_engine(event_store: EventStore) -> None:
    late = 3_600_000  # the client's clock is an hour slow
    rows = [
        shop("slow", n * 1000, client_ts=BASE_MS + n * 1000 - late, sent_ms=BASE_MS + n * 1000 - late, seq=n)
        for n in range(3)
    ]
    event_store.land_segment(lines(rows), "slow")
    found = read_session_rows(event_store, WindowRequest("shop", "slow"))
    assert found.times == [BASE_MS, BASE_MS + 1000, BASE_MS + 2000]


@pytest.mark.parametrize("query", ["from=x", "from=%00", "at=1e9", "from=" + "9" * 13, "at=٣"])
def test_a_wrong_part_is_a_page_that_says_so(client: httpx.Client, query: str) -> None:
    assert client.get(f"/session?project=shop&id=s1&{query}").status_code == 400
    assert client.get(f"/session.json?project=shop&id=s1&{query}", headers=SHOP).status_code == 400


ODD = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    ["-1", "1e9", "%00", "9" * 12, "-" + "9" * 12, "0"]
)


@settings(suppress_health_check=list(HealthCheck), max_examples=50)
@given(
    st.sampled_from(["/session", "/session.json", "/session.md"]),
    st.fixed_dictionaries({"project": st.just("shop"), "id": st.just("many") | ODD}),
    st.dictionaries(st.sampled_from(["from", "at"]) | ODD, ODD | st.integers().map(str), max_size=3),
)
def test_no_parameter_breaks_the_session(
    client: httpx.Client, event_store: EventStore, path: str, named: dict[str, str], more: dict[str, str]
) -> None:
    if client.get("/session?project=shop&id=many").status_code == 404:
        event_store.land_segment(lines(many_rows("many", 200)), "many")
    assert client.get(path, params={**more, **named}).status_code in (200, 400, 404)
