"""Questions of people whether a tracker takes tickets: asked on the page of settings, answered by the next run of `export`.

The page's process has no tracker's token, and the run has no page.
"""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text

from stores.incidents.audit_log import write_audit_entry
from stores.incidents.incident_database import Database, clean_for_postgres

_LONGEST_ANSWER: Final = 1_000
_ASK = text("""
    INSERT INTO tracker_checks (tracker, asked_by) VALUES (:tracker, :actor)
    ON CONFLICT (tracker) DO UPDATE SET asked_at = now(), asked_by = excluded.asked_by, answered_at = NULL, accepts = NULL,
        answer = ''
""")
_LIST = text("SELECT tracker, asked_at, asked_by, answered_at, accepts, answer FROM tracker_checks ORDER BY tracker")
_OPEN = text("SELECT tracker FROM tracker_checks WHERE answered_at IS NULL ORDER BY tracker")
_ANSWER = text("""
    UPDATE tracker_checks SET answered_at = now(), accepts = :accepts, answer = :answer WHERE tracker = :tracker
""")


class TrackerCheck(NamedTuple):
    """A question and its answer. ``accepts``: None until ``answered_at``, and for a tracker that is not configured."""

    tracker: str
    asked_at: datetime
    asked_by: str
    answered_at: datetime | None
    accepts: bool | None
    answer: str


class TrackerChecks:
    """The questions, one for each tracker. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask_about_tracker(self, tracker: str, actor: str) -> None:
        """Ask whether a tracker takes tickets; an earlier answer is forgotten."""
        with self._database.open_transaction() as connection:
            connection.execute(_ASK, {"tracker": tracker, "actor": actor})
            write_audit_entry(connection, actor, "tracker.asked", "*", tracker, "does it take tickets?")

    def list_checks(self) -> list[TrackerCheck]:
        """The last question about each tracker."""
        with self._database.open_transaction() as connection:
            return [TrackerCheck(*row) for row in connection.execute(_LIST)]

    def list_unanswered(self) -> list[str]:
        """The trackers whose question is not answered."""
        with self._database.open_transaction() as connection:
            return [str(name) for name in connection.execute(_OPEN).scalars()]

    def record_answer(self, tracker: str, accepts: bool | None, answer: str) -> None:
        """Record whether a tracker takes tickets, with its words."""
        values = {"tracker": tracker, "accepts": accepts, "answer": clean_for_postgres(answer[:_LONGEST_ANSWER])}
        with self._database.open_transaction() as connection:
            connection.execute(_ANSWER, values)
