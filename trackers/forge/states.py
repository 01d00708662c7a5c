"""Reads the states of many issues of a forge with one request for each project: those that changed.

Issues are asked for by their numbers. A list by label and time would also hold everybody else's changes, would miss an issue
whose label was removed, and a first reading would have to read all of it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from core.errors import PermanentError
from core.metrics import count_degraded
from incidents.ticket_reading import Category, TicketReading
from trackers.forge.protocol import ForgeApi, IssueState, MovedOutOfSight, parse_time, split_key
from trackers.forge.text import make_identity, read_identity
from trackers.gate import AccessRefused
from trackers.http_errors import to_safe_line
from trackers.people import to_person_name
from trackers.protocol import PartlyRead, TicketReference
from trackers.rest import MissingResource, MovedResource, RefusedAccess

CLOCKS: Final = timedelta(hours=1)
"""So much may the forge's clock differ from ours: times of changes are compared with it."""
_MOVED: Final = "moved"
MOST_LOOKED_FOR: Final = 5
"""So many tickets of a request that are not there any more, or moved, are looked for where they may be now."""
_MOST: Final = 50
_VALUE: Final = 120
_MOST_LABELS: Final = 30
_CATEGORIES: Final[dict[str, Category]] = {
    "": "done",
    "completed": "done",
    "not planned": "canceled",
    "duplicate": "duplicate",
    _MOVED: "unknown",
}


@dataclass
class _Found:
    """What was read, why the rest could not be read, and the incidents of the rest."""

    readings: list[TicketReading] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    def note_refusal(self, where: str, refusal: PermanentError, tickets: Sequence[TicketReference]) -> None:
        """These tickets cannot be read. Raises ``refusal`` if no other can, either."""
        if isinstance(refusal, AccessRefused) and refusal.everything:
            raise refusal
        self.refusals.append(f"{to_safe_line(where, limit=100)}: {refusal}")
        self.unread |= {ticket.incident_id for ticket in tickets}


def read_issue_states(
    api: ForgeApi, references: Sequence[TicketReference], within_s: float | None
) -> list[TicketReading]:
    """See `trackers.protocol.ReadsStates`. Raises PartlyRead if some projects or tickets cannot be read."""
    projects: dict[str, list[TicketReference]] = {}
    for reference in references:
        projects.setdefault(split_key(reference.key)[0], []).append(reference)
    found = _Found()
    for path, tickets in projects.items():
        try:
            _read_project(api, path, tickets, within_s, found)
        except PermanentError as refusal:
            found.note_refusal(f"{api.noun} {path}", refusal, tickets)
    if found.refusals:
        raise PartlyRead("; ".join(found.refusals), found.readings, frozenset(found.unread))
    return found.readings


def _read_project(
    api: ForgeApi, path: str, tickets: Sequence[TicketReference], within_s: float | None, found: _Found
) -> None:
    if not api.check_path(path):
        raise PermanentError(f"is no path of a {api.title} {api.noun}")
    earliest = None if within_s is None else datetime.now(UTC) - timedelta(seconds=within_s) - CLOCKS
    for start in range(0, len(tickets), _MOST):
        some = tickets[start : start + _MOST]
        states = _read_states(api, path, [split_key(ticket.key)[1] for ticket in some])
        elsewhere: list[tuple[TicketReference, IssueState | None]] = []
        for ticket in some:
            state = states.get(split_key(ticket.key)[1])
            if state is None or state.reason == _MOVED:
                elsewhere.append((ticket, state and _keep_path(state, path)))
            elif _has_changed(state, earliest):
                found.readings.append(_build_reading(ticket, _keep_path(state, path)))
        if api.leaves_moved:
            # What is not there was deleted.
            elsewhere = [(ticket, state) for ticket, state in elsewhere if state]
        _find_moved(api, elsewhere, found)


def _read_states(api: ForgeApi, path: str, numbers: Sequence[int]) -> dict[int, IssueState]:
    try:
        states = api.read_states(path, numbers)
    except (MissingResource, MovedResource) as refusal:
        raise RefusedAccess(str(refusal)) from None
    return {number: state for number, state in states.items() if state.number == number}


def _find_moved(api: ForgeApi, elsewhere: Sequence[tuple[TicketReference, IssueState | None]], found: _Found) -> None:
    """Read tickets that moved to another project. Most that are missing were deleted, so only some are looked for, others the
    next time; what is found is known in full, not only its last changes. One that moved where Furrow may not read keeps the
    others from nothing; what is left of it where it was (its state; None: nothing) says so."""
    for ticket, left in random.sample(elsewhere, min(len(elsewhere), MOST_LOOKED_FOR)):
        readings: list[TicketReading] = []
        try:
            readings = _read_moved(api, ticket)
        except MissingResource:
            continue
        except MovedOutOfSight:
            # Its state is shown as one that nobody named; it is looked for again.
            count_degraded(api.name, "moved_out_of_sight")
        except PermanentError as refusal:
            found.note_refusal(f"ticket {ticket.key}, which has moved", refusal, [ticket])
            continue
        found.readings += readings or ([_build_reading(ticket, left)] if left else [])


def _read_moved(api: ForgeApi, ticket: TicketReference) -> list[TicketReading]:
    issue = api.read_issue(*split_key(ticket.key))
    moved = issue.key.lower() != ticket.key.lower() and api.check_path(issue.path)
    if not moved or read_identity(issue.body) != make_identity(ticket.identity):
        return []
    return [_build_reading(ticket, state) for state in _read_states(api, issue.path, [issue.number]).values()]


def _keep_path(state: IssueState, path: str) -> IssueState:
    """The state with keys as tickets have them, also after the project was renamed."""
    there, number = split_key(state.duplicate_of)
    original = f"{path}#{number}" if there and there.lower() == state.path.lower() else state.duplicate_of
    return replace(state, path=path, duplicate_of=original)


def _has_changed(state: IssueState, earliest: datetime | None) -> bool:
    at = parse_time(state.updated_at)
    return at is None or earliest is None or at >= earliest


def _build_reading(ticket: TicketReference, state: IssueState) -> TicketReading:
    milestone = _line(state.milestone)
    return TicketReading(
        incident_id=ticket.incident_id,
        key=_line(state.key),
        category="open" if state.is_open else _CATEGORIES.get(state.reason, "done"),
        status="open" if state.is_open else "closed",
        resolution="" if state.is_open else _line(state.reason),
        assignee=_line(", ".join(filter(None, map(_line, state.assignees)))),
        comments=state.notes,
        versions=(milestone,) if milestone else (),
        duplicate_of="" if state.is_open else _line(state.duplicate_of),
        since=None if state.is_open else parse_time(state.closed_at),
        labels=() if state.is_open else tuple(map(_line, state.labels[:_MOST_LABELS])),
        moved_by=to_person_name(state.moved_by),
    )


def _line(text: str) -> str:
    return to_safe_line(text, limit=_VALUE)
