"""The table ``session_steps``: which steps each analysed client session reached, and how many reached those of incidents.

Nothing is ever added to a count. A count belongs to a bucket of first receipt, and the buckets of changed sessions are counted
anew, so that a rerun, a late event and an erasure give the same numbers (docs/impact.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from incidents.impact import BucketCount
from stores.events.event_database import DICTIONARY_SETTINGS
from stores.events.event_reader import build_span_parameters
from stores.events.event_rows import to_int64_array, to_uint64_array
from stores.events.event_store import EventStore
from ufse.steps import USED_COLUMNS, USED_TYPES, UsedSteps, find_used_steps

SLOT_MS: Final = 15 * 60_000
"""Length of the buckets that are counted anew: as long as a session is at least open (own choice)."""
DAY_MS: Final = 86_400_000
NEVER_MS: Final = 2**62
"""A time after every session."""
SESSION_USES: Final = 2_000
"""Uses of a client session that are read, the first ones (own choice): more are no person's."""
PART_USES: Final = 300_000
"""Uses that are read at once: about 60 MB."""
FACET_VALUES: Final = 50
"""Values of a facet of a bucket that are kept, those of most sessions: a hostile client could invent versions without end."""

STEP_COLUMNS: Final = pa.schema(
    [
        ("project", pa.string()),
        ("session_hash", pa.uint64()),
        ("slot_ms", pa.int64()),
        ("started_ms", pa.int64()),
        ("app_version", pa.string()),
        ("environment", pa.string()),
        ("browser", pa.string()),
        ("steps", pa.list_(pa.int64())),
        ("hits", pa.list_(pa.int64())),
        ("counted_us", pa.uint64()),
    ]
)
"""Columns of the table in the order in which they are inserted."""

SEPARATOR: Final = "\x1f"

_USED = f"event_type IN {USED_TYPES} AND NOT (event_type = 'input' AND action IN ('focus', 'blur'))"
_SESSIONS = f"""
    SELECT session_hash, any(project) AS project, any(session_id) AS session_id,
           intDiv(min(received_ms), {SLOT_MS}) * {SLOT_MS} AS slot_ms,
           least(min(ts), min(received_ms)) AS started_ms,
           argMaxIf(app_version, ts, app_version != '') AS app_version,
           argMaxIf(environment, ts, environment != '') AS environment,
           argMaxIf(user_agent, ts, user_agent != '') AS user_agent,
           countIf({_USED}) AS uses
    FROM events
    WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}} AND session_hash IN {{hashes:Array(UInt64)}}
    GROUP BY session_hash
    ORDER BY session_hash
"""
# Not grouped here: of a dozen columns of text this takes as long as reading them, and the engine reads distinct texts anyway.
_USES = f"""
    SELECT session_hash AS session, ts, seq, {", ".join(USED_COLUMNS)}
    FROM events
    WHERE received_ms >= {{first:Int64}} AND received_ms <= {{last:Int64}} AND session_hash IN {{hashes:Array(UInt64)}}
      AND {_USED}
"""
_FIRST_USES = f"{_USES} ORDER BY session, ts, seq, event_id LIMIT {SESSION_USES} BY session"
_COUNTED = """
    SELECT session_hash, slot_ms, steps
    FROM session_steps FINAL
    WHERE slot_ms >= {since:Int64} AND session_hash IN {hashes:Array(UInt64)}
"""
_OF_SESSIONS = (
    "SELECT session_hash, slot_ms, steps FROM session_steps FINAL WHERE session_hash IN {hashes:Array(UInt64)}"
)
_REACHED = f"""
    SELECT incident, bucket_ms, is_day, after_fix, pair.1 AS facet, pair.2 AS value, count() AS reached, sum(hit) AS hit
    FROM (
        SELECT watched.incident AS incident, used.slot_ms < {{horizon:Int64}} AS is_day,
               if(is_day, intDiv(used.slot_ms, {DAY_MS}) * {DAY_MS}, used.slot_ms) AS bucket_ms,
               used.started_ms > watched.fixed_ms AND (
                   watched.incident NOT IN {{versioned:Array(Int64)}}
                   OR concat(toString(watched.incident), '{SEPARATOR}', used.environment, '{SEPARATOR}', used.app_version)
                      IN {{showing:Array(String)}}) AS after_fix,
               has(used.hits, watched.incident) AS hit,
               arrayJoin([('', ''), ('appVersions', used.app_version), ('environments', used.environment),
                          ('browsers', used.browser)]) AS pair
        FROM (
            SELECT slot_ms, started_ms, toString(app_version) AS app_version, toString(environment) AS environment,
                   toString(browser) AS browser, hits, arrayJoin(steps) AS step
            FROM session_steps FINAL
            WHERE {{condition}}
        ) AS used
        INNER JOIN (
            SELECT zipped.1 AS step, zipped.2 AS incident, zipped.3 AS fixed_ms
            FROM (
                SELECT arrayJoin(arrayZip({{steps:Array(Int64)}}, {{incidents:Array(Int64)}}, {{fixed:Array(Int64)}})) AS zipped
            )
        ) AS watched ON used.step = watched.step
    )
    WHERE facet = '' OR value != ''
    GROUP BY incident, bucket_ms, is_day, after_fix, facet, value
    ORDER BY incident, bucket_ms, is_day, after_fix, facet, reached DESC, value
    LIMIT {FACET_VALUES} BY incident, bucket_ms, is_day, after_fix, facet
"""
_IN_SLOTS = f"""
    slot_ms >= {{first:Int64}} AND slot_ms <= {{last:Int64}}
    AND (has({{slots:Array(Int64)}}, slot_ms)
         OR (slot_ms < {{horizon:Int64}} AND has({{days:Array(Int64)}}, intDiv(slot_ms, {DAY_MS}) * {DAY_MS})))
"""
_ONE_DAY: Final = {"do_not_merge_across_partitions_select_final": 1}


