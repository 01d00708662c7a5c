"""File confirmed incidents as tickets; log the tickets when no tracker is configured.

Incidents are processed one at a time: claim it in the outbox (exclusive until the lease ends), look for a ticket of an earlier
attempt, file the ticket, record its key. An interruption leaves a claimed row, which a later run continues with the same
identity (docs/contracts/incidents-and-tickets.md, Export).
"""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext

from blocks.documents import effective_settings
from core.error_messages import describe_error
from core.errors import NotConfigured, TransientError
from incidents.incident import Incident, IncidentDetail
from incidents.model import IncidentQuery, LostLease, SecondTicket, TicketClaim
from stores.incidents.incident_store import IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.recurrence import record_closed, report_recurrence
from tasks.report import escape_markdown, incident_link
from tasks.retrying import POLICY, is_transient_failure
from tasks.ticket_texts import make_claimed_ticket, make_tracker_ticket, preview_text
from tasks.tracker_gate import PATIENCE_S, SharedGate
from trackers import document
from trackers.gate import AccessRefused, ClosedTicket, MissingTicket, RateLimited, use_gate
from trackers.protocol import Filed, Logged, Tracker
from trackers.ticket import Ticket

LEASE_S: Final = 300.0
"""Duration of a claim: longer than all attempts of one run with every request at its time-out."""
LAST_START_S: Final = 180.0
"""No ticket is created later than this after the claim, so that the request ends before the lease does."""
LAST_REQUEST_S: Final = 30.0
"""The lease lasts longer than this when a ticket is created: longer than one request at its time-out."""
REFUSED_S: Final = 3_600.0
"""A ticket is tried again so long after the tracker refused Furrow, if its settings stay as they are."""

_PAGE = 1_000
_MOST_WAITING = 1_000
_NO_IDENTITY = UUID(int=0)  # the log tracker has no identities
_SECOND_ATTEMPT = 2
_LONGEST_BACKOFF_S = 3_600.0

Result = Literal["filed", "updated", "deleted", "postponed", "refused", "unrecorded", "skipped", "would file"]


@dataclass
class LoggedTickets:
    """Tickets that were logged now (one line each), and the number of tickets that wait for a tracker."""

    lines: list[str] = field(default_factory=list)
    waiting: int = 0


@dataclass(frozen=True)
class LeasedClaim:
    """A claim, and until when (``time.monotonic``) a ticket may be created for it."""

    claim: TicketClaim
    until: float


@dataclass(frozen=True)
class Candidate:
    """A refused ticket. ``words``: the tracker's message. ``why_not``: why it cannot be filed again now ('' if it can)."""

    incident_id: str
    tracker: str
    title: str = ""
    words: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Outcome:
    """The result of one export. ``words``: the message of the tracker or the store; ``error``: set when it failed."""

    incident_id: str
    title: str
    tracker: str
    result: Result
    words: str = ""
    ticket: Filed | None = None
    attempts: int = 0
    error: Exception | None = None

    @property
    def is_tracker_away(self) -> bool:
        """Whether the tracker is unavailable, so that further tickets would fail now, too."""
        refused = isinstance(self.error, AccessRefused) and self.error.everything
        return refused or (isinstance(self.error, TransientError) and not isinstance(self.error, LostLease))

    def markdown_line(self) -> str:
        """One Markdown line for people; only the links to the ticket and the incident are active."""
        ticket = f" {_ticket_link(self.ticket)}" if self.ticket else ""
        tried = f", attempt {self.attempts}" if self.attempts else ""
        words = f": {escape_markdown(self.words)}" if self.words else ""
        title = f" {escape_markdown(self.title)}" if self.title else ""
        head = f"**{escape_markdown(self.result)}**{ticket} at {escape_markdown(self.tracker)}{tried}"
        incident = incident_link(self.incident_id, effective_settings().pages_url)
        return f"{head} ({incident}{title}){words}"


@dataclass(frozen=True)
class Preview:
    """A ticket that the next export would file in ``tracker``, or log when none is configured; ``text``: as a whole."""

    tracker: str
    line: str
    text: str = ""


