"""Write the engine's detections to the incident store."""

import json
import logging
from collections.abc import Sequence

from prefect import task

from core.metrics import count_open_detections
from stores.incidents.incident_store import AnalysedSession, PendingSession, RecordResult
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.origins import add_origins
from tasks.retrying import POLICY
from tasks.thresholds import confirm_rules, read_project_thresholds

_log = logging.getLogger("furrow.upsert")


@task(name="upsert", **POLICY)
def upsert_detections(analysed: Sequence[AnalysedSession], backfill: bool = False) -> RecordResult:
    """In one transaction: replace these sessions' detections, recompute their incidents, remove their pending rows.

    The sender of a session decides for which source its detections count, and whether late events may change them. A session
    that got new events meanwhile is not written and stays pending. ``backfill``: only drafts may change their status, by rule.
    """
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return store.ledger.record_detections(analysed)
    known = add_origins(analysed, connections.event_store(), store, backfill)
    recorded = store.ledger.record_detections(known, confirm_rules(read_project_thresholds(store)), backfill)
    count_open_detections(completed=recorded.completed, retracted=recorded.open_retracted)
    return recorded


@task(name="set poisoned sessions aside", **POLICY)
def set_aside_poisoned(poisoned: Sequence[tuple[PendingSession, str]]) -> int:
    """Record a failure of each session that makes the engine fail. Returns how many became dead letters (third failure)."""
    store = connections.incident_store()
    return sum(store.queue.record_session_failure(pending, reason) for pending, reason in poisoned)


def log_detections(analysed: Sequence[AnalysedSession]) -> None:
    """Log detections that cannot be stored, in full; their sessions stay pending."""
    for session in analysed:
        for detection in session.detections:
            # json.dumps escapes control characters, so that text from a browser cannot forge a log line.
            _log.warning("not stored, stays pending: %s", json.dumps(detection, ensure_ascii=True))
