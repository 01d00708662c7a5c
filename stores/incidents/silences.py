"""Near misses: visits with a failure that was judged, and that a rule kept silent. An analysis replaces its session's rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from incidents.model import AnalysedSession, SessionKey
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.session_queue import build_key_columns

KEPT_DAYS = 14
MOST_SHOWN = 200
_TEXT = 1_000  # characters of a text that are kept
_DROP = text("""
    DELETE FROM silences s
    USING unnest(CAST(:project AS text[]), CAST(:session_id AS text[])) AS k(project, session_id)
    WHERE (s.project, s.session_id) = (k.project, k.session_id)
""")
_ADD = text("""
    INSERT INTO silences (project, visit_id, session_id, visit_start, rule, text, failure_point, score)
    SELECT * FROM unnest(
        CAST(:project AS text[]), CAST(:visit_id AS text[]), CAST(:session_id AS text[]),
        CAST(:visit_start AS timestamptz[]), CAST(:rule AS text[]), CAST(:text AS text[]),
        CAST(:failure_point AS text[]), CAST(:score AS integer[]))
    ON CONFLICT (project, visit_id) DO UPDATE SET session_id = excluded.session_id, visit_start = excluded.visit_start,
        rule = excluded.rule, text = excluded.text, failure_point = excluded.failure_point, score = excluded.score,
        analysed_at = now()
""")
_ERASE = text("DELETE FROM silences WHERE project = :project AND session_id = ANY(CAST(:sessions AS text[]))")
_FORGET = text("DELETE FROM silences WHERE analysed_at < now() - make_interval(days => :days)")
_COLUMNS = "project, session_id, visit_id, visit_start, rule, text, failure_point, score, analysed_at"
_LIST = text(f"""
    SELECT {_COLUMNS} FROM silences
    WHERE (CAST(:project AS text) IS NULL OR project = :project) AND (CAST(:rule AS text) IS NULL OR rule = :rule)
    ORDER BY analysed_at DESC, project, visit_id LIMIT {MOST_SHOWN}
""")
# Kinds are few: each is found by the one before it in an index, and counted there. To group all rows takes three times the CPU.
_IN_PROJECT = "(CAST(:project AS text) IS NULL OR s.project = :project)"
_COUNT = text(f"""
    WITH RECURSIVE kinds AS (
        (SELECT s.project, s.rule FROM silences s WHERE {_IN_PROJECT} ORDER BY s.project, s.rule LIMIT 1)
        UNION ALL
        SELECT following.project, following.rule FROM kinds k CROSS JOIN LATERAL (
            SELECT s.project, s.rule FROM silences s
            WHERE {_IN_PROJECT} AND (s.project, s.rule) > (k.project, k.rule) ORDER BY s.project, s.rule LIMIT 1
        ) following
    )
    SELECT k.rule, sum(counted.number)::bigint AS number FROM kinds k CROSS JOIN LATERAL (
        SELECT count(*) AS number FROM silences s WHERE (s.project, s.rule) = (k.project, k.rule)
    ) counted
    GROUP BY k.rule ORDER BY number DESC, k.rule
""")
_OF_SESSION = text(f"""
    SELECT {_COLUMNS} FROM silences WHERE project = :project AND session_id = :session_id ORDER BY visit_start, visit_id
    LIMIT {MOST_SHOWN}
""")


class Silence(NamedTuple):
    """A near miss. ``failure_point`` and ``score`` are those of the nearest candidate; ``score`` is None when none was
    scored."""

    project: str
    session_id: str
    visit_id: str
    visit_start: datetime
    rule: str
    text: str
    failure_point: str
    score: int | None
    analysed_at: datetime

    def to_json(self) -> dict[str, object]:
        """As the pages' JSON shows it."""
        return {
            "projectId": self.project,
            "sessionId": self.session_id,
            "visitId": self.visit_id,
            "visitStart": self.visit_start.isoformat(),
            "rule": self.rule,
            "text": self.text,
            "failurePoint": self.failure_point,
            "score": self.score,
            "analysedAt": self.analysed_at.isoformat(),
        }


def replace_silences(
    connection: sa.Connection, keys: Sequence[SessionKey], analysed: Sequence[AnalysedSession]
) -> None:
    """Replace the near misses of the sessions ``keys`` by those of ``analysed``."""
    if not keys:
        return
    connection.execute(_DROP, build_key_columns(list(keys)))
    wanted = set(keys)
    found = {
        (why["projectId"], why["visitId"]): why
        for item in analysed
        if (item.pending.project, item.pending.session_id) in wanted
        for why in item.silences
        if why["candidates"]  # else nothing was judged: a crawler, or an answer that no action caused
    }
    if not found:
        return
    rows = [found[key] for key in sorted(found)]
    nearest = [next(iter(why["candidates"]), None) for why in rows]
    connection.execute(
        _ADD,
        {
            "project": [why["projectId"] for why in rows],
            "visit_id": [why["visitId"] for why in rows],
            "session_id": [why["sessionId"] for why in rows],
            "visit_start": [why["visitStart"] for why in rows],
            "rule": [why["rule"] for why in rows],
            "text": [clean_for_postgres(why["text"][:_TEXT]) for why in rows],
            "failure_point": [clean_for_postgres(best["failurePoint"][:_TEXT] if best else "") for best in nearest],
            "score": [best["score"] if best else None for best in nearest],
        },
    )


def erase_silences(connection: sa.Connection, project: str, sessions: Sequence[str]) -> int:
    """Delete the near misses of these sessions. Returns how many."""
    return connection.execute(_ERASE, {"project": project, "sessions": list(sessions)}).rowcount


def forget_silences(connection: sa.Connection, days: int) -> int:
    """Delete the near misses that were analysed more than ``days`` days ago. Returns how many."""
    return connection.execute(_FORGET, {"days": days}).rowcount


def read_session_silences(connection: sa.Connection, project: str, session_id: str) -> tuple[Silence, ...]:
    """The near misses of one client session."""
    rows = connection.execute(_OF_SESSION, {"project": project, "session_id": session_id})
    return tuple(Silence(*row) for row in rows)


class SilenceReader:
    """Reads near misses. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_silences(self, project: str | None, rule: str | None) -> list[Silence]:
        """The newest near misses of a project (None: of all) and of a rule (None: of all); at most 200."""
        with self._database.open_transaction() as connection:
            return [Silence(*row) for row in connection.execute(_LIST, {"project": project, "rule": rule})]

    def count_silences(self, project: str | None) -> dict[str, int]:
        """Near misses by rule, the most frequent first."""
        with self._database.open_transaction() as connection:
            return {row.rule: row.number for row in connection.execute(_COUNT, {"project": project})}
