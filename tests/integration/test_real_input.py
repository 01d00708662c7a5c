"""Real events of others, and sessions counted by computations that share no code with Furrow."""

import csv
import datetime
import gzip
import itertools
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import ufse
from blocks import documents
from furrow.clients.access_log import read_access_log
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tasks import connections
from tasks.enqueue import sessionize
from tasks.score import read_due_sessions, score_sessions
from tasks.upsert import upsert_detections
from tests.rows import lines, row
from tests.tables import build_table
from ufse.columns import EVENT_SCHEMA

DATA = Path(__file__).resolve().parent.parent / "data"
ACCESS_LOG = DATA / "elastic_apache_access.log.gz"
GAP_SECONDS = 15 * 60


@pytest.fixture
def stores(
    event_store_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[EventStore, IncidentStore]]:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    documents.forget_blocks()
    incidents = connections.incident_store()
    assert isinstance(incidents, IncidentStore)
    yield connections.event_store(), incidents
    connections.close_connections()


def sessions_of_the_log() -> int:
    """Visitors are pairs of address and user agent; a gap of more than 15 min begins a new session."""
    visits = defaultdict(list)
    with gzip.open(ACCESS_LOG, "rt", errors="replace") as log:
        for line in log:
            stamp = re.search(r"\[([^]]+)]", line)
            assert stamp
            at = datetime.datetime.strptime(stamp[1], "%d/%b/%Y:%H:%M:%S %z").timestamp()
            agent = line.rstrip("\n").rsplit('"', 2)[1]
            visits[line.split(" ", 1)[0], agent].append(at)
    gaps = (b - a for times in visits.values() for a, b in itertools.pairwise(sorted(times)))
    return len(visits) + sum(gap > GAP_SECONDS for gap in gaps)


def analyse_everything() -> int:
    """Run the steps of the flow `detect` as plain functions until nothing is due; how many visits they saw."""
    visits = 0
    sessionize.fn()
    while due := read_due_sessions.fn(1_000_000):
        scored = score_sessions.fn(due)
        upsert_detections.fn(scored.analysed)
        visits += scored.visits
    return visits


def test_the_access_log_gives_its_sessions_and_no_incident(stores: tuple[EventStore, IncidentStore]) -> None:
    events, incidents = stores
    table, rejects = build_table(line.event for line in read_access_log(ACCESS_LOG, salt=b"salt"))
    assert (table.num_rows, rejects) == (10_000, [])
    received_long_ago = [one | {"received_ms": 1} for one in table.to_pylist()]
    events.land_segment(lines(received_long_ago), "first")
    assert analyse_everything() == sessions_of_the_log()
    events.land_segment(lines(one | {"received_ms": 2} for one in received_long_ago), "again")
    analyse_everything()
    assert events.count_events().distinct == 10_000
    assert events.count_sessions().visits == sessions_of_the_log()
    assert incidents.incidents.list_incidents(IncidentQuery()).total == 0
    assert sum(incidents.silences.count_silences(None).values()) < 20, "crawlers are no near misses"
    assert set(events.count_sessions().silent) <= {"unattributed", "background", "bot", "no_behavioural_signal"}


def test_a_failure_that_was_overcome_is_kept_as_a_near_miss(stores: tuple[EventStore, IncidentStore]) -> None:
    events, incidents = stores
    target = {
        "target_type": "button",
        "target_id": "pay",
        "route": "/checkout",
        "input_method": "mouse",
    }
    answer = {"method": "POST", "url": "/api/orders", "duration_ms": 200, "route": "/checkout"}
    made = []
    for n, status in enumerate((500, 500, 201)):
        made.append(
            row(
                "overcome",
                event_type="click",
                ts=n * 4_000,
                received_ms=1,
                event_id=str(uuid.UUID(int=2 * n + 1)),
                **target,
            )
        )
        made.append(
            row(
                "overcome",
                event_type="network",
                ts=n * 4_000 + 300,
                received_ms=1,
                event_id=str(uuid.UUID(int=2 * n + 2)),
                status=status,
                **answer,
            )
        )
    made.append(
        row(
            "overcome",
            event_type="session_end",
            ts=20_000,
            received_ms=1,
            event_id=str(uuid.UUID(int=99)),
            route="/checkout",
        )
    )
    events.land_segment(lines(made), "first")
    analyse_everything()
    assert incidents.incidents.list_incidents(IncidentQuery()).total == 0
    (silence,) = incidents.silences.list_silences(None, None)
    assert silence.session_id == "overcome"
    assert "POST /api/orders" in silence.failure_point
    assert incidents.silences.count_silences(None) == {silence.rule: 1}
    incidents.erasure.forget_silences(0)
    assert incidents.silences.count_silences(None) == {}


def snowplow(name: str) -> list[dict[str, str]]:
    with (DATA / name).open() as file:
        return list(csv.DictReader(file))


def epoch_ms(text: str) -> int:
    at = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
    return round(at.timestamp() * 1000)


# Where Snowplow's rules are others than ours: it cuts a session after three days, and lets a page ping begin a session
# as long before itself as pings are apart (5 s, seen as the only event of that session).
CAPPED = {"long session", "Unexpired session"}
HEARTBEAT_MS = 5_000


def test_sessions_agree_with_snowplow() -> None:
    events = [e for e in snowplow("snowplow_events.csv") if e["domain_sessionid"]]
    rows = [
        row(e["domain_sessionid"], event_id=e["event_id"], ts=epoch_ms(e["derived_tstamp"]), received_ms=0)
        for e in events
    ]
    visits = ufse.sessionize(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
    spans: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for session, start, end, count in zip(
        visits.session_id, visits.start_ms.tolist(), visits.end_ms.tolist(), visits.events.tolist(), strict=True
    ):
        spans[session].append((start, end, count))
    checked = Counter[str]()
    for expected in snowplow("snowplow_sessions_expected.csv"):
        if expected["what"] in CAPPED:
            continue
        ours = spans[expected["domain_sessionid"]]
        start, end = epoch_ms(expected["start_tstamp"]), epoch_ms(expected["end_tstamp"])
        if start not in (span[0] for span in ours):
            start += HEARTBEAT_MS
        # Snowplow's client decides when a session ends; ours are parted at every gap of more than 15 min.
        inside = [span for span in ours if start <= span[0] and span[1] <= end]
        assert inside[0][0] == start, expected
        assert inside[-1][1] == end, expected
        assert sum(span[2] for span in inside) == int(expected["total_events"]), expected
        assert all(b[0] - a[1] > GAP_SECONDS * 1000 for a, b in itertools.pairwise(inside)), expected
        checked["sessions"] += 1
    assert checked["sessions"] == 16


def test_every_snowplow_event_is_its_own(stores: tuple[EventStore, IncidentStore]) -> None:
    """Resent events (one id, another receipt) count once in the event store."""
    store, _ = stores
    events = [e for e in snowplow("snowplow_events.csv") if e["domain_sessionid"]]
    store.land_segment(
        lines(
            row(
                e["domain_sessionid"],
                event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, e["event_id"])),
                ts=epoch_ms(e["derived_tstamp"]),
            )
            for e in events
        ),
        "snowplow",
    )
    counts = store.count_events()
    assert counts.rows == len(events)
    assert counts.distinct == len({(e["domain_sessionid"], e["event_id"]) for e in events})
