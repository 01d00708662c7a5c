"""What is read from the store is what `incidents.incident` and `ufse.detection` declare."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import pyarrow as pa
import pytest
from typing_extensions import is_typeddict

import ufse
from collector.routes.external import DetectionSent, to_detection
from incidents.incident import Incident, IncidentDetail
from incidents.model import IncidentQuery, StoreCounts
from stores.incidents.incident_store import AnalysedSession, Cursor, IncidentStore, TouchedSession
from tests.integration.test_flows import frustrated
from ufse.columns import EVENT_SCHEMA
from ufse.detection import Detection


def find_differences(value: object, declared: Any, path: str = "") -> Iterator[str]:
    """Where ``value`` is not of the declared type: keys that lack or are too many, and values of another type."""
    origin, arguments = get_origin(declared), get_args(declared)
    if is_typeddict(declared):
        hints = get_type_hints(declared)
        keys = set(value) if isinstance(value, dict) else set()
        yield from (f"{path}.{key} lacks" for key in sorted(hints.keys() - keys))
        yield from (f"{path}.{key} is not declared" for key in sorted(keys - hints.keys()))
        for key in sorted(keys & hints.keys()):
            yield from find_differences(cast("dict[str, object]", value)[key], hints[key], f"{path}.{key}")
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path} is {value!r}, not a list"
            return
        for number, item in enumerate(value):
            yield from find_differences(item, arguments[0], f"{path}[{number}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path} is {value!r}, not a mapping"
            return
        for key, item in value.items():
            yield from find_differences(key, arguments[0], f"{path} key")
            yield from find_differences(item, arguments[1], f"{path}[{key}]")
    elif origin is Literal:
        if value not in arguments:
            yield f"{path} is {value!r}, not one of {arguments}"
    elif origin in (Union, UnionType):
        if all(list(find_differences(value, choice)) for choice in arguments):
            yield f"{path} is {value!r}, not {declared}"
    elif type(value) is not declared and (declared, type(value)) != (float, int):
        yield f"{path} is {value!r}, not {declared}"


def engine_detections() -> list[Detection]:
    """The engine's answer for two sessions that fail at the same place."""
    rows = [row | {"session_hash": number} for number, name in enumerate(("s1", "s2")) for row in frustrated(name)]
    table = pa.Table.from_pylist([{name: row.get(name) for name in EVENT_SCHEMA.names} for row in rows], EVENT_SCHEMA)
    return [cast("Detection", found.to_json()) for found in ufse.detect(table).detections]


SENT = {
    "projectId": "default",
    "sessionId": "elsewhere",
    "failurePoint": {"route": "/cart", "target": "button#coupon", "feedback": "nothing happened"},
    "frustrationScore": 88,
    "severityType": "UX",
    "timestamp": "2024-01-15T10:00:00Z",
    "triggeringSignals": ["dead_click"],
}


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    """One incident of the engine, with a ticket, a failed ticket and decisions; one that an operator sent."""
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    found = {detection["sessionId"]: detection for detection in engine_detections()}
    assert len(found) == 2
    touched = [TouchedSession("default", session, number, 0, 900) for number, session in enumerate(sorted(found))]
    store.queue.enqueue_sessions(touched, Cursor(1, ()))
    waiting = store.queue.find_due_sessions(1, 10)
    store.ledger.record_detections([AnalysedSession(item, (found[item.session_id],), 1) for item in waiting])
    sent = DetectionSent.model_validate(SENT)
    store.ledger.record_external_detection(to_detection(sent, "default", b"salt"))
    (incident, *_) = store.incidents.list_incidents(IncidentQuery()).incidents
    store.ledger.apply_action(incident["incidentId"], "confirm", "seen", "somebody")
    for tracker in ("jira", "linear"):
        store.outbox.claim_incidents(tracker, limit=10, min_score=0)
    store.outbox.record_filed_ticket(incident["incidentId"], "jira", "SHOP-1", "https://jira.example/SHOP-1")
    later = datetime.now(UTC) + timedelta(hours=1)
    store.outbox.record_failed_export(incident["incidentId"], "linear", "away", later)
    yield store
    store.close()


def test_rows_of_postgres_are_as_declared(store: IncidentStore) -> None:
    listed = store.incidents.list_incidents(IncidentQuery()).incidents
    assert len(listed) == 2
    details = [store.incidents.read_incident(incident["incidentId"]) for incident in listed]
    assert all(detail is not None and detail["examples"] and detail["history"] for detail in details)
    assert sum(len(incident["tickets"]) for incident in listed) == 2
    assert [problem for incident in listed for problem in find_differences(incident, Incident)] == []
    assert [problem for detail in details for problem in find_differences(detail, IncidentDetail)] == []
    assert list(find_differences(store.incidents.read_store_counts(), StoreCounts)) == []


def test_the_answer_to_an_action_and_a_claim_are_as_declared(store: IncidentStore) -> None:
    (external,) = (
        incident for incident in store.incidents.list_incidents(IncidentQuery()).incidents if not incident["tickets"]
    )
    moved = store.ledger.apply_action(external["incidentId"], "confirm", "seen", "somebody")
    assert list(find_differences(moved, IncidentDetail)) == []
    (waiting,) = store.outbox.find_exportable_incidents("jira", 10, 0)
    assert list(find_differences(waiting, IncidentDetail)) == []
    (claim,) = store.outbox.claim_incidents("jira", limit=10, min_score=0)
    assert list(find_differences(claim.incident, IncidentDetail)) == []


def test_stored_detections_are_as_declared(store: IncidentStore) -> None:
    stored = store.detections.read_stored_detections([("default", "s1"), ("default", "s2")])
    assert len(stored) == 2
    assert [problem for row in stored for problem in find_differences(row.body, Detection)] == []


def test_the_comparison_finds_what_differs() -> None:
    declared: Any = Incident
    assert ".title lacks" in list(find_differences({}, declared))
    assert ".extra is not declared" in list(find_differences({"extra": 1}, declared))
    assert any(".status is" in problem for problem in find_differences({"status": "gone"}, declared))
    assert any(".routes[0] is" in problem for problem in find_differences({"routes": [1]}, declared))
    assert any(".tickets[0].tracker lacks" in problem for problem in find_differences({"tickets": [{}]}, declared))
