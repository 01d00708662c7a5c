"""Checks of ``furrow doctor`` on processing: lag, pending work, failed items, and the last error of each part."""

import contextlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
from pydantic import SecretStr
from typing_extensions import TypedDict

from collector.lag import Lag, measure_lag
from collector.spool.dead_letters import DeadLetters, NotKeptCounts
from collector.spool.segments import count_pending
from core.errors import FurrowError
from core.last_errors import LastError, format_duration, read_last_errors, to_single_line
from core.plurals import format_count
from core.settings import Settings
from furrow.clients.prefect_api import PrefectApi
from lander.coverage import Coverage
from stores import opening

_TAIL_BYTES = 256 << 10
_LETTER_BYTES = 8 << 20  # of the newest dead letters that are read; takes about a second
_FIELDS = 6
_LONGEST_FIELD = 40
# Two formats of the time at the start of a line: Python's logging ("2026-01-05 09:00:00,123") and Prefect's ("09:00:00.123 |").
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d")
_WARNED_SINCE = timedelta(days=1)

_LOGS = {
    "collector": ("logs/collector.log", re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")),
    "prefect": ("logs/prefect.log", re.compile(r"\b(ERROR|CRITICAL)\b")),
    "incident store": ("postgres/server.log", re.compile(r"\b(ERROR|FATAL|PANIC)\b")),
}
"""Log files, relative to the data directory, of parts that store no last error, and the levels that mark an error."""


class _DeadLetterLine(msgspec.Struct):
    field: str = ""


class StreamSummary(NamedTuple):
    """Visits without detections because they were made by bots, and the coverage of the events."""

    bots: int
    coverage: Coverage


class PublishedFigures(TypedDict):
    """The figures of pending work in ``furrow doctor --json``; times in seconds."""

    lag_seconds: float
    unread_seconds: float | None
    detect_seconds_ago: float | None
    sessions_due: int | None
    sessions_open: int | None
    spool_segments: int
    spool_events: int
    dead_letters: int
    dead_letters_not_kept: int
    dead_letters_by_field: dict[str, int]
    quarantined: int
    dead_sessions: int | None
    tickets: dict[str, int] | None
    unknown_ticket_states: int | None
    held: int | None


@dataclass(frozen=True)
class WorkFigures:
    """Counts of pending and failed work; None where a count is unknown.

    ``tickets``: by state (docs/contracts/incidents-and-tickets.md). ``held``: incidents held back from export in a flood.
    ``unknown_ticket_states``: tickets in a state of their tracker that nobody named.
    """

    lag: Lag
    spool_segments: int
    spool_events: int
    dead_letters: int
    quarantined: int
    dead_letters_not_kept: int
    dead_fields: Mapping[str, int] = field(default_factory=dict)
    dead_sessions: int | None = None
    tickets: Mapping[str, int] | None = None
    unknown_ticket_states: int | None = None
    held: int | None = None

    def format_summary(self) -> str:
        """One line with lag, sessions, spool and tickets."""
        behind = f"lag {format_duration(self.lag.longest_wait_seconds)}" + (
            "" if self.lag.analysis_s is not None else " at least"
        )
        behind += f", `detect` completed last: {self.lag.describe_last_detect()}"
        due = "? sessions due" if self.lag.due is None else f"{format_count(self.lag.due, 'session')} due"
        line = f"{due}, {_format_known_number(self.lag.open)} open"
        segments = format_count(self.spool_segments, "segment")
        spool = f"spool: {segments} with {format_count(self.spool_events, 'event')}"
        ticket_counts = (
            self.tickets if self.tickets is None else ", ".join(f"{n:,} {state}" for state, n in self.tickets.items())
        )
        return f"{behind}; {line}; {spool}; tickets: {'?' if ticket_counts is None else ticket_counts or 'none'}"

    def format_landing(self) -> str:
        """One line with the state of the lander."""
        landed = (
            "no events stored yet"
            if self.lag.landed_s is None
            else f"newest events stored {format_duration(self.lag.landed_s)} ago"
        )
        return f"{landed}, {format_count(self.spool_segments, 'pending segment')}" + (
            f", the oldest waiting for {format_duration(self.lag.landing_s)}" if self.spool_segments else ""
        )

    def format_set_aside(self) -> str:
        """One line with the items that need a decision by an operator; '' if there are none."""
        counts = (
            (self.dead_letters, "dead letter", ""),
            (self.dead_letters_not_kept, "rejected event", " beyond the storage budget (only counted)"),
            (self.quarantined, "quarantined segment", ""),
            (self.dead_sessions or 0, "session", " on which the engine failed"),
            ((self.tickets or {}).get("export_failed", 0), "ticket", " permanently refused"),
            (self.unknown_ticket_states or 0, "ticket", " in a state that nobody named (project setting ticketStates)"),
            (self.held or 0, "incident", " held back in a flood"),
        )
        phrases = [f"{format_count(count, noun)}{more}" for count, noun, more in counts if count]
        if self.dead_letters and self.dead_fields:
            fields = sorted(self.dead_fields.items(), key=lambda pair: (-pair[1], pair[0]))[:_FIELDS]
            by_field = ", ".join(f"{name or 'the whole event'} {count:,}" for name, count in fields)
            phrases[0] += f" (by field: {by_field})"
        return ", ".join(phrases)

    @property
    def is_late(self) -> bool:
        """Whether the lag exceeds its warning limit."""
        return self.lag.is_late

    def to_json(self) -> PublishedFigures:
        """The figures for scripts."""
        return {
            "lag_seconds": round(self.lag.longest_wait_seconds, 3),
            "unread_seconds": _round_to_milliseconds(self.lag.unread_s),
            "detect_seconds_ago": _round_to_milliseconds(self.lag.detect_s),
            "sessions_due": self.lag.due,
            "sessions_open": self.lag.open,
            "spool_segments": self.spool_segments,
            "spool_events": self.spool_events,
            "dead_letters": self.dead_letters,
            "dead_letters_not_kept": self.dead_letters_not_kept,
            "dead_letters_by_field": dict(self.dead_fields),
            "quarantined": self.quarantined,
            "dead_sessions": self.dead_sessions,
            "tickets": None if self.tickets is None else dict(self.tickets),
            "unknown_ticket_states": self.unknown_ticket_states,
            "held": self.held,
        }


def collect_work_figures(settings: Settings) -> WorkFigures:
    """Count pending and failed work. Changes nothing. Counts of a store that does not answer are None."""
    spool = count_pending(settings.spool_dir)
    quarantined = len(list((settings.spool_dir / "quarantine").glob("*.jsonl")))
    aside = (
        DeadLetters(settings.spool_dir).count_lines(),
        quarantined,
        NotKeptCounts(settings.spool_dir).count_total(),
        count_letters_by_field(settings.spool_dir / "dead-letters"),
    )
    url = opening.find_running_incident_url(settings)
    if url is not None:
        try:
            store = opening.open_incident_store_at(url)
            try:
                counts = store.incidents.read_store_counts()
                lag = measure_lag(settings, store.queue)
            finally:
                store.close()
            figures = (
                counts["deadSessions"], counts["tickets"], counts["unknownTicketStates"], counts["held"],
            )  # fmt: skip
            return WorkFigures(lag, spool.segments, spool.events, *aside, *figures)
        except FurrowError:
            pass  # reported by the finding about the incident store
    return WorkFigures(measure_lag(settings, None), spool.segments, spool.events, *aside)


def count_letters_by_field(folder: Path) -> Counter[str]:
    """Count the newest dead letters, up to 8 MiB of them, by invalid field ('': the whole event)."""
    found: Counter[str] = Counter()
    left = _LETTER_BYTES
    for file in sorted(folder.glob("*.jsonl"), reverse=True):
        try:
            with file.open("rb") as lines:
                start = max(0, lines.seek(0, os.SEEK_END) - left)
                left -= lines.tell() - start
                lines.seek(start)
                whole = lines.read().split(b"\n")[bool(start) :]
        except OSError:
            continue  # the file was deleted in the meantime
        for line in whole:
            with contextlib.suppress(msgspec.MsgspecError):
                found[to_single_line(msgspec.json.decode(line, type=_DeadLetterLine).field)[:_LONGEST_FIELD]] += 1
        if left <= 0:
            break
    return found


def read_stream_summary(settings: Settings) -> StreamSummary:
    """What the lander has reported about the events; empty if it has reported nothing."""
    try:
        lander_status = json.loads(settings.lander_status.read_text())
        silent = lander_status.get("silentByRule") or {}
        return StreamSummary(int(silent.get("bot", 0)), Coverage.from_json(lander_status.get("coverage")))
    except (OSError, ValueError, TypeError, AttributeError):
        return StreamSummary(0, Coverage())


def collect_last_errors(settings: Settings) -> dict[str, str]:
    """The last error of each part as one line with its time; parts without an error are left out."""
    now = time.time()
    last_errors_by_part = {
        part: error.format_message(now) for part, error in read_last_errors(settings.data_dir).items()
    }
    for part, (log, words) in _LOGS.items():
        if part not in last_errors_by_part and (line := _find_last_error_line(settings.data_dir / log, words)):
            last_errors_by_part[part] = f"last error in {log}: {line}"
    return last_errors_by_part


def find_newer_error(settings: Settings, part: str, than_ms: int) -> LastError | None:
    """The last error of ``part`` if it is newer than ``than_ms`` (epoch ms)."""
    found = read_last_errors(settings.data_dir).get(part)
    return found if found is not None and found.at * 1000 > than_ms else None


def list_recent_warnings(prefect_url: str, auth: SecretStr | None) -> list[str]:
    """The automations that have warned during the last day, latest first: one line each, with the time since the warning.

    Raises FurrowError when Prefect does not answer.
    """
    since = (datetime.now(UTC) - _WARNED_SINCE).isoformat()
    wanted = {
        "filter": {
            "event": {"name": ["prefect.automation.triggered"]},
            "occurred": {"since": since, "until": datetime.now(UTC).isoformat()},
        }
    }
    with PrefectApi(prefect_url, auth) as prefect:
        found = prefect.list_events(wanted)
    latest: dict[str, str] = {}
    for event in found:
        name = to_single_line(str(event["resource"].get("prefect.resource.name", "")))
        if name.startswith("Furrow: "):
            seconds = (datetime.now(UTC) - datetime.fromisoformat(event["occurred"])).total_seconds()
            latest.setdefault(name, f"{name} (warned {format_duration(seconds)} ago)")
    return list(latest.values())


def _find_last_error_line(log: Path, words: re.Pattern[str]) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    found = (line for line in reversed(text.splitlines()) if _TIME.match(line) and words.search(line))
    return to_single_line(next(found, ""))


def _format_known_number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _round_to_milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
