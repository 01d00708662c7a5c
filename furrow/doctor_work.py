"""What ``furrow doctor`` says about the work itself: lag, what is pending, what was set aside, and each part's last error."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from collector.dead_letters import DeadLetters, NotKept
from collector.spool import pending
from furrow.errors import FurrowError
from furrow.lag import Lag, measure
from furrow.last_errors import LastError, ago, one_line, read
from furrow.prefect_api import PrefectApi
from furrow.settings import EMBEDDED, LOG, Settings
from stores.incident_store import IncidentStore
from stores.postgres import EmbeddedPostgres

_TAIL_BYTES = 256 << 10
# Two forms of time at the beginning of a line: Python's logging ("2026-01-05 09:00:00,123") and Prefect's ("09:00:00.123 |").
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d")
_WARNED_SINCE = timedelta(days=1)

_LOGS = {
    "collector": ("logs/collector.log", re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")),
    "prefect": ("logs/prefect.log", re.compile(r"\b(ERROR|CRITICAL)\b")),
    "incident store": ("postgres/server.log", re.compile(r"\b(ERROR|FATAL|PANIC)\b")),
}
"""Where parts that write no file of their own say what went wrong, below the data directory, and by which words."""


@dataclass(frozen=True)
class Work:
    """The figures; None where they cannot be known now. ``tickets``: by state (incidents-and-tickets.md, Export);
    ``held``: incidents that a flood of new ones holds back from export."""

    lag: Lag
    spool_segments: int
    spool_events: int
    dead_letters: int
    quarantined: int
    dead_letters_not_kept: int
    dead_sessions: int | None = None
    tickets: Mapping[str, int] | None = None
    held: int | None = None

    def line(self) -> str:
        """For people."""
        behind = f"lag {ago(self.lag.seconds)}" + ("" if self.lag.analysis_s is not None else " at least")
        behind += f", `detect` completed last: {self.lag.detected()}"
        line = f"{_number(self.lag.due)} sessions due, {_number(self.lag.open)} open"
        spool = f"spool: {self.spool_segments:,} segments with {self.spool_events:,} events"
        told = (
            self.tickets if self.tickets is None else ", ".join(f"{n:,} {state}" for state, n in self.tickets.items())
        )
        return f"{behind}; {line}; {spool}; tickets: {'?' if told is None else told or 'none'}"

    def landing(self) -> str:
        """How far the lander is, for people."""
        landed = (
            "nothing landed yet" if self.lag.landed_s is None else f"newest events landed {ago(self.lag.landed_s)} ago"
        )
        return f"{landed}, {self.spool_segments:,} segments wait" + (
            f", the oldest for {ago(self.lag.landing_s)}" if self.spool_segments else ""
        )

    def set_aside(self) -> str:
        """What needs a person, for people; '' if nothing does."""
        counts = {
            "dead letters": self.dead_letters,
            "rejected events beyond their budget (counted only)": self.dead_letters_not_kept,
            "quarantined segments": self.quarantined,
            "sessions that the engine failed over": self.dead_sessions or 0,
            "tickets refused for good": (self.tickets or {}).get("export_failed", 0),
            "incidents held back in a flood": self.held or 0,
        }
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)

    @property
    def is_late(self) -> bool:
        """Whether people are warned of the lag."""
        return self.lag.is_late

    def to_json(self) -> dict[str, Any]:
        """For scripts; times in seconds."""
        return {
            "lag_seconds": round(self.lag.seconds, 3),
            "unread_seconds": _rounded(self.lag.unread_s),
            "detect_seconds_ago": _rounded(self.lag.detect_s),
            "sessions_due": self.lag.due,
            "sessions_open": self.lag.open,
            "spool_segments": self.spool_segments,
            "spool_events": self.spool_events,
            "dead_letters": self.dead_letters,
            "dead_letters_not_kept": self.dead_letters_not_kept,
            "quarantined": self.quarantined,
            "dead_sessions": self.dead_sessions,
            "tickets": None if self.tickets is None else dict(self.tickets),
            "held": self.held,
        }


def figures(settings: Settings) -> Work:
    """Count everything once; changes nothing, and leaves out what cannot be asked."""
    spool = pending(settings.spool_dir)
    quarantined = len(list((settings.spool_dir / "quarantine").glob("*.jsonl")))
    aside = DeadLetters(settings.spool_dir).count(), quarantined, NotKept(settings.spool_dir).total()
    url = incidents_url(settings)
    if url is not None:
        try:
            store = IncidentStore.connect(url)
            try:
                counts = store.counts()
                lag = measure(settings, store)
            finally:
                store.close()
            figures = (counts["deadSessions"], counts["tickets"], counts["held"])
            return Work(lag, spool.segments, spool.events, *aside, *figures)
        except FurrowError:
            pass  # the finding about the incident store says so
    return Work(measure(settings, None), spool.segments, spool.events, *aside)


def last_errors(settings: Settings) -> dict[str, str]:
    """What each part said last when it could not do its work, in one line with its time; parts without one are left out."""
    now = time.time()
    told = {part: one.told(now) for part, one in read(settings.data_dir).items()}
    for part, (log, words) in _LOGS.items():
        if part not in told and (line := _last_trouble(settings.data_dir / log, words)):
            told[part] = f"last error in {log}: {line}"
    return told


def newer_error(settings: Settings, part: str, than_ms: int) -> LastError | None:
    """The last error of ``part`` if it is newer than ``than_ms`` (epoch ms)."""
    found = read(settings.data_dir).get(part)
    return found if found is not None and found.at * 1000 > than_ms else None


def warnings(prefect_url: str, auth: SecretStr | None) -> list[str]:
    """The automations that have warned during the last day: name and how long ago, latest first; one line for each.

    Raises httpx.HTTPError or FurrowError when Prefect does not answer.
    """
    since = (datetime.now(UTC) - _WARNED_SINCE).isoformat()
    wanted = {
        "filter": {
            "event": {"name": ["prefect.automation.triggered"]},
            "occurred": {"since": since, "until": datetime.now(UTC).isoformat()},
        }
    }
    with PrefectApi(prefect_url, auth) as prefect:
        found = prefect.events(wanted)
    latest: dict[str, str] = {}
    for event in found:
        name = one_line(str(event["resource"].get("prefect.resource.name", "")))
        if name.startswith("Furrow: "):
            seconds = (datetime.now(UTC) - datetime.fromisoformat(event["occurred"])).total_seconds()
            latest.setdefault(name, f"{name} (warned {ago(seconds)} ago)")
    return list(latest.values())


def incidents_url(settings: Settings) -> str | None:
    """The incident store's URL; None where it cannot be asked: it is log-only, or embedded and does not run."""
    url = settings.incident_store_url.get_secret_value()
    if url == LOG:
        return None
    if url != EMBEDDED:
        return url
    server = EmbeddedPostgres(settings.postgres_dir)
    return server.url if settings.postgres_dir.exists() and server.running() else None


def _last_trouble(log: Path, words: re.Pattern[str]) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    found = (line for line in reversed(text.splitlines()) if _TIME.match(line) and words.search(line))
    return one_line(next(found, ""))


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
