"""Tickets' states are read back from their trackers, and incidents follow what people did to the tickets.

It comes after everything that is written, in batches: one request asks for the changes of up to fifty tickets.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prefect import task

from blocks.documents import effective_settings
from core.error_messages import describe_error
from core.errors import FurrowError, PermanentError
from core.metrics import count_degraded
from core.plurals import format_count
from incidents.model import Rules
from incidents.ticket_reading import Effect, Meaning, TicketReading, find_meaning, parse_state_rules
from stores.incidents.incident_store import IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from stores.incidents.ticket_states import DueReading, UnknownState
from tasks import connections
from tasks.retrying import POLICY
from tasks.thresholds import Overrides, confirm_rules, read_project_thresholds
from tasks.tracker_gate import SharedGate
from trackers.gate import use_gate
from trackers.protocol import PartlyRead, ReadsStates, TicketReference, Tracker

READ_EVERY_S: Final = 240.0
"""A ticket's state is read so often, if the tracker's pace allows it (own choice: each run of `export` at its schedule)."""
OVERLAP_S: Final = 300.0
"""Changes are asked for from so long before the last reading on: searches lag behind writes."""
LONGEST_S: Final = 60.0
"""No request is sent later than this after the begin."""
BATCH: Final = 50
SETTLE_S: Final = 5.0
"""A ticket that a webhook named is read so long after that: the search finds the change then (own choice)."""
_MOST_BATCHES: Final = 20
_MOST_HINTED_BATCHES: Final = 4
_DONE: Final[Mapping[Effect, str]] = {
    "resolve": "incidents resolved by their tickets",
    "suppress": "incidents suppressed by their tickets",
    "merge": "incidents merged because their tickets are duplicates",
    "reopen": "incidents reopened by their tickets",
}


@dataclass
class ReadBack:
    """How many tickets changed, what that did, the states that nobody named (ticket line each), and the errors after which the
    rest was left."""

    changed: int = 0
    effects: dict[Effect, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    errors: list[FurrowError] = field(default_factory=list)


@task(name="read tickets back", **{**POLICY, "retries": 0})
def read_tickets_back(tracker: Tracker) -> ReadBack:
    """Read the states of the tickets that are due, and move their incidents."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return ReadBack()
    done = _read_batches(
        store, tracker, lambda: store.states.claim_due_readings(tracker.name, BATCH, READ_EVERY_S), _MOST_BATCHES
    )
    if isinstance(tracker, ReadsStates):
        states = store.states.list_unknown_states()
        done.unknown = [_describe_unknown(state) for state in states if state.tracker == tracker.name]
    return done


@task(name="find tickets that webhooks named", **POLICY)
def find_hinted_trackers() -> list[str]:
    """The trackers of which webhooks named tickets that were not read since."""
    store = connections.incident_store()
    return [] if isinstance(store, LogIncidentStore) else store.hints.list_hinted_trackers(SETTLE_S)


@task(name="read tickets that webhooks named", **{**POLICY, "retries": 0})
def read_hinted_tickets(tracker: Tracker) -> ReadBack:
    """As `read_tickets_back`, only the tickets that webhooks named. While the tracker asks for a pause, they wait."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore) or store.gates.find_pause(tracker.name) is not None:
        return ReadBack()
    return _read_batches(
        store,
        tracker,
        lambda: store.hints.claim_hinted_readings(tracker.name, BATCH, READ_EVERY_S, SETTLE_S),
        _MOST_HINTED_BATCHES,
    )


def _read_batches(
    store: IncidentStore, tracker: Tracker, claim: Callable[[], Sequence[DueReading]], most: int
) -> ReadBack:
    """Read what ``claim`` gives until it gives nothing, ``most`` times at most."""
    done = ReadBack()
    if not isinstance(tracker, ReadsStates):
        return done
    overrides = read_project_thresholds(store)
    reader = _Reader(store, tracker.name, tracker, overrides, done)
    gate = SharedGate(store.gates, tracker.name, effective_settings().tracker_requests, time.monotonic() + LONGEST_S)
    with use_gate(gate):
        for _ in range(most):
            due = claim()
            if not due:
                break
            try:
                reader.read(due)
            except FurrowError as error:
                # Nothing is lost: what was not stored is read again, from the last reading on.
                count_degraded("read_back", type(error).__name__)
                done.errors.append(error)
                break
    return done


def _describe_unknown(state: UnknownState) -> str:
    name = f"{state.status}, resolution {state.resolution}" if state.resolution else state.status
    tickets = f"{format_count(state.number, 'ticket')} like {state.example}"
    return f"{name or 'without a name'}: {tickets}; say what it means in the project setting ticketStates"


class _Reader:
    """Reads the tickets of ticket tracker."""

    def __init__(
        self, store: IncidentStore, name: str, tracker: ReadsStates, overrides: Overrides, done: ReadBack
    ) -> None:
        self._store, self._name, self._tracker, self._done = store, name, tracker, done
        self._rules: Rules = confirm_rules(overrides)
        self._meanings = {
            project: parse_state_rules(values.get("ticketStates", ())) for project, values in overrides.items()
        }

    def read(self, due: Sequence[DueReading]) -> None:
        known = [ticket for ticket in due if ticket.read_at is not None]
        if known:
            oldest = min(ticket.read_at for ticket in known if ticket.read_at is not None)
            self._read_changes(known, (known[0].now - oldest).total_seconds() + OVERLAP_S)
        if new := [ticket for ticket in due if ticket.read_at is None]:
            self._read_changes(new, None)

    def _read_changes(self, due: Sequence[DueReading], within_s: float | None) -> None:
        references = [
            TicketReference(ticket.incident_id, ticket.key, ticket.client_id, ticket.identity, ticket.was_closed)
            for ticket in due
        ]
        found, unread = self._ask(references, within_s)
        readings = {reading.incident_id: reading for reading in found}
        for ticket in due:
            if ticket.incident_id in readings:
                try:
                    self._record(ticket, readings[ticket.incident_id])
                except PermanentError as error:
                    # One ticket does not keep the others from being read; it is read again.
                    count_degraded("read_back", type(error).__name__)
                    self._done.errors.append(error)
        others = [ticket for ticket in due if ticket.incident_id not in readings and ticket.incident_id not in unread]
        self._store.states.record_unchanged(self._name, others)

    def _ask(
        self, references: Sequence[TicketReference], within_s: float | None
    ) -> tuple[Sequence[TicketReading], frozenset[str]]:
        """What was read, and the incidents whose tickets could not be read."""
        try:
            return self._tracker.read_tickets(references, within_s), frozenset()
        except PartlyRead as error:
            # A project that is gone does not keep the others from being read; it is asked for again, from its last reading on.
            count_degraded("read_back", type(error).__name__)
            self._done.errors.append(error)
            return error.readings, error.unread

    def _record(self, due: DueReading, reading: TicketReading) -> None:
        meaning: Meaning = find_meaning(reading, self._meanings.get(due.project, {}))
        recorded = self._store.states.record_reading(self._name, due, reading, meaning, self._rules)
        self._done.changed += recorded.changed
        self._done.effects[recorded.effect] = self._done.effects.get(recorded.effect, 0) + 1


def read_back_counts(done: ReadBack) -> dict[str, int]:
    """The counts of a report, by what was done."""
    effects = {words: done.effects.get(effect, 0) for effect, words in _DONE.items()}
    return {"tickets read back": done.changed, **effects}


def describe_read_back_errors(done: ReadBack) -> list[str]:
    """One line for each error; what several batches met is told once."""
    return list(dict.fromkeys(describe_error(error) for error in done.errors))
