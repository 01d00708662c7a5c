"""Writes incidents: detections of the engine and of operators, and people's decisions."""

from collections.abc import Sequence
from datetime import UTC, datetime

from core.errors import PermanentError
from incidents import lifecycle
from incidents.fixes import NO_FIX, Fix
from incidents.incident import IncidentDetail
from incidents.lifecycle import Action, Status
from incidents.model import DEFAULT_RULE, AnalysedSession, OpenResult, RecordResult, Rules
from stores.incidents import (
    incident_assignment,
    incident_flood,
    incident_look,
    incident_read,
    incident_record,
    incident_resolution,
    incident_settle,
)
from stores.incidents.incident_database import Database
from ufse.detection import Detection


class IncidentLedger:
    """Writes incidents from detections and from people's actions.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_detections(
        self, analysed: Sequence[AnalysedSession], rules: Rules = DEFAULT_RULE, backfill: bool = False
    ) -> RecordResult:
        """Store the detections of whole client sessions and recompute their incidents (``RecordResult``).

        A session whose version has changed since it was read is skipped and stays in the queue. A second call with the
        same sessions changes nothing. ``backfill``: the rules may confirm drafts; every other status stays.
        """
        with self._database.open_transaction() as connection:
            return incident_record.record_detections(connection, analysed, rules, backfill)

    def record_open_detections(
        self, looked: Sequence[AnalysedSession], rules: Rules = DEFAULT_RULE, unjudged: Sequence[AnalysedSession] = ()
    ) -> OpenResult:
        """Store what sessions show that go on, and draft the incidents that enough of them show (``OpenResult``).

        The sessions stay in the queue. One whose version has changed since it was read is skipped and looked at again. A
        second call with the same sessions changes nothing. Open detections of the ``unjudged`` stay.
        """
        with self._database.open_transaction() as connection:
            return incident_look.record_open_detections(connection, looked, rules, unjudged)

    def record_external_detection(self, detection: Detection, rules: Rules = DEFAULT_RULE) -> tuple[str, bool]:
        """Store one detection of another system; returns the id of its incident and whether it was already stored."""
        with self._database.open_transaction() as connection:
            return incident_record.record_external_detection(connection, detection, rules)

    def apply_action(
        self,
        incident_id: str,
        action: Action,
        reason: str,
        actor: str,
        project: str | None = None,
        until: datetime | None = None,
        sessions: int | None = None,
        at: datetime | None = None,
        *,
        expected: Status | None = None,
        fix: Fix = NO_FIX,
        version: int | None = None,
    ) -> IncidentDetail:
        """Apply the ``action`` of ``actor`` to an incident; returns it as ``read_incident`` does.

        ``until`` or ``sessions`` (so many more) end a suppression; ``at`` is the time of the fix, by default now, and
        ``fix`` where "resolve" says that it is (`incidents.fixes`). Every action
        releases an incident that a flood held back; "confirm" also does so when it is confirmed already. ``expected``: the
        status that the person saw, ``version``: the version. Raises ChangedMeanwhile or VersionChanged when it is another now,
        IllegalTransition, NotFound, or PermanentError for a number of sessions below 1.
        """
        if sessions is not None and sessions < 1:
            raise PermanentError("a suppression ends after at least 1 more session")
        now = at or datetime.now(UTC)
        with self._database.open_transaction() as connection:
            row = incident_record.lock_incident_row(connection, incident_id, project)
            incident_assignment.require_version(connection, row, version)
            before, why = incident_settle.build_incident_state(row), reason.strip() or "no reason given"
            if expected not in (None, before.status):
                raise lifecycle.ChangedMeanwhile(f"the incident is {before.status} now, no longer {expected}")
            if row.merged_into:
                raise lifecycle.IllegalTransition(f"the incident is merged into {row.merged_into}; act on that one")
            # It was held until a person decides about it.
            held = incident_flood.release_held_incident(connection, incident_id)
            if action == "confirm" and held and before.status in lifecycle.EXPORTABLE:
                state, change = before, lifecycle.confirm_held_incident(before, why, actor)
            else:
                counted = row.counted_sessions
                state, change = lifecycle.apply_action(
                    before, action, why, actor, now=now, sessions=counted, until=until, more_sessions=sessions, fix=fix
                )
            incident_settle.write_incident_state(connection, incident_id, state)
            if state == before:
                incident_assignment.raise_version(connection, incident_id)
            incident_settle.write_incident_history(connection, [(incident_id, change)])
            return incident_read.read_incident_details(connection, [incident_id])[0]

    def set_fix(self, incident_id: str, fix: Fix, reason: str, actor: str, project: str | None = None) -> bool:
        """Change where a resolved incident was fixed; the time of the fix stays. Returns whether that changed anything.

        Raises IllegalTransition unless it is resolved, and NotFound.
        """
        with self._database.open_transaction() as connection:
            row = incident_record.lock_incident_row(connection, incident_id, project)
            return incident_resolution.set_fix(connection, row, fix, reason.strip() or "no reason given", actor)

    def assign_incident(
        self,
        incident_id: str,
        assignee: str | None,
        reason: str,
        actor: str,
        project: str | None = None,
        *,
        version: int | None = None,
    ) -> IncidentDetail:
        """Assign an incident to a person or team (None: to nobody, so that the rules of owners decide); returns it.

        The same again changes nothing. Raises VersionChanged when ``version`` is not the incident's, NotFound, and
        IllegalTransition for one that was merged.
        """
        with self._database.open_transaction() as connection:
            row = incident_record.lock_incident_row(connection, incident_id, project)
            incident_assignment.require_version(connection, row, version)
            incident_assignment.write_assignment(connection, row, assignee, reason, actor)
            return incident_read.read_incident_details(connection, [incident_id])[0]