class Buckets(NamedTuple):
    """Buckets of first receipt (epoch ms): slots, and days of which only the slots before the horizon count."""

    slots: list[int]
    days: list[int]

    @staticmethod
    def of_slots(slots: Sequence[int], horizon_ms: int) -> "Buckets":
        """The buckets of these slots: before the horizon, whole days."""
        recent = sorted({slot for slot in slots if slot >= horizon_ms})
        return Buckets(recent, sorted({slot - slot % DAY_MS for slot in slots if slot < horizon_ms}))


@dataclass(frozen=True)
class WatchedIncident:
    """An incident whose step is counted.

    ``code``: its number in ``hits``; ``fixed_ms``: time of its fix, or ``NEVER_MS``. ``showing``: the environments and versions
    of the sessions that count after the fix; None: all of them.
    """

    code: int
    step: int
    fixed_ms: int = NEVER_MS
    showing: Sequence[tuple[str, str]] | None = None


def read_sessions(store: EventStore, hashes: Sequence[int], first_received_ms: int) -> pa.Table:
    """These client sessions as their events are now, ordered by hash; those without an event are left out.

    Columns: session_hash, project, session_id, slot_ms, started_ms, app_version, environment, user_agent, uses (a number).
    ``first_received_ms``: nothing of them was received before.
    """
    return store.query_arrow(_SESSIONS, build_span_parameters(hashes, first_received_ms, None))


def read_used_steps(store: EventStore, sessions: pa.Table, first_received_ms: int) -> UsedSteps:
    """The steps that the client sessions of ``read_sessions`` reached. Memory is bounded, however many events they have."""
    hashes, uses = to_uint64_array(sessions["session_hash"]), to_int64_array(sessions["uses"])
    large = uses > SESSION_USES
    part = np.cumsum(np.minimum(uses, SESSION_USES)) // PART_USES
    found = [
        find_used_steps(
            store.query_arrow(sql, build_span_parameters(chosen.tolist(), first_received_ms, None), DICTIONARY_SETTINGS)
        )
        for sql, kind in ((_USES, ~large & (uses > 0)), (_FIRST_USES, large))
        for number in np.unique(part[kind]).tolist()
        if len(chosen := hashes[kind & (part == number)])
    ]
    return UsedSteps.join_parts(found)


def read_counted_sessions(store: EventStore, hashes: Sequence[int], first_received_ms: int | None = None) -> pa.Table:
    """The rows of these client sessions: session_hash, slot_ms, steps. ``first_received_ms``: none of them began before."""
    listed = [int(h) for h in hashes]
    if first_received_ms is None:
        return store.query_arrow(_OF_SESSIONS, {"hashes": listed}, _ONE_DAY)
    since = first_received_ms - first_received_ms % SLOT_MS
    return store.query_arrow(_COUNTED, {"hashes": listed, "since": since}, _ONE_DAY)


def record_session_steps(store: EventStore, rows: pa.Table) -> None:
    """Write rows of ``STEP_COLUMNS``; each replaces the one of its session and slot."""
    if rows.num_rows:
        with store.borrow_client() as client:
            # The default limit is 100 days; a backfill may have more.
            client.insert_arrow("session_steps", rows, settings={"max_partitions_per_insert_block": 0})


def count_reached(
    store: EventStore, watched: Sequence[WatchedIncident], horizon_ms: int, buckets: Buckets | None = None
) -> list[BucketCount]:
    """Sessions that reached the steps of these incidents, and that they hit, in the ``buckets`` (None: in all)."""
    if not watched or buckets == ([], []):
        return []
    parameters: dict[str, object] = {
        "horizon": horizon_ms,
        "steps": [incident.step for incident in watched],
        "incidents": [incident.code for incident in watched],
        "fixed": [incident.fixed_ms for incident in watched],
        "versioned": [incident.code for incident in watched if incident.showing is not None],
        "showing": [
            SEPARATOR.join((str(incident.code), *version)) for incident in watched for version in incident.showing or ()
        ],
    }
    if buckets is not None:
        ends = [*buckets.slots, *(day + DAY_MS for day in buckets.days)]
        parameters |= {
            "slots": buckets.slots,
            "days": buckets.days,
            "first": min([*buckets.slots, *buckets.days]),
            "last": max(ends),
        }
    sql = _REACHED.replace("{condition}", "1" if buckets is None else _IN_SLOTS)
    found = store.query_arrow(sql, parameters, _ONE_DAY)
    columns = [found[name].to_pylist() for name in BucketCount._fields]
    columns[2:4] = [list(map(bool, column)) for column in columns[2:4]]
    return list(map(BucketCount._make, zip(*columns, strict=True)))
