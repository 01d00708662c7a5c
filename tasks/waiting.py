"""What no export files now: put off, refused, held back; until when, and what hastens it."""

from datetime import UTC, datetime
from typing import Final

from prefect import task

from core.last_errors import ago
from stores.incidents.incident_store import Waiting
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.report import escape
from tasks.retrying import POLICY

_LONGEST: Final = 300  # characters of a tracker's words


@task(name="what waits", **POLICY)
def what_waits() -> list[str]:
    """One line for each tracker and reason; none when nothing waits longer than the next run."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return []
    lines = [line_of(one, datetime.now(UTC)) for one in store.waiting_tickets()]
    if held := int(store.counts()["held"]):
        lines.append(
            f"{_number(held, 'incident')} held back in a flood, until a person looks or independent sources show them; "
            "`furrow incidents release --reason …` lets them through"
        )
    return lines


@task(name="hasten tickets", **POLICY)
def hasten_tickets() -> int:
    """Let this run try again what was put off; how many tickets."""
    store = connections.incident_store()
    return 0 if isinstance(store, LogIncidentStore) else store.hasten_tickets()


def line_of(one: Waiting, now: datetime) -> str:
    """One line of Markdown."""
    tickets = f"{escape(one.tracker)}: {_number(one.number, 'ticket')}"
    reason = f" ({escape(one.reason[:_LONGEST])})" if one.reason else ""
    if one.state == "export_failed":
        return (
            f"{tickets} refused for good{reason}; when the cause is mended, `furrow export --retry-failed` files them"
        )
    until = ""
    if one.until is not None:
        at = one.until.astimezone(UTC)
        first = "" if one.number == 1 else " the first of them"
        until = f"{first} until {at:%Y-%m-%d %H:%M:%S} UTC (in {ago((at - now).total_seconds())})"
    if one.state == "retry":
        return f"{tickets} put off{until}{reason}; `furrow export --now` tries at once"
    return f"{tickets} being filed by another run, or left by one that was stopped{until}"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
