"""The outbox of alerts: why people are to be alerted, and one row for each message that is owed to a channel.

A row is `claimed` with a lease, is `sending` from right before the request on, and then `sent` or `waiting` again. A run that
dies before `sending` changed nothing that a channel sees. A run that dies while the row is `sending` leaves it open whether the
message arrived: after the lease, the row is claimed as ``doubtful``, and the message says that it may be a repetition.
"""

# Statements are put together from constants of this module alone; values are always bound.

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4, uuid5

import sqlalchemy as sa
from sqlalchemy import text

from incidents.alerts import AlertedIncident, AlertOccasion, AlertRow, ListedAlert, SentMessage, Snooze
from incidents.lifecycle import HistoryChange, Status
from incidents.model import LostLease, NotFound
from incidents.owner_patterns import Place, find_request
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_flood import IS_HELD
from stores.incidents.incident_settle import write_incident_history

LEASE_S: Final = 180.0
_SEND_S: Final = 60
"""A message is begun to be sent only while the lease lasts so long (s)."""
_BATCH: Final = 500
_CHANGEABLE_DAYS: Final = 14
KEPT_DAYS: Final = 90
"""Days for which an alert is kept that was sent, or that nobody wanted to have, and a snooze after its end."""
_FORGET_BATCH: Final = 5_000
"""Rows that one transaction forgets."""
_MESSAGES: Final = UUID("0f1d9b5e-7f0c-4f57-9a35-6e0d2b6a4c11")
"""Namespace of the ids of messages."""
_REASON_LENGTH: Final = 1_000
_AWAKE: Final = "alerts no longer snoozed"
_IS_SNOOZED: Final = (
    "EXISTS (SELECT FROM alert_snoozes z WHERE z.incident_id = {alias}.incident_id AND z.until_at > now())"
)

