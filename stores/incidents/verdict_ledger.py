"""Verdicts of people on sessions of incidents. They change no incident; its history names each of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from incidents.lifecycle import HistoryChange
from incidents.model import NotFound
from incidents.verdicts import REASONS, Verdict, VerdictReason
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_record import lock_incident_row
from stores.incidents.incident_settle import write_incident_history
from ufse.detection import Detection

MOST_READ = 5_000
"""Verdicts that are read at once, at most; the newest ones."""
_SHARE_DAYS = 30
_COLUMNS = """
    project, incident_id, session_id, actor, detection_id, frustrated, reason, note, route, target, feedback, signals, rules,
    environment, app_version, user_hash, engine_version, config_hash, decided_at
"""
_DETECTION = text("""
    SELECT body FROM detections
    WHERE project = :project AND session_id = :session_id AND incident_id = :incident_id AND retracted_at IS NULL
    ORDER BY score DESC, detection_id LIMIT 1
""")
_FIND = text("""
    SELECT frustrated, reason, note FROM verdicts
    WHERE incident_id = :incident_id AND session_id = :session_id AND actor = :actor
""")
_SAVE = text(f"""
    INSERT INTO verdicts ({_COLUMNS})
    VALUES (:project, :incident_id, :session_id, :actor, :detection_id, :frustrated, :reason, :note, :route, :target, :feedback,
        :signals, :rules, :environment, :app_version, :user_hash, :engine_version, :config_hash, now())
    ON CONFLICT (incident_id, session_id, actor) DO UPDATE SET
        detection_id = excluded.detection_id, frustrated = excluded.frustrated, reason = excluded.reason,
        note = excluded.note, route = excluded.route, target = excluded.target, feedback = excluded.feedback,
        signals = excluded.signals, rules = excluded.rules, environment = excluded.environment,
        app_version = excluded.app_version, user_hash = excluded.user_hash,
        engine_version = excluded.engine_version, config_hash = excluded.config_hash, decided_at = excluded.decided_at
""")
_DROP = text("""
    DELETE FROM verdicts WHERE incident_id = :incident_id AND session_id = :session_id AND actor = :actor RETURNING frustrated
""")
_LIST = text(f"""
    SELECT {_COLUMNS} FROM verdicts
    WHERE (CAST(:project AS text) IS NULL OR project = :project)
      AND (CAST(:incident_id AS text) IS NULL OR incident_id = :incident_id)
      AND (CAST(:session_id AS text) IS NULL OR session_id = :session_id)
    ORDER BY decided_at DESC, incident_id, session_id, actor LIMIT {MOST_READ}
""")
_SHARES = text("""
    SELECT project, environment, app_version, count(*) AS number FROM detections
    WHERE project = ANY(CAST(:projects AS text[])) AND retracted_at IS NULL AND happened_at >= :since GROUP BY 1, 2, 3
""")
_ERASE = text("""
    DELETE FROM verdicts WHERE project = :project
      AND (session_id = ANY(CAST(:sessions AS text[])) OR (:user_hash <> '' AND user_hash = :user_hash))
