"""Tickets that no export files now: postponed, refused or held back; until when, and how to file them earlier."""

from datetime import UTC, datetime
from typing import Final

from prefect import task

from core.last_errors import format_duration
from core.plurals import format_count
from stores.incidents.incident_store import WaitingTickets
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.report import escape_markdown
from tasks.retrying import POLICY

_LONGEST: Final = 300  # characters of a tracker's message


@task(name="what waits", **POLICY)
def describe_waiting_tickets() -> list[str]:
    """One line for each tracker and reason; empty when every ticket is filed by the next run."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return []
    lines = [waiting_line(waiting, datetime.now(UTC)) for waiting in store.outbox.list_waiting_tickets()]
    if held := int(store.incidents.read_store_counts()["held"]):
        lines.append(
            f"{format_count(held, 'incident')} held back in a flood until a person releases them "
            "(`furrow incidents release --reason …`) or independent sources confirm them"
        )
    return lines


@task(name="hasten tickets", **POLICY)
def hasten_tickets() -> int:
    """Make postponed tickets due now. Returns their number."""
    store = connections.incident_store()
    return 0 if isinstance(store, LogIncidentStore) else store.outbox.retry_tickets_now()


def waiting_line(waiting: WaitingTickets, now: datetime) -> str:
    """One line of Markdown."""
    tickets = f"{escape_markdown(waiting.tracker)}: {format_count(waiting.number, 'ticket')}"
    reason = f" ({escape_markdown(waiting.reason[:_LONGEST])})" if waiting.reason else ""
    if waiting.state == "export_failed" and waiting.until is None:
        return f"{tickets} refused{reason}; fix the cause, then file them with `furrow export --retry-failed`"
    until = ""
    if waiting.until is not None:
        at = waiting.until.astimezone(UTC)
        first = "" if waiting.number == 1 else " the first of them"
        left = (at - now).total_seconds()
        until = f"{first} until {at:%Y-%m-%d %H:%M:%S} UTC" + (f" (in {format_duration(left)})" if left > 0 else "")
    if waiting.state == "export_failed":
        again = "they are tried again then, or when its settings change; `furrow export --retry-failed` tries at once"
        return f"{tickets} refused by the tracker for all{reason},{until}; {again}"
    if waiting.state == "retry":
        return f"{tickets} postponed{until}{reason}; `furrow export --now` retries at once"
    return f"{tickets} claimed by a run that is active or was stopped{until}"
