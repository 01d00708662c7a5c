"""Events for the benchmarks, generated inside ClickHouse from ``numbers()``: millions in seconds.

The shape: client sessions of 40 events; a page opened, 26 events of ordinary use (scrolls, requests, clicks, typing,
four pages), six clicks each with its request, the end. In a frustrated session those six clicks hit the same button
400 ms apart and each request is answered 500; in a calm one they hit different controls 2.5 s apart and succeed.
Receipt follows the event by up to 5 s (clients send in batches), and sessions begin evenly over the days.
"""

from dataclasses import dataclass
from typing import Final

from ufse import EVENT_SCHEMA, UNKNOWN_POSITION

PER_SESSION: Final = 40
START_MS: Final = 1_767_225_600_000
"""First event (epoch ms): 2026-01-01, in the past on any machine, so that every session is complete."""
DAY_MS: Final = 86_400_000
INSERT_SESSIONS: Final = 25_000
"""Sessions of one insert: one million events."""


@dataclass(frozen=True)
class Stored:
    """What to generate: number of client sessions, the share of them that is frustrated (0 to 1), days of receipt."""

    sessions: int
    share: float
    days: float

    @property
    def events(self) -> int:
        """Events in all."""
        return self.sessions * PER_SESSION

    @property
    def frustrated(self) -> int:
        """Exact number of frustrated sessions: they are spread evenly, not drawn at random."""
        return int(self.sessions * self.share + 1e-9)

    def inserts(self) -> list[str]:
        """The statements that insert them, in order of receipt."""
        return [
            self._insert(first, min(first + INSERT_SESSIONS, self.sessions))
            for first in range(0, self.sessions, INSERT_SESSIONS)
        ]

    def session_rows(self, day: int) -> str:
        """The statement that inserts the rows of ``sessions`` for the sessions received on this day, counted from 0."""
        return f"""
            INSERT INTO sessions
            SELECT project, session_id, session_hash, 1, count(), 0, min(received_ms), min(ts), max(ts), 0, [], 1
            FROM events WHERE intDiv(received_ms - {START_MS}, {DAY_MS}) = {day}
            GROUP BY project, session_id, session_hash
        """

    def step_rows(self, day: int) -> str:
        """As ``session_rows``, for the table ``session_steps``: twelve steps for each session, none of an incident."""
        return f"""
            INSERT INTO session_steps
            SELECT project, session_hash, intDiv(min(received_ms), 900000) * 900000, min(ts), any(app_version), 'production',
                   'Chrome 126 on Linux', arrayMap(n -> toInt64(sipHash64(session_hash % 200, n) % 4000), range(12)), [], 1
            FROM events WHERE intDiv(received_ms - {START_MS}, {DAY_MS}) = {day}
            GROUP BY project, session_id, session_hash
        """

    def select(self, first: int, end: int) -> str:
        """A query for the events of the sessions with these numbers, as they come in a segment.

        Numbers above ``sessions`` are allowed: these follow the stored ones in time.
        """
        values = {**_unknown(), **_COLUMNS}
        spacing = self.days * DAY_MS / max(self.sessions, 1)
        return f"""
            WITH intDiv(number, {PER_SESSION}) + {first} AS s, number % {PER_SESSION} AS i,
                 floor((s + 1) * {self.share} + 1e-9) > floor(s * {self.share} + 1e-9) AS bad,
                 sipHash64(s) AS h, sipHash64(s, i) AS hi,
                 i >= 27 AND i < 39 AS paying, intDiv(i - 27, 2) AS attempt, (i - 27) % 2 AS answer,
                 multiIf(i = 0, 'navigation', i = 39, 'session_end', paying AND answer, 'network', paying, 'click',
                     ['scroll', 'network', 'click', 'network', 'input', 'hover'][i % 6 + 1]) AS kind,
                 {START_MS} + toInt64(s * {spacing!r}) + multiIf(
                     paying, 60000 + attempt * if(bad, 400, 2500) + answer * 300,
                     i = 39, 90000, i * 2000 + hi % 700) AS at
            SELECT {", ".join(f"{value} AS {name}" for name, value in values.items())}
            FROM numbers({(end - first) * PER_SESSION})
        """

    def _insert(self, first: int, end: int) -> str:
        columns = ", ".join(EVENT_SCHEMA.names)
        return f"""
            INSERT INTO events ({columns}, landed_at)
            SELECT {columns}, fromUnixTimestamp64Milli(received_ms + 1000, 'UTC') FROM ({self.select(first, end)})
        """


def _unknown() -> dict[str, str]:
    texts = {field.name: "''" for field in EVENT_SCHEMA}
    numbers = {field.name: "-1" for field in EVENT_SCHEMA if str(field.type).startswith("int")}
    return {**texts, **numbers, "x": str(UNKNOWN_POSITION), "y": str(UNKNOWN_POSITION)}


_COLUMNS: Final = {
    "project": "concat('shop-', toString(s % 4))",
    "session_id": "lower(hex(sipHash128(s)))",
    "event_id": "reinterpret(sipHash128(s, i), 'UUID')",
    "event_type": "kind",
    "ts": "at",
    "seq": "i",
    "received_ms": "intDiv(at, 5000) * 5000 + 5000",
    "user_hash": "lower(hex(sipHash128(h % 100000)))",
    "route": "if(paying, '/checkout', concat('/catalogue/', toString((h + intDiv(i, 8)) % 200)))",
    "target_type": "multiIf(kind IN ('click', 'hover'), 'button', kind = 'input', 'field', '')",
    "target_id": "multiIf(kind = 'click' AND paying AND bad, 'pay', kind IN ('click', 'hover', 'input'),"
    " concat('control-', toString((h + i) % 300)), '')",
    "target_tag": "multiIf(kind IN ('click', 'hover'), 'button', kind = 'input', 'input', '')",
    "target_label": "multiIf(kind = 'click' AND paying AND bad, 'Pay now', kind = 'click',"
    " concat('Item ', toString((h + i) % 300)), '')",
    "x": f"multiIf(kind != 'click', {UNKNOWN_POSITION}, paying AND bad, toInt32(600 + hi % 20), toInt32(hi % 1200))",
    "y": f"multiIf(kind != 'click', {UNKNOWN_POSITION}, paying AND bad, toInt32(400 + hi % 10), toInt32(hi % 800))",
    "input_method": "if(kind = 'click', 'mouse', '')",
    "action": "if(kind = 'input', 'change', '')",
    "depth": "if(kind = 'scroll', toInt32(i * 3), -1)",
    "direction": "if(kind = 'scroll', 'down', '')",
    "nav_type": "if(kind = 'navigation', 'link', '')",
    "status": "multiIf(kind != 'network', -1, paying AND bad, 500, 200)",
    "method": "multiIf(kind != 'network', '', paying, 'POST', 'GET')",
    "url": "multiIf(kind != 'network', '', paying AND bad, '/api/orders', concat('/api/items/', toString(hi % 50000)))",
    "duration_ms": "if(kind = 'network', 250, -1)",
    "app_version": "concat('4.2.', toString(s % 5))",
    "environment": "'production'",
    "sdk_version": "'1.0.0'",
    "user_agent": "concat('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',"
    " toString(100 + h % 40), '.0.0.0 Safari/537.36')",
    "metadata": """if(i % 4 = 0, concat('{"cartItems":', toString(h % 9), ',"plan":"pro"}'), '{}')""",
}
