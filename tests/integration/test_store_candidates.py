"""What the engine finds in a file of events, it also finds in what leaves the event store.

Sessions without any failure, too: a form that is sent again and again, a press that leads to a login page each time. And in
the shapes of SDKs: events without a route, one event for several clicks, verdicts that come after their clicks.
"""

import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import ufse
from furrow.cli.event_files import read_event_table
from stores.events.event_store import EventStore
from tests.agents.write import write_set
from tests.rows import lines
from tests.unit.ufse.scene import Row, table
from tests.unit.ufse.verdicts import test_dead_controls, test_dead_forms, test_login_loops, test_login_pages
from tests.unit.ufse.verdicts.test_form_pages import CALM, STRUGGLES
from ufse import EVENT_SCHEMA

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


def test_dead_forms_leave_the_store(event_store: EventStore) -> None:
    """Also where the pages of an application are loaded, and no request is reported; without a burst, such a session stays."""
    scenes = {**test_dead_forms.FRUSTRATED, "again": [*test_login_pages.OPENED, *test_login_pages.again(3)]}
    calm = test_dead_forms.CALM["all pages are loaded, no burst"]
    rows = [{**row, "session_id": name} for name, scene in {**scenes, "calm": calm}.items() for row in scene]
    numbered = [{**row, "received_ms": row["ts"]} for row in table(rows).to_pylist()]
    event_store.land_segment(lines(numbered), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    read = event_store.read_candidate_events(hashes, min(row["received_ms"] for row in numbered))
    assert set(read["session_id"].to_pylist()) == set(scenes)


def leave_out_routes(*kinds: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{**row, "route": ""} if row["event_type"] in kinds else row for row in rows]


def join_clicks(rows: list[Row]) -> list[Row]:
    """One event for all clicks in a row on one control; they are evenly apart then."""
    joined: list[Row] = []
    names = ("event_type", "target_id", "responded", "disabled", "loading")
    for row in rows:
        last = joined[-1] if joined else None
        if last and row["event_type"] == "click" and all(row[name] == last[name] for name in names):
            last |= {"clicks": max(last["clicks"], 1) + 1, "span_ms": row["ts"] - last["ts"]}
        else:
            joined.append(dict(row))
    return joined


def tell_answers_later(rows: list[Row]) -> list[Row]:
    """Whether a click was answered is told by an event of its own."""
    told: list[Row] = []
    for number, row in enumerate(rows):
        if row["event_type"] != "click" or row["responded"] < 0:
            told.append(row)
            continue
        told.append({**row, "responded": -1, "own_id": f"c{number}"})
        told.append({**row, "event_type": "verdict", "verdict_for": f"c{number}", "ts": row["ts"] + 1_000})
    return told


@pytest.mark.parametrize(
    "shape",
    [
        leave_out_routes("input"),
        leave_out_routes("click", "form_submit"),
        leave_out_routes("click", "form_submit", "input", "network", "navigation"),
        join_clicks,
        tell_answers_later,
    ],
    ids=["fields without routes", "presses without routes", "no routes", "joined clicks", "verdicts"],
)
def test_it_holds_them_in_the_shapes_of_sdks_too(
    event_store: EventStore, shape: Callable[[list[Row]], list[Row]]
) -> None:
    rows: list[Row] = []
    for name, session in (
        test_dead_controls.FRUSTRATED | test_dead_forms.FRUSTRATED | test_login_loops.FRUSTRATED
    ).items():
        shaped = shape([{**row, "session_id": name} for row in session])
        ids = (str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {number}")) for number in range(len(shaped)))
        rows += [{**row, "received_ms": row["ts"], "event_id": id_} for row, id_ in zip(shaped, ids, strict=True)]
    expected = found(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
    event_store.land_segment(lines(rows), "t")
    hashes = event_store.read_touched_sessions(0, ()).session_hash.tolist()
    candidates = event_store.read_candidate_events(hashes, min(row["received_ms"] for row in rows))
    assert len(expected) > len(test_login_loops.FRUSTRATED)
    assert found(candidates) == expected
