"""Writes detections of whole client sessions, and updates their incidents.

One transaction a batch, locks always in this order: pending sessions by key, then incidents by id, so that no two
writers wait for each other in a circle.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from core.errors import PermanentError, TransientError
from incidents import lifecycle
from incidents.lifecycle import HistoryChange
from incidents.model import AnalysedSession, NotFound, RecordResult, Rules, SessionKey
from stores.incidents import (
    incident_aliases,
    incident_flood,
    incident_key_flood,
    incident_open,
    incident_reach,
    incident_source,
    incident_suspects,
    releases,
    silences,
)
from stores.incidents.incident_detection import DetectionRow, build_detection_row, encode_json_text
from stores.incidents.incident_settle import SettleResult, settle_incidents
from stores.incidents.session_queue import build_key_columns
from ufse.detection import Detection

_ROWS_PER_STATEMENT = 500
_MOST_MOVES = 5

_LOCK_PENDING = text("""
    SELECT p.project, p.session_id, p.version
    FROM pending_sessions p
    JOIN unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
      ON (p.project, p.session_id) = (k.project, k.session_id)
    ORDER BY p.project, p.session_id FOR UPDATE OF p
""")
_KNOWN = text("""
    SELECT d.incident_id
    FROM detections d
    JOIN unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
      ON (d.project, d.session_id) = (k.project, k.session_id)
    WHERE d.retracted_at IS NULL AND d.origin = 'engine'
    UNION
    -- A detection that is stored may belong to another incident now; the counts of both change.
    SELECT d.incident_id
    FROM detections d
    JOIN unnest(CAST(:row_project AS text[]), CAST(:detection_id AS text[])) AS k(project, detection_id)
      ON (d.project, d.detection_id) = (k.project, k.detection_id)
""")
_ENSURE = text("""
    INSERT INTO incidents (incident_id, project, fingerprint)
    SELECT incident_id, project, fingerprint
    FROM unnest(CAST(:incident_id AS text[]), CAST(:project AS text[]), CAST(:fingerprint AS text[]))
         AS new(incident_id, project, fingerprint)
    ON CONFLICT (incident_id) DO NOTHING
    RETURNING incident_id
""")
# NO KEY: rows that refer to an incident (history, outbox) can be written while it is locked.
_LOCK_INCIDENTS = text("""
    SELECT * FROM incidents WHERE incident_id = ANY(CAST(:ids AS text[])) ORDER BY incident_id FOR NO KEY UPDATE
""")
_UPSERT_SQL = """
    INSERT INTO {table} AS d (project, detection_id, session_id, visit_id, visit_start, incident_id, origin, score,
        happened_at, last_seen, user_hash, environment, app_version, browser, severity_type, ended_flow, resolved,
        signals, routes, story_length, label, body, received_at, source,
        ingest_key)
    SELECT project, detection_id, session_id, visit_id, visit_start, incident_id, origin, score, happened_at, last_seen,
        user_hash, environment, app_version, browser, severity_type, ended_flow, resolved, signals, routes,
        story_length, label, body, least(coalesce(to_timestamp(nullif(received_ms, 0) / 1000.0), now()), now()), source,
        ingest_key
    FROM json_to_recordset(CAST(:rows AS json)) AS new(
        project text, detection_id text, session_id text, visit_id text, visit_start timestamptz, incident_id text,
        origin text, score integer, happened_at timestamptz, last_seen timestamptz, user_hash text, environment text,
        app_version text, browser text, severity_type text, ended_flow boolean, resolved boolean, signals text[],
        routes text[], story_length integer, label text, body jsonb, received_ms bigint, source bigint,
        ingest_key bigint, mixed boolean)
    -- Of a session that somebody else may have sent events to, what is new is stored and what is there stays.
    WHERE NOT mixed OR NOT EXISTS (
        SELECT FROM {table} k WHERE (k.project, k.detection_id) = (new.project, new.detection_id))
    ON CONFLICT (project, detection_id) DO UPDATE SET
        session_id = excluded.session_id, visit_id = excluded.visit_id, visit_start = excluded.visit_start,
        incident_id = excluded.incident_id, origin = excluded.origin, score = excluded.score,
        happened_at = excluded.happened_at, last_seen = excluded.last_seen, user_hash = excluded.user_hash,
        environment = excluded.environment, app_version = excluded.app_version, browser = excluded.browser,
        severity_type = excluded.severity_type, ended_flow = excluded.ended_flow, resolved = excluded.resolved,
        signals = excluded.signals, routes = excluded.routes, story_length = excluded.story_length,
        label = excluded.label, body = excluded.body, retracted_at = NULL, {again} updated_at = now()
    WHERE d.contested_at IS NULL AND (d.retracted_at IS NOT NULL
       OR (d.session_id, d.incident_id, d.origin, d.body)
          IS DISTINCT FROM (excluded.session_id, excluded.incident_id, excluded.origin, excluded.body))
    RETURNING 1
