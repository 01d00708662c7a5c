"""The senders of sessions with detections, from the receipts (collector/senders/receipts.py).

Only sessions with a detection, now or before, are looked up, because sources count only for these.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from stores.events import event_receipts
from stores.events.event_store import EventStore
from stores.incidents.incident_store import AnalysedSession, IncidentStore, SessionOrigin


class Sender(NamedTuple):
    """The first receipt (epoch ms) of a session from one source, whose hashes are those of its day and of the day before, and
    the number of its ingest key (0: none)."""

    received_ms: int
    today: int
    before: int
    key: int = 0


def add_origins(
    analysed: Sequence[AnalysedSession], events: EventStore, incidents: IncidentStore, backfill: bool = False
) -> list[AnalysedSession]:
    """The same sessions; those with a detection, now or before, have their ``origin``.

    ``backfill``: no new events arrived, so that an unknown sender does not make a session mixed.
    """
    known = incidents.detections.find_detected_sessions(
        [(session.pending.project, session.pending.session_id) for session in analysed]
    )
    wanted = [
        session
        for session in analysed
        if session.detections or (session.pending.project, session.pending.session_id) in known
    ]
    if not wanted:
        return list(analysed)
    senders = _read_senders(events, [session.pending.session_hash for session in wanted])
    since = event_receipts.read_receipts_start_ms(events)
    found = {
        id(session): replace(
            session, origin=find_origin(session, senders.get(session.pending.session_hash, ()), since, backfill)
        )
        for session in wanted
    }
    return [found.get(id(session), session) for session in analysed]


def find_origin(
    session: AnalysedSession, senders: Sequence[Sender], since_ms: int, backfill: bool = False
) -> SessionOrigin | None:
    """The origin of a session with these senders, earliest first; None if the session is a source of its own.

    ``since_ms``: time of the first stored receipts. A session with only older events has no receipts and is a source of its
    own. A session whose receipts have expired, or whose first events have no receipt, has an unknown origin.
    """
    first_ms = session.first_ms or session.pending.received_ms
    if not senders:
        return None if first_ms < since_ms else SessionOrigin(None, None, mixed=not backfill)
    first, *others = _link_receipts(senders)
    begins_known = first[0].received_ms <= first_ms
    # New events belong to the source that joined the session last.
    latest = others[-1][-1] if others else first[-1]
    mixed = bool(others) or not (begins_known or backfill)
    return SessionOrigin(latest.today or None, latest.before or None, mixed, latest.key)


def _link_receipts(senders: Sequence[Sender]) -> list[list[Sender]]:
    """Receipts grouped by source: those that share a hash, directly or through others. Ordered by the first receipt."""
    chains: list[tuple[set[int], list[Sender]]] = []
    for sender in senders:
        names = {sender.today, sender.before}
        linked = [chain for chain in chains if chain[0] & names]
        if not linked:
            chains.append((names, [sender]))
            continue
        linked[0][0].update(names, *(chain[0] for chain in linked[1:]))
        linked[0][1].extend([*(linked_sender for chain in linked[1:] for linked_sender in chain[1]), sender])
        chains = [chain for chain in chains if not any(chain is other for other in linked[1:])]
    return [chain[1] for chain in chains]


def _read_senders(events: EventStore, hashes: Sequence[int]) -> Mapping[int, list[Sender]]:
    table = event_receipts.read_session_senders(events, hashes)
    names = ("session_hash", "received_ms", "source_today", "source_before", "ingest_key")
    columns = (table[name].to_pylist() for name in names)
    found: dict[int, list[Sender]] = defaultdict(list)
    for session_hash, *sender in zip(*columns, strict=True):
        found[session_hash].append(Sender(*sender))
    return found
