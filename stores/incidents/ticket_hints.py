"""Tickets that webhooks of their trackers named. A hint moves nothing: the ticket's state is read soon, by the usual rules."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from stores.incidents.incident_database import Database
from stores.incidents.ticket_states import DUE_COLUMNS, READABLE, DueReading, build_due_reading

# What is hinted already is not written again: a flood of webhooks changes one row once.
_NOTE = text("""
    WITH named AS (
        SELECT incident_id, tracker, hinted_at FROM outbox
        WHERE tracker = :tracker AND ticket_key IS NOT NULL AND duplicate_of IS NULL
            AND (upper(ticket_key) = ANY(CAST(:keys AS text[])) OR client_id = ANY(CAST(:client_ids AS uuid[])))
    ), noted AS (
        UPDATE outbox o SET hinted_at = clock_timestamp() FROM named
        WHERE o.incident_id = named.incident_id AND o.tracker = named.tracker AND o.hinted_at IS NULL
    )
    SELECT count(*) FROM named
""")
_HINTED = f"""o.hinted_at <= clock_timestamp() - make_interval(secs => CAST(:settle_s AS float)) AND {READABLE}"""
_TRACKERS = text(f"""
    SELECT DISTINCT o.tracker FROM outbox o JOIN incidents i USING (incident_id) WHERE {_HINTED} ORDER BY 1
""")
_CLAIM = text(f"""
    WITH due AS (
        SELECT o.incident_id, o.tracker FROM outbox o JOIN incidents i USING (incident_id)
        WHERE o.tracker = :tracker AND {_HINTED}
        ORDER BY o.hinted_at, o.incident_id LIMIT :limit
        FOR UPDATE OF o SKIP LOCKED
    )
    UPDATE outbox o SET hinted_at = NULL, read_after = clock_timestamp() + make_interval(secs => CAST(:pause_s AS float))
    FROM due, incidents i
    WHERE o.incident_id = due.incident_id AND o.tracker = due.tracker AND i.incident_id = due.incident_id
    RETURNING {DUE_COLUMNS}
""")


class TicketHints:
    """Which tickets are read soon. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_tickets(self, tracker: str, keys: Sequence[str], client_ids: Sequence[UUID] = ()) -> int:
        """Have these tickets read soon, by their keys or by the ids that Furrow made. Returns how many are known; of others
        nothing is stored."""
        values = {"tracker": tracker, "keys": [key.upper() for key in keys], "client_ids": list(client_ids)}
        with self._database.open_transaction() as connection:
            return int(connection.execute(_NOTE, values).scalar_one())

    def list_hinted_trackers(self, settle_s: float) -> list[str]:
        """The trackers of which a webhook named a ticket at least ``settle_s`` ago that can be read now."""
        with self._database.open_transaction() as connection:
            return list(connection.execute(_TRACKERS, {"settle_s": settle_s}).scalars())

    def claim_hinted_readings(self, tracker: str, limit: int, pause_s: float, settle_s: float) -> list[DueReading]:
        """The tickets that were named at least ``settle_s`` ago, the earliest first. Their hints are taken away; without
        another one, no run gets them for ``pause_s``."""
        values = {"tracker": tracker, "limit": limit, "pause_s": pause_s, "settle_s": settle_s}
        with self._database.open_transaction() as connection:
            return [build_due_reading(row) for row in connection.execute(_CLAIM, values)]
