"""Any order, any batches, any copies, any crash between the steps: the same sessions and detections as a plain reference.

The whole way from landed segments to stored detections, on the embedded stores: what is put in line, the watermark, what is
read again, and the replacement of a session's detections. Sessions are analysed far too early on purpose, so that nearly
every one is analysed several times.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import ufse
from collector.contract import Row
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore, PendingSession
from tasks import connections
from tasks.enqueue import sessionize
from tasks.score import score_sessions
from tasks.upsert import upsert_detections
from tests.chaos.reference import Seen, told
from tests.rows import BASE_MS, lines, row
from ufse.columns import EVENT_SCHEMA

pytestmark = pytest.mark.long

MINUTE = 60_000
_FAR = 2**53
_numbers = itertools.count()

# Around the limits of 15 min between visits and 75 min between receipts, and one millisecond beside them.
PLACES = st.builds(
    lambda minutes, beside: minutes * MINUTE + beside,
    st.sampled_from((0, 1, 15, 16, 30, 31, 45, 60, 75, 90, 120, 200)),
    st.sampled_from((-1, 0, 0, 1)),
)
RECEIPTS = st.builds(
    lambda minutes, beside: minutes * MINUTE + beside,
    st.sampled_from((0, 0, 1, 60, 74, 75, 76, 100, 149, 150, 152, 230, 400)),
    st.sampled_from((-1, 0, 0, 1)),
)


@dataclasses.dataclass
class Sending:
    """One segment: the rows in it, and what goes wrong around its analysis."""

    received_ms: int
    rows: list[dict[str, Any]]
    trouble: str


def struggle(session_id: str, at_ms: int) -> list[dict[str, Any]]:
    """Five clicks within four seconds, each of them answered by a 500."""
    target = {"target_type": "button", "target_id": "pay", "route": "/checkout", "input_method": "mouse"}
    answer = {"event_type": "network", "method": "POST", "url": "/api/orders", "status": 500, "duration_ms": 200}
    events = []
    for n in range(5):
        events.append(row(session_id, at_ms + n * 700, **target))
        events.append(row(session_id, at_ms + n * 700 + 300, route="/checkout", **answer))
    return events


def glance(session_id: str, at_ms: int) -> list[dict[str, Any]]:
    """One calm click."""
    return [row(session_id, at_ms, target_type="link", route="/news")]


TROUBLES = (
    "",
    "",
    "not analysed",
    "killed before enqueue",
    "killed before record",
    "two at once",
    "overtaken",
    "twice",
)


@st.composite
def sendings(draw: st.DrawFn) -> list[Sending]:
    """The events of a few client sessions, spread over segments in any order, some of them in several."""
    events: list[dict[str, Any]] = []
    for session_id in draw(st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=3, unique=True)):
        for at in draw(st.lists(PLACES, min_size=1, max_size=4, unique=True)):
            events += draw(st.sampled_from((struggle, struggle, glance)))(session_id, at)
    segments = [
        Sending(BASE_MS + receipt, [], draw(st.sampled_from(TROUBLES)))
        for receipt in draw(st.lists(RECEIPTS, min_size=1, max_size=5))
    ]
    # Whole struggles mostly stay together, as they do in a client's batches.
    scattered = draw(st.booleans())
    places = draw(st.lists(st.integers(0, len(segments) - 1), min_size=len(events), max_size=len(events)))
    for number, event in enumerate(events):
        segments[places[number if scattered else number // 10]].rows.append(event)
    for segment, copied in draw(st.lists(st.tuples(st.sampled_from(segments), st.sampled_from(events)), max_size=4)):
        segment.rows.append(copied)
    return [segment for segment in segments if segment.rows]


@pytest.fixture
def stores(event_store: EventStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[IncidentStore]:
    """Both stores, as the tasks find them."""
    incidents = IncidentStore.connect(postgres_url)
    incidents.migrate()
    monkeypatch.setattr(connections, "event_store", lambda: event_store)
    monkeypatch.setattr(connections, "incident_store", lambda: incidents)
    yield incidents
    incidents.close()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=sendings())
def test_the_pipeline_finds_what_the_reference_finds(
    sent: list[Sending], stores: IncidentStore, event_store: EventStore, postgres_url: str
) -> None:
    project = f"p{next(_numbers)}"
    pipeline = _Pipeline(stores, event_store)
    for number, segment in enumerate(sent):
        note(f"{segment.received_ms - BASE_MS} ms: {len(segment.rows)} events, {segment.trouble}")
        rows = [{**one, "project": project, "received_ms": segment.received_ms} for one in segment.rows]
        pipeline.take(lines(rows), f"{project} {number}", segment.trouble)
    pipeline.finish()

    copies: dict[str, list[tuple[Seen, dict[str, Any]]]] = {}
    for segment in sent:
        for one in segment.rows:
            seen = Seen(one["event_id"], one["ts"], segment.received_ms)
            copies.setdefault(one["session_id"], []).append((seen, one))
    assert _sessions(event_store, project) == {
        session_id: _expected_session([seen for seen, _ in found]) for session_id, found in copies.items()
    }
    expected = {
        detection
        for session_id, found in copies.items()
        for detection in _expected_detections(project, session_id, found)
    }
    assert _detections(postgres_url, project) == expected


class _Pipeline:
    """The steps of `detect`, one by one, so that each can be the last one of a process."""

    def __init__(self, incidents: IncidentStore, events: EventStore) -> None:
        self._incidents, self._events = incidents, events

    def take(self, content: bytes, token: str, trouble: str) -> None:
        """Land a segment and analyse what is in line, or as much of that as the trouble allows."""
        if trouble == "overtaken":  # a second worker reads, this one lands and records, then the second one records
            sessionize.fn()
            behind = self._scored()
            self._land(content, token)
            self._work()
            self._record(behind)
            return
        if trouble == "outdated":  # new events come between reading and recording
            sessionize.fn()
            behind = self._scored()
            self._land(content, token)
            sessionize.fn()
            self._record(behind)
            return
        self._land(content, token)
        if trouble == "twice":
            self._land(content, token)  # killed between the insert and the deletion of the segment
        if trouble == "not analysed":
            return
        if trouble == "killed before enqueue":
            cursor = self._incidents.queue.read_cursor()
            self._events.read_touched_sessions(cursor.watermark_us, cursor.seen)
            return
        sessionize.fn()
        if trouble == "killed after enqueue":
            return
        if trouble == "killed before record":
            self._scored()
        elif trouble == "two at once":
            first, second = self._scored(), self._scored()
            self._record(second)
            self._record(first)
        else:
            self._work()

    def finish(self) -> None:
        """Work until nothing is in line."""
        sessionize.fn()
        self._work()
        assert self._due() == []

    def _land(self, content: bytes, token: str) -> None:
        self._events.land_segment(content, token)

    def _work(self) -> None:
        sessionize.fn()
        self._record(self._scored())

    def _due(self) -> list[PendingSession]:
        return self._incidents.queue.find_due_sessions(_FAR, 10_000)

    def _scored(self) -> Any:
        due = self._due()
        return score_sessions.fn(due) if due else None

    def _record(self, scored: Any) -> None:
        if scored is not None:
            assert scored.poisoned == []
            upsert_detections.fn(scored.analysed)


def _sessions(store: EventStore, project: str) -> dict[str, tuple[int, int, int]]:
    table = store.query_arrow(
        "SELECT session_id, visits, events, late_events FROM sessions FINAL WHERE project = {project:String}",
        {"project": project},
    )
    return {one["session_id"]: (one["visits"], one["events"], one["late_events"]) for one in table.to_pylist()}


def _expected_session(copies: list[Seen]) -> tuple[int, int, int]:
    found = told(copies)
    return len(found.visits), len({copy.event_id for copy in copies}), len(found.late)


def _detections(url: str, project: str) -> set[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        query = "SELECT session_id, body FROM detections WHERE project = %s AND retracted_at IS NULL"
        rows = connection.execute(query, (project,)).fetchall()
    return {(session_id, json.dumps(body, sort_keys=True)) for session_id, body in rows}


def _expected_detections(
    project: str, session_id: str, copies: list[tuple[Seen, dict[str, Any]]]
) -> Iterator[tuple[str, str]]:
    """What the engine says about each of the reference's visits when it is given that visit's events and nothing else."""
    rows = {seen.event_id: one for seen, one in copies}
    for visit in told([seen for seen, _ in copies]).visits:
        alone = [{**rows[event_id], "project": project, "received_ms": BASE_MS} for event_id in sorted(visit)]
        for detection in ufse.detect(pa.Table.from_pylist(alone, schema=EVENT_SCHEMA)).detections:
            yield session_id, json.dumps(detection.to_json(), sort_keys=True)


def test_rows_of_these_tests_are_rows_of_the_spool() -> None:
    assert set(row()) == set(Row.__struct_fields__)