"""
_UPSERT = text(_UPSERT_SQL.replace("{table}", "detections").replace("{again}", ""))
_UPSERT_OPEN = text(
    _UPSERT_SQL.replace("{table}", "open_detections").replace("{again}", "outcome = NULL, reason = '',")
)
_RETRACT = text("""
    UPDATE detections d SET retracted_at = now(), updated_at = now()
    FROM unnest(CAST(:project AS text[]), CAST(:session_id AS text[]), CAST(:since_ms AS bigint[]),
                CAST(:mixed AS boolean[])) AS k(project, session_id, since_ms, mixed)
    WHERE (d.project, d.session_id) = (k.project, k.session_id)
      AND d.retracted_at IS NULL AND d.origin = 'engine' AND d.created_at >= to_timestamp(k.since_ms / 1000.0)
      AND NOT k.mixed AND d.contested_at IS NULL
      AND (d.project, d.detection_id) NOT IN (
          SELECT * FROM unnest(CAST(:kept_project AS text[]), CAST(:kept AS text[])))
    RETURNING d.incident_id
""")
# Keys of a detection that another version of the engine or of grouping writes otherwise.
_VERSIONS = "CAST('{engineVersion,configHash,fingerprint,fingerprintVersion,olderFingerprints}' AS text[])"
# Later events from another source contradict a detection: it is marked once and does not change any more.
_CONTEST = text(
    """
    UPDATE detections d SET contested_at = now(), updated_at = now()
    FROM unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
    WHERE (d.project, d.session_id) = (k.project, k.session_id)
      AND d.retracted_at IS NULL AND d.origin = 'engine' AND d.contested_at IS NULL
      AND NOT EXISTS (
          SELECT FROM json_to_recordset(CAST(:rows AS json)) AS new(
              project text, detection_id text, incident_id text, body jsonb)
          WHERE (new.project, new.detection_id, new.incident_id) = (d.project, d.detection_id, d.incident_id)
            AND new.body - {versions} = d.body - {versions})
    RETURNING d.incident_id
""".replace("{versions}", _VERSIONS)
)
_CLEAR = text("""
    DELETE FROM pending_sessions t
    USING unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
    WHERE (t.project, t.session_id) = (k.project, k.session_id)
""")
# A dead session that succeeds later, after new events or with a new version, is no longer dead.
_CLEAR_DEAD = text("""
    DELETE FROM dead_sessions t
    USING unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
    WHERE (t.project, t.session_id) = (k.project, k.session_id)
