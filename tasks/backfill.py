"""Analyse the client sessions of a window of event time again, and report the changes.

A backfill runs in parallel with ``detect``, which owns every queued session. It takes only sessions that are not queued: it
queues them itself, due a little later, and analyses them at once. If new events arrive meanwhile, the session has another
version, nothing is written, and ``detect`` takes it. The same applies to sessions that a stopped backfill leaves behind.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from prefect import task

from core.errors import NotConfigured, PermanentError
from stores.incidents.incident_detection import DetectionRow, build_detection_row, decode_json_text
from stores.incidents.incident_store import (
    AnalysedSession,
    IncidentStore,
    IncidentSummary,
    PendingSession,
    StoredDetection,
    TouchedSession,
)
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.enqueue import compute_due_ms
from tasks.report import code_span, escape_markdown
from tasks.retrying import POLICY
from ufse.detection import Detection

BATCH = 2_000
"""Client sessions analysed at once; small enough that "Cancel" takes effect within seconds."""

LEASE_MS = 120_000
"""Time for which ``detect`` does not take sessions that a backfill queued; longer than a batch takes."""

MOST_LISTED = 1_000
"""Most incidents in the artifact, which would be too large otherwise; the counts cover all."""
_SECTION = 20  # lines of a list that the report shows

KINDS = ("new", "changed", "retracted")


@dataclass(frozen=True)
class Window:
    """A window of event time [``start``, ``end``) of one project, or of all (None)."""

    start: datetime
    end: datetime
    project: str | None = None

    def __post_init__(self) -> None:
        """Times without a zone are UTC. Raises PermanentError for an empty window."""
        object.__setattr__(self, "start", _with_utc_zone(self.start))
        object.__setattr__(self, "end", _with_utc_zone(self.end))
        object.__setattr__(self, "project", self.project or None)  # the form of the Prefect UI may leave it ''
        if self.start >= self.end:
            raise PermanentError("the window is empty: its start must lie before its end")


@dataclass(frozen=True)
class WindowSessions:
    """The sessions of a window: the complete ones (one row each), and the number of those that may get more events."""

    complete: pa.Table
    open: int

    def split_batches(self) -> Iterator[pa.Table]:
        """The complete sessions in batches of ``BATCH``, in order of receipt."""
        for start in range(0, self.complete.num_rows, BATCH):
            yield self.complete.slice(start, BATCH)


@dataclass(frozen=True)
class QueuedBatch:
    """The sessions of a batch that the backfill analyses now, and the number of those already queued for ``detect``."""

    taken: list[PendingSession]
    waiting: int


@dataclass
class Change:
    """The changes of one incident: detections by kind, its status before ('' when it is new), its failure point."""

    status: str
    failure_point: str
    detections: Counter[str] = field(default_factory=Counter)

    def markdown_line(self, incident_id: str) -> str:
        """For the artifact."""
        counts = ", ".join(f"{self.detections[kind]:,} {kind}" for kind in KINDS if self.detections[kind])
        status = escape_markdown(self.status or "not there yet")
        return f"**{status}** {escape_markdown(self.failure_point)} ({code_span(incident_id)}): {counts}"


Changes = dict[str, Change]


@task(name="sessions of the window", **POLICY)
def find_backfill_sessions(window: Window) -> WindowSessions:
    """Every client session with an event in the window; those that may get more events are left to ``detect``."""
    start, end = (round(at.timestamp() * 1000) for at in (window.start, window.end))
    table = connections.event_store().find_sessions_in_window(start, end, window.project)
    complete = _session_due_times(table) <= time.time_ns() // 1_000_000
    return WindowSessions(table.filter(pa.array(complete)), int((~complete).sum()))


@task(name="put in line", **POLICY)
def enqueue_sessions(batch: pa.Table) -> QueuedBatch:
    """Queue the sessions of the batch that are not queued yet."""
    taken = _require_incident_store().queue.enqueue_missing_sessions(
        _touched_sessions(batch, time.time_ns() // 1_000_000 + LEASE_MS)
    )
    return QueuedBatch(taken, batch.num_rows - len(taken))


@task(name="look", **POLICY)
def preview_enqueue(batch: pa.Table) -> QueuedBatch:
    """What `enqueue_sessions` would take, without writing anything."""
    rows = _touched_sessions(batch, 0)
    waiting = _require_incident_store().queue.find_pending_sessions([(row.project, row.session_id) for row in rows])
    taken = [
        PendingSession(row.project, row.session_id, row.session_hash, 0, 0, row.due_ms, row.received_ms)
        for row in rows
        if (row.project, row.session_id) not in waiting
    ]
    return QueuedBatch(taken, len(waiting))


@task(name="compare", **POLICY)
def compare_detections(analysed: Sequence[AnalysedSession]) -> Changes:
    """Differences between the engine's result now and the stored detections, by incident."""
    store = _require_incident_store()
    stored = store.detections.read_stored_detections(
        [(session.pending.project, session.pending.session_id) for session in analysed]
    )
    # Compared in the stored form: if it is equal, nothing would be written.
    rows = [
        build_detection_row(body, session.pending.project, session.pending.session_id)
        for session in analysed
        for body in session.detections
    ]
    store.detections.assign_incidents(rows)
    differences = _find_differences(rows, stored)
    named = store.incidents.read_incident_summaries(list(differences))
    return {id_: _make_change(kinds, points, named.get(id_)) for id_, (kinds, points) in differences.items()}