@task(name="preview tickets", **POLICY)
def preview_tickets(trackers: list[str]) -> list[Preview]:
    """The tickets that an export would file now in these trackers (none: the log). Nothing is claimed, filed or logged."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return []
    settings = effective_settings()
    return [
        _make_preview(incident, name)
        for name in trackers or [connections.log_tracker().name]
        for incident in store.outbox.find_exportable_incidents(
            name, _MOST_WAITING, settings.export_min_score, access=connections.identify_access(name)
        )
    ]


def _make_preview(incident: IncidentDetail, tracker: str) -> Preview:
    ticket = make_tracker_ticket(incident, tracker)
    return Preview(tracker, _ticket_summary(ticket), preview_text(tracker, ticket))


# What is exported
# -------------------------------------------------------------------------------------------------------------------


@task(name="connect tracker", **POLICY)
def connect_tracker(name: str) -> Tracker | None:
    """Open the tracker ``name``; None if it is not configured. The caller closes it."""
    return connections.open_tracker(name)


@task(name="claim incident", **POLICY)
def claim_incident(tracker: str, failed_id: str | None = None) -> LeasedClaim | None:
    """Claim the next incident that waits for a ticket in ``tracker``; None when none does.

    ``failed_id``: claim this incident instead, if its ticket was refused.
    """
    settings = effective_settings()
    until = time.monotonic() + LAST_START_S
    claims = _require_incident_store().outbox.claim_incidents(
        tracker,
        limit=1,
        min_score=settings.export_min_score,
        lease_s=LEASE_S,
        only=None if failed_id is None else [failed_id],
        failed=failed_id is not None,
        # The rate limit does not apply to tickets that a person retries.
        rate=settings.export_rate if failed_id is None else None,
        access=connections.identify_access(tracker),
    )
    return LeasedClaim(claims[0], until) if claims else None


@task(name="find failed exports", **POLICY)
def find_failed_exports(incident_ids: Sequence[str] | None, tracker: str | None) -> list[Candidate]:
    """The refused tickets in ``tracker`` (None: in any), of these incidents (None: of all)."""
    store = _require_incident_store()
    if incident_ids is None:
        found = [
            candidate for incident in _read_all_incidents(store) for candidate in _failed_candidates(incident, tracker)
        ]
        return [candidate for candidate in found if not candidate.why_not]
    candidates = []
    for incident_id in dict.fromkeys(incident_ids):
        incident = store.incidents.read_incident(incident_id)
        if incident is None:
            candidates.append(Candidate(incident_id, tracker or "any tracker", why_not="there is no such incident"))
            continue
        failed = _failed_candidates(incident, tracker)
        nothing = Candidate(incident_id, tracker or "any tracker", incident["title"], why_not=_why_not_failed(incident))
        candidates += failed or [nothing]
    return candidates


def _read_all_incidents(store: IncidentStore) -> list[Incident]:
    found: list[Incident] = []
    while True:
        # Sorted by first appearance, which does not change between pages.
        query = IncidentQuery(status=("confirmed", "regressed"), sort="firstSeen", limit=_PAGE, offset=len(found))
        page = store.incidents.list_incidents(query)
        found += page.incidents
        if len(page.incidents) < _PAGE:
            return found


def _failed_candidates(incident: Incident, tracker: str | None) -> list[Candidate]:
    why_not = "" if incident["status"] in ("confirmed", "regressed") else f"the incident is {incident['status']}"
    return [
        Candidate(incident["incidentId"], ticket["tracker"], incident["title"], ticket["lastError"] or "", why_not)
        for ticket in incident["tickets"]
        if ticket["state"] == "export_failed" and tracker in (None, ticket["tracker"])
    ]


def _why_not_failed(incident: Incident) -> str:
    states = ", ".join(f"{ticket['state']} at {ticket['tracker']}" for ticket in incident["tickets"])
    return f"no export is marked export_failed ({states or 'none was tried'})"


# One ticket
# -------------------------------------------------------------------------------------------------------------------


def export_incident(tracker: Tracker, leased: LeasedClaim) -> Outcome:
    """File one claimed incident and record the result. Never raises: the outcome holds the error, and the row stays."""
    claim = leased.claim
    result: Result = "updated" if claim.key else "filed"
    try:
        ticket = file_ticket(tracker, leased)
    except (MissingTicket, ClosedTicket) as error:
        return _replace_ticket(tracker.name, claim, error)
    except Exception as error:
        return _record_failure(tracker.name, claim, error)
    try:
        record_filed(claim.incident["incidentId"], tracker.name, ticket, claim.incident)
    except Exception as error:
        # The row stays claimed. After the lease, the ticket is found by its identity.
        words = f"the ticket exists but could not be recorded: {_error_words(error)}"
        return _make_outcome(claim, tracker.name, "unrecorded", words, ticket, error)
    return _make_outcome(claim, tracker.name, result, "", ticket)


def _is_worth_retry(task_: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return is_transient_failure(task_, run, state) and (getattr(error, "retry_after", None) or 0) <= PATIENCE_S


@task(name="file ticket", **{**POLICY, "retry_condition_fn": _is_worth_retry})
def file_ticket(tracker: Tracker, leased: LeasedClaim) -> Filed:
    """Find the ticket of an earlier attempt, or create it; report a recurrence in an existing ticket.

    Waits here when the tracker requests a short wait, in addition to the pause between attempts.
    """
    try:
        with use_gate(_open_gate(tracker.name, leased)):
            return _file_or_find_ticket(tracker, leased)
    except RateLimited:
        raise  # the gate waited as long as it is waited for
    except TransientError as error:
        if error.retry_after and error.retry_after <= PATIENCE_S and _attempt_number() <= POLICY["retries"]:
            time.sleep(error.retry_after)
        raise


def _open_gate(tracker: str, leased: LeasedClaim) -> SharedGate:
    store, claim = _require_incident_store(), leased.claim

    def check_lease() -> None:
        _check_lease(leased)
        store.outbox.check_lease(claim.incident["incidentId"], tracker, claim.token, LAST_REQUEST_S)

    return SharedGate(store.gates, tracker, effective_settings().tracker_requests, leased.until, check_lease)


def _file_or_find_ticket(tracker: Tracker, leased: LeasedClaim) -> Filed:
    claim = leased.claim
    again = claim.attempts > 1 or _attempt_number() > 1
    # After an expired lease and after a refusal, no request can still be in progress.
    patient = claim.state == "retry" or _attempt_number() > 1
    ticket = make_claimed_ticket(claim, tracker.name)
    _check_lease(leased)
    # A ticket with a recorded key gets the report; it is neither searched for nor created.
    filed = report_recurrence(_require_incident_store(), tracker, claim.key, ticket) if claim.key else None
    if filed is None and again:
        filed = tracker.find_ticket(ticket, claim.client_id, patient)
    if filed is None:
        _check_lease(leased)
        filed = tracker.file_ticket(ticket, claim.client_id)
    if isinstance(filed, Logged):
        raise NotConfigured(f"{tracker.name} only logs")
    return filed


def _check_lease(leased: LeasedClaim) -> None:
    if time.monotonic() > leased.until:
        raise TransientError("the lease of this ticket is nearly over; the next run continues")


def _attempt_number() -> int:
    context = TaskRunContext.get()
    return context.task_run.run_count if context else 1


@task(name="record ticket", **POLICY)
def record_filed(incident_id: str, tracker: str, ticket: Filed, incident: IncidentDetail | None = None) -> None:
    """Store the ticket's key in the outbox; of the ``incident`` that it was made from, what the ticket shows.

    A second ticket, filed by an exporter that was held up after its last look at the lease, is searched for at once.
    """
    store = _require_incident_store()
    shown = asdict(ticket.shown) | {"for": incident["priority"]} if ticket.shown and incident else None
    try:
        store.outbox.record_filed_ticket(
            incident_id, tracker, ticket.key, ticket.url, shown=shown, is_open=ticket.is_open, refused=ticket.refused,
            sessions=incident["affectedSessions"] if incident else None,
        )  # fmt: skip
    except SecondTicket:
        store.tickets.call_for_check(incident_id, tracker)
        raise


@task(name="record failure", **POLICY)
def record_failed(claim: TicketClaim, tracker: str, words: str, error: Exception, retry_at: datetime | None) -> None:
    """Store why there is no ticket, and when it is retried (None: on request of a person, or when the settings change)."""
    refused = isinstance(error, AccessRefused)
    _require_incident_store().outbox.record_failed_export(
        claim.incident["incidentId"],
        tracker,
        words,
        retry_at,
        token=claim.token,
        refused_by=connections.identify_access(tracker) if refused else None,
        refused_until=datetime.now(UTC) + timedelta(seconds=REFUSED_S) if refused else None,
    )


@task(name="record deleted ticket", **POLICY)
def record_deleted(incident_id: str, tracker: str, key: str) -> bool:
    """Note that the ticket was deleted in the tracker; whether the next export files a new one."""
    return _require_incident_store().tickets.replace_deleted_ticket(incident_id, tracker, key)


def _replace_ticket(tracker: str, claim: TicketClaim, error: MissingTicket | ClosedTicket) -> Outcome:
    record = record_closed if isinstance(error, ClosedTicket) else record_deleted
    try:
        again = record(claim.incident["incidentId"], tracker, claim.key or "")
    except Exception as second:
        words = f"{_error_words(error)}; this could not be recorded: {_error_words(second)}"
        return _make_outcome(claim, tracker, "unrecorded", words, None, second)
    if again:
        return _make_outcome(claim, tracker, "deleted", f"{_error_words(error)}; a new one is filed", None)
    return _make_outcome(claim, tracker, "refused", f"{_error_words(error)}, for the second time", None, error)


def _record_failure(tracker: str, claim: TicketClaim, error: Exception) -> Outcome:
    transient = isinstance(error, TransientError)
    words = _error_words(error)
    try:
        record_failed(claim, tracker, words, error, _retry_at(claim, error) if transient else None)
        _log_unfiled_ticket(tracker, claim.incident)
    except Exception as second:
        both = f"{words}; this could not be recorded: {_error_words(second)}"
        return _make_outcome(claim, tracker, "unrecorded", both, None, second)
    return _make_outcome(claim, tracker, "postponed" if transient else "refused", words, None, error)


def _retry_at(claim: TicketClaim, error: Exception) -> datetime:
    """When to retry: at the tracker's time; else at once after the first two failures, then with a growing pause."""
    asked = getattr(error, "retry_after", None) or 0.0
    # A rate limit is no failure of this ticket: it does not make the pauses grow.
    more = 0 if isinstance(error, RateLimited) and asked else claim.attempts - _SECOND_ATTEMPT
    backoff = min(_LONGEST_BACKOFF_S, 60.0 * 2 ** min(more, 10)) * random.uniform(0.75, 1.25) if more > 0 else 0.0
    return datetime.now(UTC) + timedelta(seconds=max(asked, backoff))