""")


class SentRow(DetectionRow):
    """A detection and its origin: receipt (epoch ms; 0: now), the sender's source (None: not known), the number of the
    ingest key (None: none), and whether others may have sent events to the session (``SessionOrigin``)."""

    received_ms: int
    source: int | None
    ingest_key: int | None
    mixed: bool


class _SessionTerms(NamedTuple):
    """How the stored detections of one session may be replaced. ``reason``: why its open detections end, if they do."""

    since_ms: int = 0
    mixed: bool = False
    reason: str = ""


class _ReplaceResult(NamedTuple):
    """How many detections were written, retracted and contested, how many open ones were completed and retracted, and the
    result for their incidents."""

    stored: int
    retracted: int
    contested: int
    completed: int
    open_retracted: int
    settled: SettleResult


def record_detections(
    connection: sa.Connection, analysed: Sequence[AnalysedSession], rules: Rules, backfill: bool = False
) -> RecordResult:
    """Replace the detections of each analysed session by the new ones, and update the incidents.

    A session whose version has changed is skipped and stays in the queue. A ``mixed`` session (``SessionOrigin``) gets new
    detections; stored ones stay, and are marked where the new result differs. ``backfill``: see
    `incident_settle.settle_incidents`. Raises PermanentError for an unusable detection.
    """
    sources = incident_source.find_session_sources(connection, [item for item in analysed if item.detections])
    rows_of = {session_key_of(item): build_sent_rows(item, sources.get(session_key_of(item))) for item in analysed}
    current = lock_pending_sessions(connection, analysed)
    keys = sorted(
        {session_key_of(item) for item in analysed if current.get(session_key_of(item)) == item.pending.version}
    )
    rows = [row for key in keys for row in rows_of[key]]
    sessions = {
        session_key_of(item): _SessionTerms(item.since_ms, has_mixed_senders(item), describe_outcome(item.rules))
        for item in analysed
    }
    done = _replace_detections(connection, {key: sessions[key] for key in keys}, rows, rules, backfill)
    silences.replace_silences(connection, keys, analysed)
    if keys:
        connection.execute(_CLEAR, build_key_columns(list(keys)))
        connection.execute(_CLEAR_DEAD, build_key_columns(list(keys)))
        recorded = set(keys)
        _add_uncounted_sessions(connection, [item for item in analysed if session_key_of(item) in recorded])
    return RecordResult(
        sessions=len(keys),
        stored=done.stored,
        retracted=done.retracted,
        stale=len(analysed) - len(keys),
        contested=done.contested,
        completed=done.completed,
        open_retracted=done.open_retracted,
        incidents=done.settled.incidents,
        confirmed=done.settled.find_incidents_moved_to("confirmed"),
        regressed=done.settled.find_incidents_moved_to("regressed"),
    )


def _add_uncounted_sessions(connection: sa.Connection, recorded: Sequence[AnalysedSession]) -> None:
    """What these sessions reached is counted after this transaction, and again by a later run if that fails."""
    first = min(item.read_since_ms for item in recorded)
    incident_reach.add_waiting_sessions(connection, sorted({item.pending.session_hash for item in recorded}), first)


def record_external_detection(connection: sa.Connection, detection: Detection, rules: Rules) -> tuple[str, bool]:
    """Store one detection of another system (``POST /v1/incidents``); the engine never retracts it.

    An operator sent it, so its session is a source of its own, received now. Returns its incident's id and whether exactly
    this detection was known already.
    """
    project, session = str(detection["projectId"]), str(detection["sessionId"])
    row: SentRow = {
        **build_detection_row(detection, project, session),
        "origin": "external",
        "received_ms": 0,
        "source": incident_source.derive_own_source(project, session),
        "ingest_key": None,
        "mixed": False,
    }
    done = _replace_detections(connection, {}, [row], rules)
    return row["incident_id"], done.stored == 0


def build_sent_rows(item: AnalysedSession, source: int | None) -> list[SentRow]:
    """The rows of a session's detections, of which ``source`` sent the new events (None: not known)."""
    return [
        {
            **build_detection_row(found, *session_key_of(item)),
            "received_ms": item.pending.received_ms,
            "source": source,
            "ingest_key": (item.origin.key or None) if item.origin is not None else None,
            "mixed": has_mixed_senders(item),
        }
        for found in item.detections
    ]


def has_mixed_senders(item: AnalysedSession) -> bool:
    """Whether somebody else than its first source may have sent events to the session."""
    return item.origin is not None and item.origin.mixed


