"""What the incident store still needs of the events."""

from sqlalchemy import text

from stores.incidents.incident_store import IncidentStore

_OLDEST = text("SELECT coalesce(min(received_ms) FILTER (WHERE received_ms > 0), 0) FROM pending_sessions")


def find_oldest_pending_ms(store: IncidentStore) -> int:
    """Earliest receipt (epoch ms) among the new events of the sessions that wait for analysis; 0: none waits."""
    with store._database.open_transaction() as connection:
        return int(connection.execute(_OLDEST).scalar_one())
