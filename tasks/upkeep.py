"""Upkeep of filed tickets, after the new ones: second tickets, facts that are out of date, comments.

It needs requests that nothing waits for. So it comes last, leaves a part of the tracker's pace to others, and ends at the first
sign that the tracker wants no requests.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from prefect import task

from blocks.documents import effective_settings
from core.error_messages import describe_error
from core.errors import FurrowError, PermanentError, TransientError
from core.metrics import count_degraded
from incidents.incident import IncidentDetail
from stores.incidents.incident_store import IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from stores.incidents.ticket_upkeep import DueCheck, DueTicket, OpenTwin
from tasks import connections
from tasks.retrying import POLICY
from tasks.ticket_texts import make_tracker_ticket
from tasks.tracker_gate import SharedGate
from trackers.gate import AccessRefused, MissingTicket, use_gate
from trackers.protocol import ClosesTwins, CompletesTickets, FindsTwins, KeepsFacts, Shown, Tracker
from trackers.ticket import growth_comment, proof_comment

LONGEST_S: Final = 60.0
"""No request of the upkeep is sent later than this after its begin."""
_BATCH: Final = 20
_LATER_S: Final = 3_600.0


@dataclass
class Upkeep:
    """What was done, and the errors after which the rest was left to a later run."""

    second: int = 0
    closed: int = 0
    deleted: int = 0
    updated: int = 0
    commented: int = 0
    errors: list[FurrowError] = field(default_factory=list)


@task(name="keep tickets up", **{**POLICY, "retries": 0})
def keep_tickets_up(tracker: Tracker) -> Upkeep:
    """Close second tickets, bring titles, priorities and texts up to date, and report growth and proven fixes."""
    store = connections.incident_store()
    done = Upkeep()
    if isinstance(store, LogIncidentStore):
        return done
    gate = SharedGate(store.gates, tracker.name, effective_settings().tracker_requests, time.monotonic() + LONGEST_S)
    with use_gate(gate):
        for step in _list_steps(store, tracker, done):
            try:
                step()
            except TransientError as error:
                # Nothing is lost: what was not done is still due.
                count_degraded("upkeep", type(error).__name__)
                done.errors.append(error)
                break
            except FurrowError as error:
                count_degraded("upkeep", type(error).__name__)
                done.errors.append(error)
    return done


def _list_steps(store: IncidentStore, tracker: Tracker, done: Upkeep) -> Iterator[Callable[[], None]]:
    if isinstance(tracker, FindsTwins):
        finder = tracker
        checks = store.tickets.find_due_checks(tracker.name, _BATCH)
        if checks:
            yield lambda: _search_twins(store, tracker, finder, checks, done)
    if isinstance(tracker, ClosesTwins):
        closer = tracker
        for twin in store.tickets.find_open_twins(tracker.name, _BATCH):
            yield lambda twin=twin: _close_twin(store, tracker.name, closer, twin, done)  # type: ignore[misc]
    if isinstance(tracker, CompletesTickets):
        completer = tracker
        for incident, key in store.tickets.find_incomplete_tickets(tracker.name, _BATCH):
            yield lambda incident=incident, key=key: _complete(store, tracker.name, completer, incident, key, done)  # type: ignore[misc]
    if isinstance(tracker, KeepsFacts):
        keeper = tracker
        for due in store.tickets.claim_due_tickets(tracker.name, _BATCH):
            yield lambda due=due: _bring_up_to_date(store, tracker.name, keeper, due, done)  # type: ignore[misc]


# Second tickets
# ----------------------------------------------------------------------------------------------------------------------


def _search_twins(
    store: IncidentStore, tracker: Tracker, finder: FindsTwins, checks: Sequence[DueCheck], done: Upkeep
) -> None:
    """One search for all. A ticket that it does not show is searched for alone, and read when no other search comes."""
    tickets = {
        check.incident["incidentId"]: replace(
            make_tracker_ticket(check.incident, tracker.name), identity=check.identity
        )
        for check in checks
    }
    found = finder.find_twins(list(tickets.values()))
    for check in checks:
        incident_id = check.incident["incidentId"]
        keys = found.get(incident_id, [])
        if check.key not in keys and len(checks) > 1:
            keys = finder.find_twins([tickets[incident_id]]).get(incident_id, [])
        if not keys and check.last and tracker.fetch_ticket_state(check.key).kind == "missing":
            _note_missing(store, tracker, check.incident, check.key, done)
            continue
        if check.key not in keys:
            # The search lags, or a person took the label away: the ledger's ticket is one of them.
            keys = [*keys, check.key]
        for second in (others := _order_keys(keys))[1:]:
            kept = others[0]
            store.tickets.record_twin(incident_id, tracker.name, (kept, _ticket_url(check, kept)), second)
            done.second += 1
    store.tickets.record_checks(tracker.name, list(tickets))


def _order_keys(keys: Sequence[str]) -> list[str]:
    """Oldest first: the number of an issue grows within a project."""
    return sorted(keys, key=lambda key: int(_split_number(key)[1] or 0))


def _split_number(key: str) -> tuple[str, str]:
    """Everything before the number of ``OPS-12`` or ``acme/shop#12``, and the number; '' if it has none."""
    before = key.rstrip("0123456789")
    return before, key[len(before) :]


