"""Exceptions of projects: asked for, tried on stored sessions, accepted or rejected by a person, and taken back."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from incidents.lifecycle import ChangedMeanwhile, IllegalTransition
from incidents.model import NotFound
from incidents.verdicts import STEPS, ExemptionRecord, ExemptionState, ExemptionStep, Proposal, TrialResult
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_times import format_utc_time
from ufse.exemptions import Exemption, make_exemption

MOST_ACCEPTED = 200
"""Accepted exceptions of a project, at most: each costs the engine a pass over the texts of a batch."""
ENGINE = "furrow"
"""The actor of a replay in the history."""
_ASK = text("""
    INSERT INTO exemptions (exemption_id, project, body, user_hash, state, actor)
    VALUES (:exemption_id, :project, CAST(:body AS jsonb), :user_hash, 'asked', :actor)
    ON CONFLICT (exemption_id) DO UPDATE SET
        state = 'asked', actor = excluded.actor, changed_at = now(), asked_at = now(), result = NULL
    WHERE exemptions.state IN ('tried', 'rejected', 'ended')
    RETURNING 1
""")
_LOCK = text("SELECT * FROM exemptions WHERE exemption_id = :exemption_id FOR UPDATE")
_MOVE = text("""
    UPDATE exemptions SET state = :state, actor = :actor, changed_at = now() WHERE exemption_id = :exemption_id
""")
_COUNT_ACCEPTED = text("SELECT count(*) FROM exemptions WHERE project = :project AND state = 'accepted'")
_NOTE = text("INSERT INTO exemption_history (exemption_id, actor, state, reason) VALUES (:id, :actor, :state, :reason)")
_NEXT = text("""
    SELECT exemption_id, project, body, actor, changed_at, asked_at FROM exemptions WHERE state = 'asked'
    ORDER BY asked_at, exemption_id LIMIT 1
""")
_SAVE_RESULT = text("""
    UPDATE exemptions SET state = 'tried', actor = :actor, changed_at = now(), result = CAST(:result AS jsonb)
    WHERE exemption_id = :exemption_id AND state = 'asked' AND asked_at = :asked_at RETURNING 1
""")
_LIST = text("""
    SELECT * FROM exemptions WHERE CAST(:project AS text) IS NULL OR project = :project
    ORDER BY array_position(ARRAY['tried', 'asked', 'accepted', 'rejected', 'ended'], state), changed_at DESC, exemption_id
    LIMIT 500
""")
_HISTORY = text("""
    SELECT exemption_id, at, actor, state, reason FROM exemption_history
    WHERE exemption_id = ANY(CAST(:ids AS text[])) ORDER BY id
""")
_ACCEPTED = text("""
    SELECT exemption_id, project, body, actor, changed_at FROM exemptions WHERE state = 'accepted'
    ORDER BY project, exemption_id
""")
_ERASE = text("DELETE FROM exemptions WHERE project = :project AND user_hash = :user_hash AND :user_hash <> ''")
_STILL = text("""
    SELECT i.incident_id, i.title, i.status,
           count(DISTINCT d.session_id) FILTER (WHERE k.session_id IS NOT NULL) AS silenced,
           count(DISTINCT d.session_id) FILTER (WHERE k.session_id IS NULL) AS sessions_left,
           count(DISTINCT d.user_hash) FILTER (WHERE k.session_id IS NULL AND d.user_hash <> '') AS users_left
    FROM incidents i
    JOIN detections d ON d.incident_id = i.incident_id AND d.retracted_at IS NULL
    LEFT JOIN unnest(CAST(:incidents AS text[]), CAST(:sessions AS text[])) AS k(incident_id, session_id)
      ON (k.incident_id, k.session_id) = (d.incident_id, d.session_id)
    WHERE i.incident_id = ANY(CAST(:incidents AS text[]))
    GROUP BY i.incident_id ORDER BY silenced DESC, i.incident_id