def _replace_detections(
    connection: sa.Connection,
    keys: Mapping[SessionKey, _SessionTerms],
    rows: Sequence[SentRow],
    rules: Rules,
    backfill: bool = False,
) -> _ReplaceResult:
    """Replace the detections of the sessions ``keys`` by ``rows``."""
    # Ids, then fingerprints, then rows: the order of a look (incident_look), so that no two writers wait for each other.
    opened = incident_open.find_open_incidents(connection, keys) if keys else set()
    incident_open.lock_incident_ids(connection, opened)
    incident_aliases.assign_incidents(connection, rows)
    releases.see_versions(connection, [_build_sight(row) for row in rows])
    incidents = {row["incident_id"]: row["project"] for row in rows}
    created, before = _lock_changing_incidents(connection, keys, rows, opened | set(incidents))
    contested = _contest_detections(connection, [key for key, session in keys.items() if session.mixed], rows)
    stored = upsert_detections(connection, rows)
    retracted = _retract_detections(connection, keys, rows) if keys else []
    completed = incident_open.complete_open_detections(
        connection, [(row["project"], row["detection_id"]) for row in rows]
    )
    ended = incident_open.retract_open_detections(connection, {key: session.reason for key, session in keys.items()})
    notes = [(id_, _build_first_change(rows, id_)) for id_ in created]
    why = "by a backfill" if backfill else "after late events"
    notes += [
        (id_, _build_retraction_change(before[id_].status, retracted.count(id_), why)) for id_ in sorted(set(retracted))
    ]
    notes += [(id_, _build_contest_change(before[id_].status, contested.count(id_))) for id_ in sorted(set(contested))]
    notes += incident_open.build_retraction_changes(ended, {id_: row.status for id_, row in before.items()})
    notes += incident_suspects.mark_suspects(connection, incidents, rules)
    notes += incident_key_flood.mark_key_floods(connection, incidents, rules)
    settled = settle_incidents(connection, before, rules, notes, backfill)
    incident_flood.update_floods(connection, {incidents[id_] for id_ in created}, rules)
    return _ReplaceResult(stored, len(retracted), len(contested), completed, len(ended), settled)


def _lock_changing_incidents(
    connection: sa.Connection, keys: Mapping[SessionKey, _SessionTerms], rows: Sequence[SentRow], ids: set[str]
) -> "tuple[list[str], dict[str, sa.Row[Any]]]":
    """Insert the missing incidents of ``rows`` and lock all that change, in the order of their ids.

    Returns the inserted ids, and the rows by id. Raises TransientError when other writers go on moving these detections.
    """
    incidents = {row["incident_id"]: row["project"] for row in rows}
    columns = {
        **build_key_columns(list(keys)),
        "row_project": [row["project"] for row in rows],
        "detection_id": [row["detection_id"] for row in rows],
    }
    for _ in range(_MOST_MOVES):
        known = {*ids, *connection.execute(_KNOWN, columns).scalars()}
        savepoint = connection.begin_nested()
        created = insert_missing_incidents(connection, incidents)
        locked = lock_incident_rows(connection, sorted(known), incidents)
        # Another writer moved a detection before its incident was locked. A lock out of order could be waited for in a circle.
        if known.issuperset(connection.execute(_KNOWN, columns).scalars()):
            savepoint.commit()
            return created, locked
        savepoint.rollback()
    raise TransientError("other writers go on moving the same detections to other incidents")


def _build_sight(row: SentRow) -> releases.VersionSight:
    now = datetime.now(UTC)
    at = min(datetime.fromtimestamp(row["received_ms"] / 1000, UTC), now) if row["received_ms"] else now
    return releases.VersionSight(row["project"], row["environment"], row["app_version"], at)


def describe_outcome(rules: Sequence[str]) -> str:
    """Why an open detection no longer holds, by the rules of the engine that keep the session's visits silent now."""
    if "resolved" in rules:
        return "the person got there after all"
    if not rules:
        return "the session went on without it"
    return f"the session went on, and is silent now by {', '.join(sorted(set(rules)))}"


def _build_first_change(rows: Sequence[SentRow], incident_id: str) -> HistoryChange:
    score = max(row["score"] for row in rows if row["incident_id"] == incident_id)
    return HistoryChange(lifecycle.RULE, None, "draft", f"first seen, with score {score}")


def _build_retraction_change(status: lifecycle.Status, number: int, why: str) -> HistoryChange:
    noun = "detection" if number == 1 else "detections"
    return HistoryChange(lifecycle.RULE, status, status, f"{number} {noun} retracted {why}")


def _build_contest_change(status: lifecycle.Status, number: int) -> HistoryChange:
    what = "1 detection stays unchanged" if number == 1 else f"{number} detections stay unchanged"
    reason = f"{what}: later events of the session, not all from its first source, contradict it"
    return HistoryChange(lifecycle.RULE, status, status, reason)


