"""The test of the channels of alerts that a person asks for on the page of settings; the next run of `alerts` sends it.

The page's process has no channel's URL, and the run has no page.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text

from stores.incidents.audit_log import write_audit_entry
from stores.incidents.incident_database import Database, clean_for_postgres

_LONGEST_ANSWER: Final = 1_000
_ASK = text("""
    INSERT INTO alert_tests (asked_by) VALUES (:actor)
    ON CONFLICT (is_only) DO UPDATE SET asked_at = clock_timestamp(), asked_by = excluded.asked_by, answered_at = NULL,
        answers = '[]'
""")
_READ = text("SELECT asked_at, asked_by, answered_at, answers FROM alert_tests")
_ANSWER = text("""
    UPDATE alert_tests SET answered_at = clock_timestamp(), answers = CAST(:answers AS jsonb) WHERE asked_at = :asked_at
""")


class ChannelAnswer(NamedTuple):
    """What became of the test of one channel. ``sent``: it took the message; ``answer``: '' or its words."""

    channel: str
    sent: bool
    answer: str


class ChannelTest(NamedTuple):
    """The last test. ``answers``: none until ``answered_at``, and none afterwards where there is no channel."""

    asked_at: datetime
    asked_by: str
    answered_at: datetime | None
    answers: tuple[ChannelAnswer, ...]


class ChannelTests:
    """The test of all channels. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask_for_test(self, actor: str) -> None:
        """Ask for a test of each channel; earlier answers are forgotten."""
        with self._database.open_transaction() as connection:
            connection.execute(_ASK, {"actor": actor})
            write_audit_entry(connection, actor, "alerts.tested", "*", "", "a test to each channel")

    def read_test(self) -> ChannelTest | None:
        """The last test; None if nobody asked for one."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_READ).one_or_none()
        if row is None:
            return None
        answers = tuple(ChannelAnswer(each["channel"], each["sent"], each["answer"]) for each in row.answers)
        return ChannelTest(row.asked_at, row.asked_by, row.answered_at, answers)

    def record_answers(self, test: ChannelTest, answers: Sequence[ChannelAnswer]) -> None:
        """Record what became of ``test``. If somebody asked again meanwhile, the next run answers."""
        kept = [answer._replace(answer=clean_for_postgres(answer.answer[:_LONGEST_ANSWER])) for answer in answers]
        values = {"asked_at": test.asked_at, "answers": json.dumps([answer._asdict() for answer in kept])}
        with self._database.open_transaction() as connection:
            connection.execute(_ANSWER, values)
