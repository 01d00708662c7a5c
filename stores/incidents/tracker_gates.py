"""When requests may be sent to a tracker: one pace and one pause for all exporters.

A tracker that answers "wait" means the installation, not one run. The pause is kept here, with a bucket of tokens that limits
the requests of all processes together. Needless requests leave a part of the bucket to the needed ones.
"""

from typing import Final, NamedTuple

from sqlalchemy import text

from stores.incidents.incident_database import Database, clean_for_postgres

BURST_S: Final = 10.0
"""The bucket holds the requests of so many seconds (own choice)."""
_SPARED: Final = 1 / 3
"""Part of the bucket that only needed requests use (own choice)."""
_LEAST_BURST: Final = 3.0
_REASON_LENGTH: Final = 500

_TOKENS = "least(:burst, g.tokens + extract(epoch FROM clock_timestamp() - g.refilled_at) * CAST(:per_second AS float))"
_TAKE = text(f"""
    INSERT INTO tracker_gates AS g (tracker, tokens, refilled_at)
    VALUES (:tracker, CAST(:burst AS float) - 1, clock_timestamp())
    ON CONFLICT (tracker) DO UPDATE SET tokens = {_TOKENS} - 1, refilled_at = clock_timestamp()
    WHERE coalesce(g.closed_until <= clock_timestamp(), true) AND {_TOKENS} >= CAST(:least AS float)
    RETURNING 1
""")
_WAIT = text(f"""
    SELECT greatest(
        extract(epoch FROM g.closed_until - clock_timestamp()),
        (CAST(:least AS float) - {_TOKENS}) / CAST(:per_second AS float), 0.01) AS seconds, g.reason
    FROM tracker_gates g WHERE tracker = :tracker
""")
_CLOSE = text("""
    INSERT INTO tracker_gates AS g (tracker, tokens, closed_until, reason)
    VALUES (:tracker, 1, clock_timestamp() + make_interval(secs => CAST(:seconds AS float)), :reason)
    ON CONFLICT (tracker) DO UPDATE SET reason = excluded.reason, closed_until = excluded.closed_until
    WHERE coalesce(g.closed_until < excluded.closed_until, true)
""")
_PAUSE = text("""
    SELECT extract(epoch FROM closed_until - clock_timestamp()) AS seconds, reason FROM tracker_gates
    WHERE tracker = :tracker AND closed_until > clock_timestamp()
""")


class Pause(NamedTuple):
    """How long no request may be sent (s), and why in the tracker's words."""

    seconds: float
    reason: str


class TrackerGates:
    """The pace of requests to trackers. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_turn(self, tracker: str, per_minute: int, needed: bool = True) -> Pause | None:
        """Take the place of one request; None: it may be sent now. Otherwise the time until it may be asked again.

        ``per_minute``: requests that all exporters together may send. ``needed``: not only for upkeep.
        """
        per_second = per_minute / 60
        burst = max(_LEAST_BURST, per_second * BURST_S)
        values = {
            "tracker": tracker,
            "burst": burst,
            "per_second": per_second,
            "least": 1.0 if needed else 1.0 + burst * _SPARED,
        }
        with self._database.open_transaction() as connection:
            if connection.execute(_TAKE, values).one_or_none() is not None:
                return None
            row = connection.execute(_WAIT, values).one()
            return Pause(float(row.seconds), row.reason)

    def find_pause(self, tracker: str) -> Pause | None:
        """The pause that the tracker asked for; None when there is none."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_PAUSE, {"tracker": tracker}).one_or_none()
            return None if row is None else Pause(float(row.seconds), row.reason)

    def close_gate(self, tracker: str, seconds: float, reason: str) -> None:
        """Send no request for ``seconds`` from now; a longer pause stays."""
        values = {"tracker": tracker, "seconds": seconds, "reason": clean_for_postgres(reason)[:_REASON_LENGTH]}
        with self._database.open_transaction() as connection:
            connection.execute(_CLOSE, values)
