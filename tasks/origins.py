"""Who sent the sessions in which something was detected, as the receipts tell it (collector/senders/receipts.py).

Only sessions with a detection, now or before, are looked up: for all others nobody counts sources.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from stores.events import event_receipts
from stores.events.event_store import EventStore
from stores.incidents.incident_store import Analysed, IncidentStore, Origin


class Sender(NamedTuple):
    """The first receipt (epoch ms) of a session from one source, whose hashes are those of its day and of the day before."""

    received_ms: int
    today: int
    before: int


def with_origins(
    analysed: Sequence[Analysed], events: EventStore, incidents: IncidentStore, backfill: bool = False
) -> list[Analysed]:
    """The same sessions, each with its ``origin`` where it has a detection now or had one before.

    ``backfill``: nothing new arrived, so that what is not known speaks against nothing.
    """
    known = incidents.with_detections([(one.pending.project, one.pending.session_id) for one in analysed])
    wanted = [one for one in analysed if one.detections or (one.pending.project, one.pending.session_id) in known]
    if not wanted:
        return list(analysed)
    senders = _senders(events, [one.pending.session_hash for one in wanted])
    since = event_receipts.since_ms(events)
    found = {
        id(one): replace(one, origin=origin_of(one, senders.get(one.pending.session_hash, ()), since, backfill))
        for one in wanted
    }
    return [found.get(id(one), one) for one in analysed]


def origin_of(one: Analysed, senders: Sequence[Sender], since_ms: int, backfill: bool = False) -> Origin | None:
    """The origin of one session with these senders, the earliest first; None: it is a source of its own.

    ``since_ms``: receipts are kept since then. A session whose events are all older has none and counts by itself, as it
    always did; one whose receipts have expired is of unknown origin, and so is one of whose first events nothing is known.
    """
    first_ms = one.first_ms or one.pending.received_ms
    if not senders:
        return None if first_ms < since_ms else Origin(None, None, mixed=not backfill)
    first, *others = _chains(senders)
    begins_known = first[0].received_ms <= first_ms
    # What is new is of the source that came last into the session: a stranger's events count as the stranger's.
    latest = others[-1][-1] if others else first[-1]
    mixed = bool(others) or not (begins_known or backfill)
    return Origin(latest.today or None, latest.before or None, mixed)


def _chains(senders: Sequence[Sender]) -> list[list[Sender]]:
    """Receipts of one source together: they share a hash, or are linked by others that do. In the order of the first ones."""
    chains: list[tuple[set[int], list[Sender]]] = []
    for sender in senders:
        names = {sender.today, sender.before}
        linked = [chain for chain in chains if chain[0] & names]
        if not linked:
            chains.append((names, [sender]))
            continue
        linked[0][0].update(names, *(chain[0] for chain in linked[1:]))
        linked[0][1].extend([*(one for chain in linked[1:] for one in chain[1]), sender])
        chains = [chain for chain in chains if not any(chain is other for other in linked[1:])]
    return [chain[1] for chain in chains]


def _senders(events: EventStore, hashes: Sequence[int]) -> Mapping[int, list[Sender]]:
    table = event_receipts.of_sessions(events, hashes)
    columns = (table[name].to_pylist() for name in ("session_hash", "received_ms", "source_today", "source_before"))
    found: dict[int, list[Sender]] = defaultdict(list)
    for session_hash, *sender in zip(*columns, strict=True):
        found[session_hash].append(Sender(*sender))
    return found