_OCCASIONS = text(f"""
    SELECT o.incident_id, i.project, o.kind, o.occasion, o.facts, i.status, i.withdrawn_at IS NOT NULL AS withdrawn,
           i.failure_point, i.label, i.assignee, {_IS_SNOOZED.format(alias="o")} AS snoozed
    FROM alert_occasions o JOIN incidents i USING (incident_id)
    WHERE o.spread_at IS NULL AND NOT {IS_HELD}
    ORDER BY o.at, o.incident_id LIMIT {_BATCH} FOR UPDATE OF o SKIP LOCKED
""")
_SPREAD = text("""
    UPDATE alert_occasions SET spread_at = now()
    WHERE (incident_id, kind, occasion) = (:incident_id, :kind, :occasion)
""")
_ADD = text("""
    INSERT INTO alerts (project, incident_id, kind, occasion, channel, facts, state, quiet)
    VALUES (:project, :incident_id, :kind, :occasion, :channel, CAST(:facts AS jsonb), :state, :quiet)
    ON CONFLICT DO NOTHING
""")
_DIGEST = text("""
    SELECT 1 FROM alerts WHERE project = :project AND incident_id IS NULL AND kind = 'digest' AND occasion = :occasion LIMIT 1
""")
_LOCK_CHANNEL = text("SELECT pg_advisory_xact_lock(hashtextextended('furrow alerts ' || :channel, 0))")
_SNOOZE_WAITING = text(f"""
    UPDATE alerts a SET state = 'snoozed'
    WHERE a.channel = :channel AND a.state = 'waiting' AND {_IS_SNOOZED.format(alias="a")}
""")
_CLAIM = text(f"""
    WITH picked AS (
        SELECT alert_id, state = 'sending' AS interrupted FROM alerts
        WHERE channel = :channel AND project = ANY(CAST(:projects AS text[]))
          AND ((state = 'waiting' AND (retry_at IS NULL OR retry_at <= clock_timestamp()))
               OR (state IN ('claimed', 'sending') AND lease_until <= clock_timestamp()))
        ORDER BY created_at, alert_id LIMIT {_BATCH} FOR UPDATE SKIP LOCKED
    )
    UPDATE alerts a SET state = 'claimed', attempts = attempts + 1, lease_token = :token, retry_at = NULL,
        doubtful = doubtful OR p.interrupted, lease_until = clock_timestamp() + make_interval(secs => :lease_s)
    FROM picked p WHERE a.alert_id = p.alert_id
""")
_ROW_COLUMNS = """
    a.alert_id, a.project, a.kind, a.occasion, a.channel, a.facts, a.quiet, a.doubtful, a.attempts, a.lease_token, a.shown,
    a.message_id, a.message, i.incident_id, i.title, i.status, i.severity, i.affected_sessions, i.affected_users,
    i.open_sessions, s.confirmed_at IS NOT NULL AND i.status = 'resolved' AS fixed
"""
_ROW_TABLES = "alerts a LEFT JOIN incidents i USING (incident_id) LEFT JOIN incident_steps s USING (incident_id)"
_CLAIMED = text(f"""
    SELECT {_ROW_COLUMNS} FROM {_ROW_TABLES} WHERE a.lease_token = :token AND a.state = 'claimed'
    ORDER BY a.created_at, a.alert_id
""")
_BEGIN = text(f"""
    UPDATE alerts SET state = 'sending', message_id = :message_id
    WHERE alert_id = ANY(CAST(:ids AS uuid[])) AND lease_token = :token AND state = 'claimed'
        AND lease_until > clock_timestamp() + make_interval(secs => {_SEND_S})
""")
_SENT = text("""
    UPDATE alerts SET state = 'sent', sent_at = now(), lease_until = NULL, lease_token = NULL, last_error = NULL,
        message = CAST(:message AS jsonb), shown = :shown
    WHERE alert_id = :id AND lease_token = :token
""")
_FAILED = text("""
    UPDATE alerts SET state = 'waiting', last_error = :reason, lease_until = NULL, lease_token = NULL,
        doubtful = doubtful OR :doubtful, retry_at = clock_timestamp() + make_interval(secs => :wait_s)
    WHERE alert_id = ANY(CAST(:ids AS uuid[])) AND lease_token = :token
""")
_RELEASE = text("""
    UPDATE alerts SET state = 'waiting', lease_until = NULL, lease_token = NULL, attempts = attempts - 1
    WHERE lease_token = :token AND state = 'claimed'
""")
_CHANGED = text(f"""
    SELECT DISTINCT a.message_id FROM {_ROW_TABLES}
    WHERE a.channel = :channel AND a.state = 'sent' AND a.message IS NOT NULL
        AND a.sent_at > now() - interval '{_CHANGEABLE_DAYS} days'
        AND a.shown IS DISTINCT FROM
            (CASE WHEN i.status = 'resolved' AND s.confirmed_at IS NOT NULL THEN 'fixed' ELSE i.status END)
    LIMIT 50
""")
_OF_MESSAGES = text(f"""
    SELECT {_ROW_COLUMNS} FROM {_ROW_TABLES} WHERE a.message_id = ANY(CAST(:ids AS uuid[])) AND a.state = 'sent'
    ORDER BY a.message_id, a.created_at, a.alert_id
""")
_SHOWN = text("UPDATE alerts SET shown = :shown WHERE alert_id = :id AND state = 'sent'")
_WAITING = text("""
    SELECT channel, count(*) AS number, min(retry_at) AS until,
           (array_agg(last_error ORDER BY retry_at DESC NULLS LAST) FILTER (WHERE last_error IS NOT NULL))[1] AS reason
    FROM alerts WHERE state = 'waiting' AND attempts > 0 GROUP BY channel ORDER BY channel
""")
_LIST = text("""
    SELECT project, incident_id, kind, channel, state, created_at, sent_at, retry_at, attempts, last_error FROM alerts
    WHERE (CAST(:project AS text) IS NULL OR project = :project) AND (NOT :waiting OR state NOT IN ('sent', 'snoozed'))
    ORDER BY created_at DESC, alert_id LIMIT :limit
""")
_SNOOZE = text("""
    INSERT INTO alert_snoozes (incident_id, until_at, actor, reason) VALUES (:incident_id, :until, :actor, :reason)
    ON CONFLICT (incident_id) DO UPDATE SET until_at = excluded.until_at, actor = excluded.actor, reason = excluded.reason,
        at = now()
""")
_WAKE = text("DELETE FROM alert_snoozes WHERE incident_id = :incident_id AND until_at > now()")
_LOCK_INCIDENT = text("SELECT status FROM incidents WHERE incident_id = :incident_id FOR NO KEY UPDATE")
_SNOOZES = text("""
    SELECT incident_id, until_at, actor, reason FROM alert_snoozes
    WHERE until_at > now() AND (CAST(:incident_id AS text) IS NULL OR incident_id = :incident_id) ORDER BY until_at
""")


