"""What a ticket's state in its tracker means for its incident, as pure functions (docs/contracts/incidents-and-tickets.md).

A reading is compared with the one before: only a change moves an incident. What Furrow wrote itself is no change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cmp_to_key
from typing import Final, Literal

from incidents.fixes import LONGEST_NAME, NO_FIX, Fix
from incidents.lifecycle import Status
from incidents.versions import Release, ReleaseOrder

Meaning = Literal["open", "done", "duplicate", "wontDo", "unknown"]
Category = Literal["open", "done", "canceled", "duplicate", "unknown"]
Effect = Literal["none", "resolve", "suppress", "merge", "reopen"]

MEANINGS: Final[tuple[Meaning, ...]] = ("open", "done", "duplicate", "wontDo")
_CLOSED: Final = ("done", "duplicate", "wontDo")
# Names of states and resolutions in the trackers' own defaults. All others are for the project to name.
_DONE: Final = frozenset({"done", "fixed", "resolved", "complete", "completed", "closed"})
_DUPLICATE: Final = frozenset({"duplicate", "duplicated"})
_WONT_DO: Final = frozenset(
    {"won't do", "won't fix", "wont do", "wont fix", "declined", "rejected", "canceled", "cancelled"}
)


@dataclass(frozen=True)
class TicketReading:
    """A ticket's state in its tracker. Texts are the tracker's, shortened to one line.

    ``category``: kind of the state in the tracker's own terms. ``since``: when it was closed, None if unknown or open.
    ``duplicate_of``: key of the ticket that it duplicates. ``comments``: how many, None if unknown. ``versions``: in which
    it is fixed. ``labels``: of a closed ticket, where labels say why it is closed. ``moved_by``: who closed it, or opened it
    again; '' if the tracker does not say.
    """

    incident_id: str
    key: str
    category: Category
    status: str
    resolution: str = ""
    assignee: str = ""
    comments: int | None = None
    versions: tuple[str, ...] = ()
    duplicate_of: str = ""
    since: datetime | None = None
    labels: tuple[str, ...] = ()
    moved_by: str = ""


@dataclass(frozen=True)
class KnownState:
    """What was known of a ticket before: the last known meaning (None: it was never read) and since when it was closed."""

    meaning: Meaning | None = None
    since: datetime | None = None


def parse_state_rules(lines: Iterable[str]) -> dict[str, Meaning]:
    """The project setting ``ticketStates``: meanings by name of a state or resolution, from lines like ``Parked = open``."""
    rules: dict[str, Meaning] = {}
    for line in lines:
        name, _, wanted = line.rpartition("=")
        for meaning in MEANINGS:
            if meaning == wanted.strip() and name.strip():
                rules[_fold(name)] = meaning
    return rules


def find_meaning(reading: TicketReading, rules: Mapping[str, Meaning]) -> Meaning:
    """What the state means: as the project says, else by the trackers' defaults. Names that neither knows are ``unknown``."""
    names = [_fold(reading.resolution), _fold(reading.status)]
    # A person who sets a label says more than the state of a forge, which only knows open and closed.
    for name in (names[0], *map(_fold, reading.labels), names[1]):
        if name in rules:
            return rules[name]
    if reading.category in ("open", "duplicate"):
        return "open" if reading.category == "open" else "duplicate"
    if reading.category == "canceled":
        return "duplicate" if reading.duplicate_of else "wontDo"
    if reading.category == "unknown":
        return "unknown"
    if _DUPLICATE.intersection(names):
        return "duplicate"
    if _WONT_DO.intersection(names):
        return "wontDo"
    return "done" if not names[0] or names[0] in _DONE else "unknown"


def decide_effect(
    before: KnownState, meaning: Meaning, since: datetime | None, status: Status, came_back_at: datetime | None
) -> Effect:
    """What a reading does to its incident, which is in ``status``.

    ``came_back_at``: when the incident last came back. A ticket that was closed before that says nothing of it.
    """
    if meaning == "unknown":
        return "none"
    if meaning == "open":
        # What a person suppressed here stays so: only what the ticket said is taken back by it.
        again = status == "resolved" or (status == "suppressed" and before.meaning == "wontDo")
        return "reopen" if before.meaning in _CLOSED and again else "none"
    if (before.meaning, before.since) == (meaning, since):
        return "none"
    if meaning == "duplicate":
        return "merge" if before.meaning != "duplicate" else "none"
    if since is not None and came_back_at is not None and since <= came_back_at:
        return "none"
    if meaning == "done":
        # Done after all: what the ticket said before is taken back.
        refused = status == "suppressed" and before.meaning == "wontDo"
        return "resolve" if refused or status in ("confirmed", "regressed") else "none"
    return "suppress" if status in ("confirmed", "regressed", "resolved") else "none"


def choose_fix(versions: Sequence[str], releases: Sequence[Release], shown_in: Iterable[str] = ()) -> Fix:
    """Where the incident is fixed, by its ticket's fix versions: the oldest of those that the ``releases`` compare with.

    ``shown_in``: versions of sessions that showed it so far. A ticket keeps the version of a fix that did not hold, and a
    branch may have it longer than another: a version that is not newer than these is passed over if there is another one.
    A name that no release of the project compares with would silence the incident for good, and is no fix.
    """
    order = ReleaseOrder(releases)
    fixed: list[str] = []
    for version in versions:
        if len(version) <= LONGEST_NAME and any(
            order.compare(known.version, version) is not None for known in releases
        ):
            fixed.append(version)

    def compare(left: str, right: str) -> int:
        return order.compare(left, right) or 0

    fixed.sort(key=cmp_to_key(compare))
    shown = list(shown_in)
    for version in fixed:
        if not any(order.is_not_older(other, version) for other in shown):
            return Fix(version)
    return Fix(fixed[-1]) if fixed else NO_FIX


def describe_ticket_state(
    status: str, resolution: str, versions: Sequence[str], duplicate_of: str, assignee: str
) -> str:
    """Where a ticket stands, in words."""
    parts = [status or "in a state without a name"]
    if resolution and resolution != status:
        parts.append(f"resolution {resolution}")
    if versions:
        parts.append(f"fix version {', '.join(versions)}")
    if duplicate_of:
        parts.append(f"duplicate of {duplicate_of}")
    parts.append(f"assigned to {assignee}" if assignee else "assigned to nobody")
    return ", ".join(parts)


def describe_mover(reading: TicketReading) -> str:
    """Who brought the ticket to where it stands, as the end of a sentence; '' if the tracker does not say."""
    did = "opened again" if reading.category == "open" else "closed"
    return f"; {did} by {reading.moved_by}" if reading.moved_by else ""


def _fold(name: str) -> str:
    return " ".join(name.replace("’", "'").casefold().split())