def _ticket_url(check: DueCheck, key: str) -> str:
    """The URL of a ticket like the one that is recorded, with another key."""
    urls = [ticket["url"] or "" for ticket in check.incident["tickets"] if ticket["key"] == check.key]
    if not urls or urls[0].endswith(check.key):
        return urls[0].removesuffix(check.key) + key if urls else ""
    # A forge's URL ends with the number alone.
    (before, number), (other, wanted) = _split_number(check.key), _split_number(key)
    return urls[0].removesuffix(number) + wanted if before == other and urls[0].endswith(f"/{number}") else ""


def _close_twin(store: IncidentStore, tracker: str, closer: ClosesTwins, twin: OpenTwin, done: Upkeep) -> None:
    """Close a second ticket. If the tracker does not allow it, the history says so, and it is left to people."""
    incident_id = twin.incident["incidentId"]
    try:
        closer.close_twin(twin.key, twin.kept, make_tracker_ticket(twin.incident, tracker))
    except PermanentError as refusal:
        if isinstance(refusal, AccessRefused) and refusal.everything:
            raise
        store.tickets.record_closed_twin(incident_id, tracker, twin.key, describe_error(refusal))
        raise
    store.tickets.record_closed_twin(incident_id, tracker, twin.key)
    done.closed += 1


def _complete(
    store: IncidentStore, tracker: str, completer: CompletesTickets, incident: IncidentDetail, key: str, done: Upkeep
) -> None:
    """Add what was refused when a ticket was filed."""
    incident_id = incident["incidentId"]
    try:
        refused = completer.complete_ticket(key, make_tracker_ticket(incident, tracker))
    except MissingTicket:
        store.tickets.replace_deleted_ticket(incident_id, tracker, key)
        done.deleted += 1
        return
    except PermanentError as refusal:
        if not (isinstance(refusal, AccessRefused) and refusal.everything):
            store.tickets.record_completion(incident_id, tracker, key, describe_error(refusal))
        raise
    store.tickets.record_completion(incident_id, tracker, key, refused)


# Facts
# ----------------------------------------------------------------------------------------------------------------------


def _bring_up_to_date(store: IncidentStore, tracker: str, keeper: KeepsFacts, due: DueTicket, done: Upkeep) -> None:
    incident_id, ticket = due.incident["incidentId"], make_tracker_ticket(due.incident, tracker)
    known = Shown(**{name: (due.shown or {}).get(name) for name in ("title", "priority", "digest")})
    proved = due.proved and bool(ticket.proof)
    try:
        shown = known if due.proved else keeper.update_facts(due.key, ticket, known)
        if due.grown:
            note = f"growth\0{ticket.recurrence_id}\0{due.noted_sessions}"
            keeper.add_note(due.key, note, growth_comment(ticket, due.noted_sessions))
        if proved:
            keeper.add_note(due.key, f"proof\0{ticket.recurrence_id}", proof_comment(ticket))
    except MissingTicket:
        store.tickets.replace_deleted_ticket(incident_id, tracker, due.key)
        done.deleted += 1
        return
    except TransientError:
        raise  # again in ten minutes
    except FurrowError:
        store.tickets.postpone_upkeep(incident_id, tracker, _LATER_S)
        raise
    known_now = None if due.shown is None else {**asdict(shown), "for": due.incident["priority"]}
    store.tickets.record_upkeep(due, tracker, known_now, noted=due.grown, proved=proved)
    done.updated += shown != known
    done.commented += due.grown + proved


def _note_missing(store: IncidentStore, tracker: Tracker, incident: IncidentDetail, key: str, done: Upkeep) -> None:
    """The ticket is missing; a report of it tells whether it was deleted or cannot be seen. Raises AccessRefused for that."""
    if isinstance(tracker, KeepsFacts):
        try:
            tracker.update_facts(key, make_tracker_ticket(incident, tracker.name), Shown())
        except MissingTicket:
            store.tickets.replace_deleted_ticket(incident["incidentId"], tracker.name, key)
            done.deleted += 1


def upkeep_counts(done: Upkeep) -> dict[str, int]:
    """The counts of a report, by what was done."""
    return {
        "second tickets found": done.second,
        "second tickets closed": done.closed,
        "deleted tickets that are filed anew": done.deleted,
        "tickets brought up to date": done.updated,
        "comments on tickets": done.commented,
    }


def describe_upkeep_errors(done: Upkeep) -> list[str]:
    """One line for each error."""
    return [describe_error(error) for error in done.errors]
