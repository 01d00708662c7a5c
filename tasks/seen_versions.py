"""The versions that sessions show, and from how many senders, noted when sessions are counted (docs/decisions/0139)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from stores.events.event_receipts import read_session_senders
from stores.events.event_store import EventStore
from stores.incidents.incident_source import derive_own_source
from stores.incidents.releases import SeenVersions, VersionKey, VersionSight

MOST_SESSIONS: Final = 200
"""Sessions of a version whose senders are looked up at once (own choice): a second sender is among them, or comes later."""


def note_seen_versions(events: EventStore, versions: SeenVersions, sessions: pa.Table, people: pa.Table) -> None:
    """Note the versions of the sessions of ``people`` (rows of ``STEP_COLUMNS``, without programs); ``sessions``: of
    ``read_sessions``, which names them. Senders are looked up for versions of which no two are known."""
    sights: dict[VersionKey, VersionSight] = {}
    hashes: dict[VersionKey, list[int]] = defaultdict(list)
    names = ("project", "environment", "app_version", "session_hash", "slot_ms", "started_ms")
    for project, environment, version, session, slot, started in zip(
        *(people[name].to_pylist() for name in names), strict=True
    ):
        key = VersionKey(project, environment, version)
        # A client's clock may be early: nothing was seen before the slot of its receipt.
        at = datetime.fromtimestamp(max(slot, started) / 1000, UTC)
        if key not in sights or at < sights[key].at:
            sights[key] = VersionSight(project, environment, version, at)
        hashes[key].append(session)
    unspread = versions.see_versions(list(sights.values()))
    if unspread:
        wanted = {key: hashes[key][:MOST_SESSIONS] for key in unspread if key in hashes}
        versions.note_sources(unspread, _find_sources(events, wanted, sessions))


def _find_sources(
    events: EventStore, wanted: dict[VersionKey, list[int]], sessions: pa.Table
) -> dict[VersionKey, Sequence[Sequence[int]]]:
    """The hashes of each sender of these sessions. One without a receipt is of a sender of its own."""
    listed = sorted({session for chosen in wanted.values() for session in chosen})
    table = read_session_senders(events, listed)
    senders: dict[int, list[list[int]]] = defaultdict(list)
    for session, today, before in zip(
        *(table[name].to_pylist() for name in ("session_hash", "source_today", "source_before")), strict=True
    ):
        senders[session].append([name for name in (today, before) if name])
    ids = dict(zip(sessions["session_hash"].to_pylist(), sessions["session_id"].to_pylist(), strict=True))
    return {
        key: [
            hashes
            for session in chosen
            for hashes in senders.get(session) or [[derive_own_source(key.project, ids[session])]]
            if hashes
        ]
        for key, chosen in wanted.items()
    }