""")


class VerdictKey(NamedTuple):
    """A session of an incident, and the person who decides about it. ``project``: the only one that they see, None: all."""

    incident_id: str
    session_id: str
    actor: str
    project: str | None = None


class VerdictLedger:
    """Writes and reads verdicts. Thread-safe; each call is one transaction. Raises what `Database` raises.

    Each person has one verdict on a session of an incident. The incident's row is locked, so that its history has the order
    in which people decided.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save_verdict(self, key: VerdictKey, reason: VerdictReason | None, note: str = "") -> list[Verdict]:
        """Keep a person's verdict in place of an earlier one: no frustration for ``reason``, or (None) frustration.

        Returns all verdicts on the session. The same verdict again changes nothing. Raises NotFound when the incident has no
        live detection of a complete session with this id.
        """
        with self._database.open_transaction() as connection:
            row = lock_incident_row(connection, key.incident_id, key.project)
            ids = {"incident_id": key.incident_id, "session_id": key.session_id, "actor": clean_for_postgres(key.actor)}
            body = connection.execute(_DETECTION, {**ids, "project": row.project}).scalar_one_or_none()
            if body is None:
                raise NotFound(f"incident {key.incident_id!r} has no such session")
            note = clean_for_postgres(note.strip())[:2000]
            decided = (reason is None, reason or "", note)
            known = connection.execute(_FIND, ids).one_or_none()
            if known is None or tuple(known) != decided:
                facts = {**_read_facts(body), "project": row.project, "frustrated": decided[0], "reason": decided[1]}
                connection.execute(_SAVE, {**facts, **ids, "note": note})
                judgement = "frustration" if reason is None else f"no frustration, {REASONS[reason]}"
                _note_in_history(connection, key, row.status, f"verdict on a session: {judgement}")
            return _list_verdicts(connection, None, key.incident_id, key.session_id)

    def drop_verdict(self, key: VerdictKey) -> list[Verdict]:
        """Take a person's own verdict back; returns the verdicts that are left on the session. Without one, nothing changes.

        Raises NotFound when there is no such incident.
        """
        with self._database.open_transaction() as connection:
            row = lock_incident_row(connection, key.incident_id, key.project)
            ids = {"incident_id": key.incident_id, "session_id": key.session_id, "actor": clean_for_postgres(key.actor)}
            if connection.execute(_DROP, ids).one_or_none() is not None:
                _note_in_history(connection, key, row.status, "verdict on a session taken back")
            return _list_verdicts(connection, None, key.incident_id, key.session_id)

    def list_verdicts(
        self, project: str | None = None, incident_id: str | None = None, session_id: str | None = None
    ) -> list[Verdict]:
        """The newest verdicts of a project, an incident or a session (None: any), at most MOST_READ."""
        with self._database.open_transaction() as connection:
            return _list_verdicts(connection, project, incident_id, session_id)

    def read_traffic_shares(self, projects: Sequence[str]) -> dict[tuple[str, str, str], float]:
        """By (project, ``environment`` or ``app_version``, value): the part of the project's live detections of the last 30
        days that has the value.
        """
        since = datetime.now(UTC) - timedelta(days=_SHARE_DAYS)
        with self._database.open_transaction() as connection:
            rows = connection.execute(_SHARES, {"projects": list(projects), "since": since}).all()
        totals: dict[str, int] = {}
        counts: dict[tuple[str, str, str], int] = {}
        for row in rows:
            totals[row.project] = totals.get(row.project, 0) + row.number
            for field in ("environment", "app_version"):
                key = (row.project, field, row._mapping[field])
                counts[key] = counts.get(key, 0) + row.number
        return {key: number / totals[key[0]] for key, number in counts.items()}


def erase_verdicts(connection: sa.Connection, project: str, sessions: Sequence[str], user_hash: str) -> int:
    """Delete the verdicts on these sessions and on those of this user ('': none). Returns how many."""
    values = {"project": project, "sessions": list(sessions), "user_hash": user_hash}
    return connection.execute(_ERASE, values).rowcount


def _list_verdicts(
    connection: sa.Connection, project: str | None, incident_id: str | None, session_id: str | None
) -> list[Verdict]:
    values = {"project": project, "incident_id": incident_id, "session_id": session_id}
    return [_build_verdict(row) for row in connection.execute(_LIST, values)]


def _build_verdict(row: "sa.Row[Any]") -> Verdict:
    values = dict(row._mapping)
    return Verdict(**{**values, "signals": tuple(values["signals"]), "rules": tuple(values["rules"])})


def _read_facts(body: Detection) -> dict[str, object]:
    """What a verdict keeps of the detection. Detections of other systems may lack parts."""
    point, context = body["failurePoint"], body.get("context") or {}
    rules = {entry["rule"] for entry in body.get("points") or [] if entry["points"] > 0}
    return {
        "detection_id": body["detectionId"],
        "route": point.get("route") or "",
        "target": point.get("target") or "",
        "feedback": point.get("feedback") or "",
        "signals": sorted({signal["type"] for signal in body["triggeringSignals"]}),
        "rules": sorted(rules),
        "environment": context.get("environment") or "",
        "app_version": context.get("appVersion") or "",
        "user_hash": context.get("userHash") or "",
        "engine_version": body.get("engineVersion") or "",
        "config_hash": body.get("configHash") or "",
    }


def _note_in_history(connection: sa.Connection, key: VerdictKey, status: Any, what: str) -> None:
    # Without the id of the session and the person's words: the history stays when a session is erased.
    write_incident_history(connection, [(key.incident_id, HistoryChange(key.actor, status, status, what))])