def session_key_of(item: AnalysedSession) -> SessionKey:
    """The key of an analysed session."""
    return item.pending.project, item.pending.session_id


def lock_pending_sessions(connection: sa.Connection, analysed: Sequence[AnalysedSession]) -> dict[SessionKey, int]:
    """Lock the rows of these sessions in the queue. Returns their versions now."""
    locked = connection.execute(_LOCK_PENDING, build_key_columns([session_key_of(item) for item in analysed]))
    return {(row.project, row.session_id): row.version for row in locked}


def insert_missing_incidents(connection: sa.Connection, incidents: Mapping[str, str]) -> list[str]:
    """Insert a draft for each of ``incidents`` (id → project) that has no row. Returns the ids of these."""
    ids = sorted(incidents)
    if not ids:
        return []
    columns = {
        "incident_id": ids,
        "project": [incidents[id_] for id_ in ids],
        "fingerprint": [id_.removeprefix("inc_") for id_ in ids],
    }
    return sorted(connection.execute(_ENSURE, columns).scalars())


def lock_incident_rows(
    connection: sa.Connection, ids: Sequence[str], projects: Mapping[str, str]
) -> "dict[str, sa.Row[Any]]":
    """The rows of the incidents ``ids`` that there are, locked. Raises PermanentError if one is not of its project."""
    rows = {row.incident_id: row for row in connection.execute(_LOCK_INCIDENTS, {"ids": list(ids)})}
    for id_, project in projects.items():
        if rows[id_].project != project:
            raise PermanentError(f"incident {id_} belongs to another project than the detection ({project!r})")
    return rows


def upsert_detections(connection: sa.Connection, rows: Sequence[SentRow], still_open: bool = False) -> int:
    """Write the detections of complete sessions, or (``still_open``) of those that go on. Returns how many changed."""
    statement = _UPSERT_OPEN if still_open else _UPSERT
    # Postgres refuses two changes of one row in one statement, so detections with the same id are merged.
    unique = list({(row["project"], row["detection_id"]): row for row in rows}.values())
    stored = 0
    for start in range(0, len(unique), _ROWS_PER_STATEMENT):
        chunk = unique[start : start + _ROWS_PER_STATEMENT]
        stored += len(connection.execute(statement, {"rows": f"[{','.join(map(_encode_row_with_body, chunk))}]"}).all())
    return stored


def _encode_row_with_body(row: SentRow) -> str:
    # The body is JSON text already; as a JSON string it would be escaped and parsed once more.
    columns = encode_json_text({name: value for name, value in row.items() if name != "body"})
    return f'{columns[:-1]}, "body": {row["body"]}}}'


def _contest_detections(connection: sa.Connection, keys: Sequence[SessionKey], rows: Sequence[SentRow]) -> list[str]:
    """Mark the detections that the new result would change or retract. Returns the incident's id of each."""
    if not keys:
        return []
    answers = [_encode_row_with_body(row) for row in rows if row["mixed"]]
    return list(
        connection.execute(_CONTEST, {**build_key_columns(list(keys)), "rows": f"[{','.join(answers)}]"}).scalars()
    )


def _retract_detections(
    connection: sa.Connection, keys: Mapping[SessionKey, _SessionTerms], rows: Sequence[SentRow]
) -> list[str]:
    kept = {"kept_project": [row["project"] for row in rows], "kept": [row["detection_id"] for row in rows]}
    sessions = {
        "since_ms": [session.since_ms for session in keys.values()],
        "mixed": [session.mixed for session in keys.values()],
    }
    return list(connection.execute(_RETRACT, {**build_key_columns(list(keys)), **sessions, **kept}).scalars())


def lock_incident_row(connection: sa.Connection, incident_id: str, project: str | None) -> "sa.Row[Any]":
    """The incident's row, locked. Raises NotFound when there is none, or not in ``project``."""
    row = connection.execute(_LOCK_INCIDENTS, {"ids": [incident_id]}).one_or_none()
    if row is None or project not in (None, row.project):
        raise NotFound(f"no incident {incident_id!r}")
    return row