# The search for growth looks a day back, and the time of an open draft is its own: neither comes again. The other occasions
# stay, as they are what keeps an incident from being told twice.
_FORGET_OCCASIONS = text("""
    DELETE FROM alert_occasions WHERE ctid IN (
        SELECT ctid FROM alert_occasions WHERE kind IN ('growing', 'open') AND spread_at IS NOT NULL
            AND at < now() - make_interval(days => :days) LIMIT :number)
""")
_FORGET_ALERTS = text("""
    DELETE FROM alerts WHERE alert_id IN (
        SELECT alert_id FROM alerts WHERE state IN ('sent', 'snoozed') AND created_at < now() - make_interval(days => :days)
            AND coalesce(sent_at, created_at) < now() - make_interval(days => :days) ORDER BY created_at LIMIT :number)
""")
_FORGET_SNOOZES = text("""
    DELETE FROM alert_snoozes WHERE incident_id IN (
        SELECT incident_id FROM alert_snoozes WHERE until_at < now() - make_interval(days => :days)
        ORDER BY until_at LIMIT :number FOR UPDATE SKIP LOCKED)
""")


class WaitingAlerts(NamedTuple):
    """Alerts that a channel did not take: how many, when the first of them is tried again, and the last reason."""

    channel: str
    number: int
    until: datetime | None
    reason: str


class AlertTarget(NamedTuple):
    """Where the alert of an occasion goes, and whether the project is in its quiet hours."""

    channels: Sequence[str]
    quiet: bool