def merge_changes(into: Changes, more: Mapping[str, Change]) -> None:
    """Add the changes of one batch to those of earlier batches."""
    for incident_id, change in more.items():
        known = into.setdefault(incident_id, Change(change.status, change.failure_point))
        known.detections.update(change.detections)


def change_sections(changes: Changes, title: str) -> Iterator[tuple[str, list[str]]]:
    """Every changed incident as a line of Markdown, most changes first, in lists that are short enough to be shown whole."""
    if not changes:
        yield title, ["None."]
    ids = sorted(changes, key=lambda id_: (-changes[id_].detections.total(), id_))
    for start in range(0, min(len(ids), MOST_LISTED), _SECTION):
        lines = [changes[id_].markdown_line(id_) for id_ in ids[start : start + _SECTION]]
        yield title if len(ids) <= _SECTION else f"{title}, {start + 1} to {start + len(lines)} of {len(ids)}", lines


def _find_differences(
    rows: Sequence[DetectionRow], stored: Sequence[StoredDetection]
) -> dict[str, tuple[Counter[str], str]]:
    """By incident id: detections by kind, and the name that the engine gives it ('' when it is only retracted)."""
    before = {(detection.project, detection.detection_id): detection for detection in stored}
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    points: dict[str, str] = {}
    for row in rows:
        body = decode_json_text(row["body"])
        known = before.pop((row["project"], row["detection_id"]), None)
        points.setdefault(row["incident_id"], str(body.get("primaryFailurePoint") or ""))
        if known is None:
            kinds[row["incident_id"]]["new"] += 1
        elif known.incident_id != row["incident_id"]:
            kinds[known.incident_id]["retracted"] += 1
            kinds[row["incident_id"]]["new"] += 1
        elif _without_versions(known.body) != _without_versions(body):
            kinds[row["incident_id"]]["changed"] += 1
    for gone in before.values():
        kinds[gone.incident_id]["retracted"] += 1
    return {id_: (counts, points.get(id_, "")) for id_, counts in kinds.items()}


_VERSIONS = frozenset({"engineVersion", "configHash", "fingerprint", "fingerprintVersion", "olderFingerprints"})


def _without_versions(body: Detection) -> dict[str, object]:
    """A detection without its versions, so that another configuration with the same result is no difference."""
    return {name: value for name, value in body.items() if name not in _VERSIONS}


def _make_change(kinds: Counter[str], point: str, named: IncidentSummary | None) -> Change:
    if named is None:
        return Change("", point, kinds)
    return Change(named.status, named.failure_point, kinds)


def _require_incident_store() -> IncidentStore:
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        raise NotConfigured("the incident store is log-only: there is nothing to analyse again")
    return store


def _session_due_times(table: pa.Table) -> npt.NDArray[np.int64]:
    return compute_due_ms(
        *(np.asarray(table[name], dtype=np.int64) for name in ("last_ts", "ended_ts", "last_received_ms"))
    )


def _touched_sessions(batch: pa.Table, due: int) -> list[TouchedSession]:
    names = ("project", "session_id", "session_hash", "first_received_ms")
    columns = (batch[name].to_pylist() for name in names)
    return [
        TouchedSession(project, session_id, session_hash, due, received)
        for project, session_id, session_hash, received in zip(*columns, strict=True)
    ]


def _with_utc_zone(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