""")


class StoredExemption(NamedTuple):
    """A row that the engine or a replay reads. ``body`` may be of another version: `make_exemption` checks it."""

    exemption_id: str
    project: str
    body: Mapping[str, object]
    actor: str
    changed_at: datetime
    asked_at: datetime | None = None

    def build(self) -> Exemption:
        """The exception, with who set it and when. Raises ValueError for a body that does not fit."""
        return make_exemption(self.body, f"set by {self.actor} on {self.changed_at:%Y-%m-%d}")


class IncidentLeft(NamedTuple):
    """An incident without some of its sessions."""

    incident_id: str
    title: str
    status: str
    silenced: int
    sessions_left: int
    users_left: int


class ExemptionLedger:
    """Keeps exceptions. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask_for_trial(self, proposal: Proposal, actor: str, reason: str = "") -> None:
        """Ask for the replay of a proposed exception. It changes nothing while one is asked for or accepted."""
        exemption, id_ = proposal.exemption, proposal.exemption_id
        person = exemption.value if exemption.traffic_field == "user_hash" else ""
        values = {"exemption_id": id_, "project": proposal.project, "body": json.dumps(exemption.content())}
        actor = clean_for_postgres(actor)
        with self._database.open_transaction() as connection:
            asked = connection.execute(_ASK, {**values, "user_hash": person, "actor": actor}).one_or_none()
            if asked is not None:
                _note(
                    connection,
                    id_,
                    actor,
                    "asked",
                    f"{proposal.sessions} sessions agree; {reason.strip() or 'to be replayed'}",
                )

    def move_exemption(
        self,
        exemption_id: str,
        step: ExemptionStep,
        reason: str,
        actor: str,
        project: str | None = None,
        *,
        expected: ExemptionState | None = None,
    ) -> None:
        """Accept, reject or take back. ``expected``: the state that the person saw.

        Raises NotFound, ChangedMeanwhile when it is in another state now, and IllegalTransition.
        """
        actor = clean_for_postgres(actor)
        with self._database.open_transaction() as connection:
            row = connection.execute(_LOCK, {"exemption_id": exemption_id}).one_or_none()
            if row is None or project not in (None, row.project):
                raise NotFound(f"no exception {exemption_id!r}")
            if expected not in (None, row.state):
                raise ChangedMeanwhile(f"the exception is {row.state} now, no longer {expected}")
            state = STEPS.get((row.state, step))
            if state is None:
                raise IllegalTransition(f"an exception that is {row.state} cannot be moved by {step!r}")
            if state == "accepted":
                full = connection.execute(_COUNT_ACCEPTED, {"project": row.project}).scalar_one() >= MOST_ACCEPTED
                if full:
                    raise IllegalTransition(f"the project has {MOST_ACCEPTED} accepted exceptions: take some back")
            connection.execute(_MOVE, {"exemption_id": exemption_id, "state": state, "actor": actor})
            _note(connection, exemption_id, actor, state, reason.strip() or "no reason given")

    def find_asked_exemption(self) -> StoredExemption | None:
        """The exception whose replay was asked for first; None when none waits."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_NEXT).one_or_none()
            return None if row is None else StoredExemption(*row)

    def save_trial_result(self, asked: StoredExemption, result: TrialResult) -> bool:
        """Keep what a replay found. False, and nothing changes, when a person decided or asked anew meanwhile."""
        values = {
            "exemption_id": asked.exemption_id,
            "asked_at": asked.asked_at,
            "actor": ENGINE,
            "result": json.dumps(result),
        }
        with self._database.open_transaction() as connection:
            saved = connection.execute(_SAVE_RESULT, values).one_or_none() is not None
            if saved:
                _note(connection, asked.exemption_id, ENGINE, "tried", f"would silence {result['silenced']} sessions")
            return saved

    def reject_unusable(self, asked: StoredExemption, reason: str) -> None:
        """Reject an exception that this version cannot read, so that the next one is tried."""
        self.move_exemption(asked.exemption_id, "reject", reason, ENGINE, expected="asked")

    def list_exemptions(self, project: str | None) -> list[ExemptionRecord]:
        """The exceptions of a project (None: of all) with their history: tried and asked ones first; at most 500."""
        with self._database.open_transaction() as connection:
            rows = connection.execute(_LIST, {"project": project}).all()
            history = connection.execute(_HISTORY, {"ids": [row.exemption_id for row in rows]}).all()
        return [
            _build_record(row, [entry for entry in history if entry.exemption_id == row.exemption_id]) for row in rows
        ]

    def read_accepted(self) -> list[StoredExemption]:
        """The accepted exceptions of all projects, ordered."""
        with self._database.open_transaction() as connection:
            return [StoredExemption(*row) for row in connection.execute(_ACCEPTED)]

    def count_left(self, silenced: Sequence[tuple[str, str]]) -> list[IncidentLeft]:
        """What is left of incidents without the sessions ``silenced`` (incident id, session id)."""
        incidents, sessions = [pair[0] for pair in silenced], [pair[1] for pair in silenced]
        with self._database.open_transaction() as connection:
            rows = connection.execute(_STILL, {"incidents": incidents, "sessions": sessions})
            return [IncidentLeft(*row) for row in rows]


def erase_exemptions(connection: sa.Connection, project: str, user_hash: str) -> int:
    """Delete the exceptions for this user's test traffic, with their history. Returns how many."""
    return connection.execute(_ERASE, {"project": project, "user_hash": user_hash}).rowcount


def _note(connection: sa.Connection, id_: str, actor: str, state: ExemptionState, reason: str) -> None:
    values = {"id": id_, "actor": actor[:200], "state": state, "reason": clean_for_postgres(reason)[:2000]}
    connection.execute(_NOTE, values)


def _build_record(row: "sa.Row[Any]", history: "Sequence[sa.Row[Any]]") -> ExemptionRecord:
    try:
        shown = make_exemption(row.body).describe()
    except ValueError:
        shown = "an exception of another version of Furrow"
    return {
        "exceptionId": row.exemption_id,
        "projectId": row.project,
        "kind": str(row.body.get("kind", "")),
        "text": shown,
        "content": row.body,
        "state": row.state,
        "actor": row.actor,
        "changedAt": format_utc_time(row.changed_at),
        "result": row.result,
        "history": [
            {"at": format_utc_time(entry.at), "actor": entry.actor, "state": entry.state, "reason": entry.reason}
            for entry in history
        ],
    }