class AlertOutbox:
    """Occasions, and the messages that channels are owed. Thread-safe; each call is one transaction.

    Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def spread_occasions(self, choose_target: Callable[[AlertOccasion], AlertTarget]) -> int:
        """Make the rows of the occasions that wait, at most 500 at once. Returns how many rows there are more.

        Those of incidents that a flood holds back wait until they are released.
        """
        made = 0
        with self._database.open_transaction() as connection:
            for row in connection.execute(_OCCASIONS).all():
                target = choose_target(_build_occasion(row))
                key = {"incident_id": row.incident_id, "kind": row.kind, "occasion": row.occasion}
                values = {
                    **key,
                    "project": row.project,
                    "facts": json.dumps(row.facts),
                    "state": "snoozed" if row.snoozed else "waiting",
                    "quiet": target.quiet,
                }
                for channel in target.channels:
                    made += connection.execute(_ADD, {**values, "channel": channel}).rowcount
                connection.execute(_SPREAD, key)
        return made

    def add_digest(
        self, project: str, occasion: str, channels: Sequence[str], facts: Mapping[str, Any], quiet: bool
    ) -> int:
        """Make the rows of a digest. The same project and occasion again changes nothing."""
        values = {
            "project": project,
            "incident_id": None,
            "kind": "digest",
            "occasion": occasion,
            "facts": json.dumps(clean_for_postgres(facts)),
            "state": "waiting",
            "quiet": quiet,
        }
        with self._database.open_transaction() as connection:
            return sum(connection.execute(_ADD, {**values, "channel": channel}).rowcount for channel in channels)

    def has_digest(self, project: str, occasion: str) -> bool:
        """Whether the rows of this digest were made."""
        with self._database.open_transaction() as connection:
            return connection.execute(_DIGEST, {"project": project, "occasion": occasion}).one_or_none() is not None

    def claim_alerts(self, channel: str, projects: Sequence[str], lease_s: float = LEASE_S) -> list[AlertRow]:
        """Lease what these projects owe the channel now, the oldest first; at most 500."""
        token = uuid4()
        values = {"channel": channel, "projects": list(projects), "token": token, "lease_s": lease_s}
        with self._database.open_transaction() as connection:
            connection.execute(_LOCK_CHANNEL, {"channel": channel})
            connection.execute(_SNOOZE_WAITING, {"channel": channel})
            connection.execute(_CLAIM, values)
            return [_build_row(row) for row in connection.execute(_CLAIMED, {"token": token})]

    def begin_sending(self, rows: Sequence[AlertRow]) -> UUID:
        """Right before the request: the rows are on their way in one message. Returns its id, which follows from the rows.

        Raises LostLease when the lease of one of them is over or nearly over; nothing is changed then.
        """
        message_id = uuid5(_MESSAGES, " ".join(sorted(str(row.alert_id) for row in rows)))
        values = {"ids": [row.alert_id for row in rows], "token": rows[0].token, "message_id": message_id}
        with self._database.open_transaction() as connection:
            if connection.execute(_BEGIN, values).rowcount != len(rows):
                raise LostLease("the lease of these alerts is nearly over, or another run holds them")
        return message_id

    def record_sent(self, rows: Sequence[AlertRow], message: Mapping[str, Any] | None) -> None:
        """The channel took the message. ``message``: what it calls it, if it can be changed."""
        with self._database.open_transaction() as connection:
            for row in rows:
                values = {
                    "id": row.alert_id,
                    "token": row.token,
                    "message": None if message is None else json.dumps(message),
                    "shown": row.incident.state if row.incident else None,
                }
                connection.execute(_SENT, values)

    def record_failed(self, rows: Sequence[AlertRow], reason: str, wait_s: float, doubtful: bool) -> None:
        """The channel did not take it; again after ``wait_s`` seconds. ``doubtful``: it may have arrived all the same."""
        values = {
            "ids": [row.alert_id for row in rows],
            "token": rows[0].token,
            "reason": clean_for_postgres(reason)[:_REASON_LENGTH],
            "wait_s": wait_s,
            "doubtful": doubtful,
        }
        with self._database.open_transaction() as connection:
            connection.execute(_FAILED, values)

    def release_claim(self, token: UUID) -> None:
        """Give back the claimed rows that were not begun to be sent."""
        with self._database.open_transaction() as connection:
            connection.execute(_RELEASE, {"token": token})

    def find_changed_messages(self, channel: str) -> list[SentMessage]:
        """Messages of the last 14 days that can be changed, and show a state that is none any more."""
        with self._database.open_transaction() as connection:
            ids = list(connection.execute(_CHANGED, {"channel": channel}).scalars())
            found: dict[UUID, list[sa.Row[Any]]] = {}
            for row in connection.execute(_OF_MESSAGES, {"ids": ids}) if ids else ():
                found.setdefault(row.message_id, []).append(row)
        return [SentMessage(id_, channel, rows[0].message, tuple(map(_build_row, rows))) for id_, rows in found.items()]

    def record_changed(self, message: SentMessage) -> None:
        """The message shows the states that it was changed to."""
        with self._database.open_transaction() as connection:
            for row in message.rows:
                connection.execute(_SHOWN, {"id": row.alert_id, "shown": row.incident.state if row.incident else None})

    def list_waiting_alerts(self) -> list[WaitingAlerts]:
        """What channels did not take so far."""
        with self._database.open_transaction() as connection:
            return [
                WaitingAlerts(row.channel, row.number, row.until, row.reason or "")
                for row in connection.execute(_WAITING)
            ]

    def list_alerts(self, project: str | None, limit: int, waiting: bool = False) -> list[ListedAlert]:
        """The newest alerts first; ``waiting``: only those that were not sent."""
        values = {"project": project, "limit": limit, "waiting": waiting}
        with self._database.open_transaction() as connection:
            return [ListedAlert(*row) for row in connection.execute(_LIST, values)]

    def forget_alerts(self, days: int) -> int:
        """Delete the alerts that were sent, or snoozed, more than ``days`` days ago, and the snoozes that ended before. Returns
        how many alerts.

        What waits for a channel stays. Each transaction deletes at most 5,000 rows.
        """
        self._delete_all(_FORGET_OCCASIONS, days)
        self._delete_all(_FORGET_SNOOZES, days)
        return self._delete_all(_FORGET_ALERTS, days)

    def _delete_all(self, statement: sa.TextClause, days: int) -> int:
        gone, last = 0, _FORGET_BATCH
        while last == _FORGET_BATCH:
            with self._database.open_transaction() as connection:
                last = connection.execute(statement, {"days": days, "number": _FORGET_BATCH}).rowcount
            gone += last
        return gone

    # Snoozing
    # ------------------------------------------------------------------------------------------------------------------

    def snooze_incident(self, incident_id: str, until: datetime, actor: str, reason: str = "") -> None:
        """Alert nobody of this incident until then, with a line in its history. A past time ends it. Raises NotFound."""
        values = {"incident_id": incident_id, "until": until, "actor": actor, "reason": clean_for_postgres(reason)}
        with self._database.open_transaction() as connection:
            status = connection.execute(_LOCK_INCIDENT, {"incident_id": incident_id}).scalar_one_or_none()
            if status is None:
                raise NotFound(f"there is no incident {incident_id}")
            connection.execute(_SNOOZE, values)
            utc = until.astimezone(UTC)
            words = f"alerts snoozed until {utc:%Y-%m-%d %H:%M} UTC" if utc > datetime.now(UTC) else _AWAKE
            more = f": {reason.strip()}" if reason.strip() else ""
            _write_note(connection, incident_id, status, actor, f"{words}{more}")

    def wake_incident(self, incident_id: str, actor: str) -> bool:
        """End the snoozing now, with a line in the incident's history; False if it was not snoozed."""
        with self._database.open_transaction() as connection:
            status = connection.execute(_LOCK_INCIDENT, {"incident_id": incident_id}).scalar_one_or_none()
            if status is None or connection.execute(_WAKE, {"incident_id": incident_id}).rowcount == 0:
                return False
            _write_note(connection, incident_id, status, actor, _AWAKE)
            return True

    def find_snooze(self, incident_id: str) -> Snooze | None:
        """Until when nobody is alerted of the incident, and who said so; None if it is not snoozed."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_SNOOZES, {"incident_id": incident_id}).one_or_none()
        return Snooze(*row) if row else None

    def list_snoozes(self) -> list[Snooze]:
        """The incidents that are snoozed, those first whose time is over first."""
        with self._database.open_transaction() as connection:
            return [Snooze(*row) for row in connection.execute(_SNOOZES, {"incident_id": None})]


def _write_note(connection: sa.Connection, incident_id: str, status: Status, actor: str, words: str) -> None:
    write_incident_history(connection, [(incident_id, HistoryChange(actor, status, status, words))])


def _build_occasion(row: "sa.Row[Any]") -> AlertOccasion:
    point = row.failure_point
    place = Place(row.project, point["route"], find_request(point["feedback"]), point["target"], row.label)
    return AlertOccasion(
        row.incident_id, row.project, row.kind, row.occasion, row.status, row.withdrawn, place, row.assignee
    )


def _build_row(row: "sa.Row[Any]") -> AlertRow:
    incident = None
    if row.incident_id is not None:
        incident = AlertedIncident(
            row.incident_id,
            row.title,
            row.status,
            row.severity,
            row.affected_sessions,
            row.affected_users,
            row.open_sessions,
            row.fixed,
        )
    return AlertRow(
        alert_id=row.alert_id,
        project=row.project,
        kind=row.kind,
        occasion=row.occasion,
        channel=row.channel,
        facts=row.facts,
        incident=incident,
        quiet=row.quiet,
        doubtful=row.doubtful,
        attempts=row.attempts,
        token=row.lease_token or row.alert_id,
        message_id=row.message_id,
    )