def _log_unfiled_ticket(tracker: str, incident: IncidentDetail) -> None:
    """Log a ticket that could not be filed, in full, once for each text."""
    log = connections.log_tracker(tracker)
    ticket = make_tracker_ticket(incident, tracker)
    if _require_incident_store().outbox.mark_ticket_logged(ticket.incident_id, tracker, log.ticket_digest(ticket)):
        log.file_ticket(ticket, _NO_IDENTITY)


def _make_outcome(
    claim: TicketClaim, tracker: str, result: Result, words: str, ticket: Filed | None, error: Exception | None = None
) -> Outcome:
    incident = claim.incident
    return Outcome(
        incident["incidentId"], incident["title"], tracker, result, words, ticket, claim.attempts, error=error
    )


def _error_words(error: Exception) -> str:
    return describe_error(error)


def _ticket_link(ticket: Filed) -> str:
    try:
        document.Link(ticket.key, ticket.url)  # raises for anything but a plain web address
    except ValueError:
        return escape_markdown(ticket.key)
    return f"[{escape_markdown(ticket.key)}](<{ticket.url}>)"


# Without a tracker
# -------------------------------------------------------------------------------------------------------------------


@task(name="log tickets", **POLICY)
def log_tickets() -> LoggedTickets:
    """Log the ticket of each exportable incident in full, once. The incident stays exportable and is filed later."""
    store = _require_incident_store()
    settings = effective_settings()
    tracker = connections.log_tracker()
    logged = LoggedTickets()
    for incident in store.outbox.find_exportable_incidents(
        tracker.name, settings.export_limit, settings.export_min_score, unlogged=True
    ):
        ticket = make_tracker_ticket(incident, tracker.name)
        # Log first, then record it: a crash in between logs the ticket twice, never zero times.
        store.outbox.mark_ticket_logged(
            incident["incidentId"], tracker.name, tracker.file_ticket(ticket, _NO_IDENTITY).digest
        )
        logged.lines.append(_ticket_summary(ticket))
    logged.waiting = store.outbox.count_exportable_incidents(tracker.name, settings.export_min_score)
    return logged


@task(name="show failed export", **POLICY)
def show_failed_export(candidate: Candidate) -> Outcome:
    """Log in full what filing this ticket again would send. Calls no tracker and changes nothing."""
    incident = _require_incident_store().incidents.read_incident(candidate.incident_id)
    if incident is not None:
        ticket = make_tracker_ticket(incident, candidate.tracker)
        connections.log_tracker(candidate.tracker).file_ticket(ticket, _NO_IDENTITY)
    words = f"failed before: {candidate.words}"
    return Outcome(candidate.incident_id, candidate.title, candidate.tracker, "would file", words)


def _require_incident_store() -> IncidentStore:
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        raise NotConfigured("the incident store is log-only: there are no incidents to export")
    return store


def _ticket_summary(ticket: Ticket) -> str:
    incident = incident_link(ticket.incident_id, effective_settings().pages_url)
    return f"**{escape_markdown(ticket.priority)}** {escape_markdown(ticket.title)} ({incident})"
