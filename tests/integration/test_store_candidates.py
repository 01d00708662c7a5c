"""What the engine finds in a file of events, it also finds in what leaves the event store.

Sessions without any failure, too: a form that is sent again and again, a press that leads to a login page each time.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import ufse
from furrow.cli.event_files import read_event_table
from stores.events.event_store import EventStore
from tests.agents.write import write_set
from tests.rows import lines
from tests.unit.ufse.scene import Row, table
from tests.unit.ufse.verdicts.test_form_pages import CALM, STRUGGLES

SESSIONS, SEED = 500, 31
ORDINARY = {
    "a form that was corrected once": CALM["two tries"],
    "a form of one field": CALM["one field"],
    "a page that is shown often": CALM["nothing filled in"],
}


def found(table: pa.Table) -> set[tuple[str, str]]:
    """Session and fingerprint of each detection."""
    bodies = (detection.to_json() for detection in ufse.detect(table, ufse.Config()).detections)
    return {(body["sessionId"], body["fingerprint"]) for body in bodies}


def is_silent(session: pa.Table) -> bool:
    """Whether nothing in it says that anything failed."""
    kinds = set(session["event_type"].to_pylist()) & {"error", "loading"}
    states = [*session["status"].to_pylist(), *(200 - n for n in session["body_error"].to_pylist() if n > 0)]
    said = 0 in session["responded"].to_pylist() or 1 in session["disabled"].to_pylist()
    return not (kinds or said or any(n == 0 or n >= 400 for n in states))


def test_what_leaves_the_store_holds_every_detection(event_store: EventStore, tmp_path: Path) -> None:
    write_set(tmp_path, SESSIONS, SEED)
    events = read_event_table(tmp_path / "events.jsonl")
    expected = found(events)
    rows = [{**one, "received_ms": one["ts"]} for one in events.to_pylist()]
    event_store.land_segment(lines(rows), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    first = min(one["received_ms"] for one in rows)
    candidates = event_store.read_candidate_events(hashes, first)
    read = set(candidates["session_id"].to_pylist())
    assert {session for session, _ in expected} <= read
    assert found(candidates) == expected
    # The set has detections of both kinds, and sessions that stay.
    by_session = {name: events.filter(pc.equal(events["session_id"], name)) for name, _ in expected}
    assert any(is_silent(table) for table in by_session.values())
    assert len(read) < len(set(events["session_id"].to_pylist()))


def test_forms_whose_own_page_comes_back_leave_the_store(event_store: EventStore) -> None:
    """Clicks into fields count where no change of a field is reported; pages that are only opened often stay."""
    scenes: dict[str, list[Row]] = {**STRUGGLES, **ORDINARY}
    rows = [{**row, "session_id": name} for name, scene in scenes.items() for row in scene]
    numbered = [{**row, "received_ms": row["ts"]} for row in table(rows).to_pylist()]
    event_store.land_segment(lines(numbered), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    read = event_store.read_candidate_events(hashes, min(row["received_ms"] for row in numbered))
    assert set(read["session_id"].to_pylist()) == set(STRUGGLES)
