"""What trackers said of the whole file of ticket fields, so that a run asks once for each content of the file."""

from typing import Final

from sqlalchemy import text

from stores.incidents.incident_database import Database, clean_for_postgres

_LONGEST_PROBLEM: Final = 1_000
_AGAIN_S: Final = 3_600
"""A file that was wrong is checked again after so many seconds: the tracker's fields may have changed."""
_FIND = text(f"""
    SELECT problem FROM ticket_file_checks
    WHERE tracker = :tracker AND access = :access
      AND (problem = '' OR checked_at > now() - make_interval(secs => {_AGAIN_S}))
""")
_RECORD = text("""
    INSERT INTO ticket_file_checks (tracker, access, problem) VALUES (:tracker, :access, :problem)
    ON CONFLICT (tracker) DO UPDATE SET access = excluded.access, problem = excluded.problem, checked_at = now()
""")


class TicketFileChecks:
    """The last check for each tracker. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_problem(self, tracker: str, access: str) -> str | None:
        """What the tracker said of the file with this content, '' for nothing; None if it is to be asked (again)."""
        with self._database.open_transaction() as connection:
            return connection.execute(_FIND, {"tracker": tracker, "access": access}).scalar_one_or_none()

    def record_problem(self, tracker: str, access: str, problem: str) -> None:
        """Record what the tracker said; '': nothing is wrong."""
        values = {"tracker": tracker, "access": access, "problem": clean_for_postgres(problem[:_LONGEST_PROBLEM])}
        with self._database.open_transaction() as connection:
            connection.execute(_RECORD, values)
