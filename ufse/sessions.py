"""From client sessions to visits: deduplication, order, gaps, late events, truncation.

**Order.** Event time, then ``seq``, then the rank of the kind (interaction, feedback, navigation), then the event id. An
unknown ``seq`` sorts before a known one (docs/contracts/detection.md, Sessions). Among interactions, a change of a field ranks
before a click, and a click before the submit that it causes. Arrival has no influence.

**Visits.** A gap of more than 15 min of event time, or without an action of a person, ends a visit (``ufse/visits.py``). Events
after the 10,000th action, and later than 12 h after the start, are counted but not analysed (``truncated``).

**Lateness** depends on stored receipt times only. In receipt order, a pause of more than 75 min in a client session begins a
new *receipt epoch*. An event of a later epoch is *late* if an accepted event of an earlier epoch lies within 15 min of it in
event time. Late events are counted at that visit and not analysed. All others are accepted: a tab left open overnight begins a
new visit, and a log of 2015 that is sent today at once is one epoch.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Bools, Ints, Small, any_by_owner, equals_any, expand_ranges, mark_group_starts
from ufse.clocks import correct_clocks
from ufse.columns import DISTINCT
from ufse.config import DEFAULT, Config
from ufse.encoding import encode_text_runs, encode_texts, rank_distinct_texts, read_integers
from ufse.event_columns import EventColumns, is_every_row
from ufse.patterns import digest_texts
from ufse.shapes import fill_unknown_routes, unfold_shapes
from ufse.visits import ACTION_TYPES, POINTER_TYPES, find_long_sessions, mark_analysed, mark_visit_starts

(
    CLICK,
    INPUT,
    SCROLL,
    HOVER,
    SUBMIT,
    NAVIGATION,
    ERROR,
    NETWORK,
    PERFORMANCE,
    LOADING,
    VISIBILITY,
    END,
    OTHER,
) = range(13)

KINDS: Final = {
    "click": CLICK,
    "input": INPUT,
    "scroll": SCROLL,
    "hover": HOVER,
    "form_submit": SUBMIT,
    "navigation": NAVIGATION,
    "error": ERROR,
    "network": NETWORK,
    "performance": PERFORMANCE,
    "loading": LOADING,
    "visibility": VISIBILITY,
    "session_end": END,
}
_RANKS = np.array([1, 0, 3, 3, 2, 6, 4, 4, 4, 4, 3, 7, 5], dtype=np.int64)
"""Rank of each kind among events of one instant: interactions 0–3, feedback 4, navigation 6, the end of the
session last.
"""

_ACTS: Final = tuple(KINDS[name] for name in ACTION_TYPES)
_POINTERS: Final = tuple(KINDS[name] for name in POINTER_TYPES)
"""Kinds of events, see ``ufse/visits.py``."""

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_MANY: Final = 50
"""If more than 1 row in this many seems to be a copy, whole event ids are compared before the rows are read."""


@dataclass(frozen=True)
class Visits:
    """One entry per visit, ordered by project, client session and start. Times are epoch milliseconds
    (event time).
    """

    projects: Sequence[str]
    """Distinct project ids; ``project_code`` indexes them."""
    sessions: Sequence[str]
    """Distinct client session ids; ``session_code`` indexes them."""
    project_code: Ints
    session_code: Ints
    start_ms: Ints
    end_ms: Ints
    events: Ints
    """Accepted events, including those beyond the truncation, without late ones."""
    late_events: Ints
    truncated: Bools

    def __len__(self) -> int:
        return len(self.start_ms)

    @cached_property
    def client_codes(self) -> Ints:
        """Per visit: code of its client session; ascending."""
        return np.cumsum(mark_group_starts(self.project_code, self.session_code)) - 1

    @cached_property
    def project(self) -> list[str]:
        return [self.projects[c] for c in self.project_code.tolist()]

    @cached_property
    def session_id(self) -> list[str]:
        return [self.sessions[c] for c in self.session_code.tolist()]

    @cached_property
    def visit_id(self) -> list[str]:
        return self.make_visit_ids(np.arange(len(self)))

    def make_visit_ids(self, chosen: Ints) -> list[str]:
        """The ids of these visits: a hash of (project, client session id, start), 32 hex characters."""
        keys = zip(
            self.project_code[chosen].tolist(),
            self.session_code[chosen].tolist(),
            self.start_ms[chosen].tolist(),
            strict=True,
        )
        return [digest_texts(("visit", self.projects[p], self.sessions[s], str(start))) for p, s, start in keys]

    def make_visit_id(self, visit: int) -> str:
        """The id of one visit, see ``make_visit_ids``."""
        return self.make_visit_ids(np.array([visit]))[0]


@dataclass(frozen=True)
class OrderedEvents:
    """The accepted events of a table in order; every array has one entry per accepted event."""

    table: pa.Table
    row: Ints
    """Row of the table."""
    ts: Ints
    kind: Small
    visit: Ints
    """Index into ``visits``; ascending."""
    analysed: Bools
    visits: Visits

    @cached_property
    def columns(self) -> EventColumns:
        """The columns of the events, each read once for all rules that look at whole batches."""
        return EventColumns(self.table, self.row)


def encode_kinds(table: pa.Table) -> Small:
    """The kind of every event as a small integer; an unknown type is OTHER."""
    code, texts = encode_texts(table, "event_type")
    return np.array([KINDS.get(t, OTHER) for t in texts] or [OTHER], dtype=np.int8)[code]


def sessionize(events: pa.Table, config: Config = DEFAULT) -> Visits:
    """The visits of whole client sessions; ``events`` has the columns of EVENT_SCHEMA in any row order."""
    return order_events(events, config).visits


def order_events(table: pa.Table, config: Config) -> OrderedEvents:
    """Deduplicates, orders and sessionizes; the result does not depend on the order of the rows."""
    table = unfold_shapes(table)
    project_code, projects = _encode_sorted_texts(table, "project")
    session_code, sessions = _encode_sorted_texts(table, "session_id")
    session = project_code * max(len(sessions), 1) + session_code
    ts, seq, kind = read_integers(table, "ts"), read_integers(table, "seq"), encode_kinds(table)
    received = read_integers(table, "received_ms")

    rows = _drop_later_copies(table, session)
    ts = correct_clocks(table, rows, session, ts, received)
    row = _order_rows(table, rows, session, ts, seq, kind)
    kinds = kind
    if not is_every_row(row, len(session)):
        session, ts, received, kinds = session[row], ts[row], received[row], kind[row]
    late = _is_late_event(session, ts, received, config)
    late_session, late_ts = session[late], ts[late]
    if late.any():
        row, session, ts, kinds = row[~late], session[~late], ts[~late], kinds[~late]

    first = _mark_first_events(session, ts, kinds, config)
    visit = np.cumsum(first) - 1
    begin = np.flatnonzero(first)
    end = np.append(begin[1:], len(row)) - 1 if len(begin) else begin
    counted = equals_any(kinds, CLICK, INPUT, SUBMIT, NAVIGATION)
    analysed = mark_analysed(visit, ts, begin, counted, config.max_visit_events, config.max_visit_ms)
    truncated = np.bincount(visit[~analysed], minlength=len(begin)) > 0
    owner = _find_late_owners(session[begin], ts[begin], ts[end], late_session, late_ts)
    visits = Visits(
        projects=projects,
        sessions=sessions,
        project_code=project_code[row[begin]],
        session_code=session_code[row[begin]],
        start_ms=ts[begin],
        end_ms=ts[end],
        events=end - begin + 1,
        late_events=np.bincount(owner, minlength=len(begin)).astype(np.int64),
        truncated=truncated,
    )
    table = fill_unknown_routes(table, row, session)
    return OrderedEvents(table, row, ts, kinds, visit.astype(np.int64), analysed, visits)


def _encode_sorted_texts(table: pa.Table, name: str) -> tuple[Ints, list[str]]:
    code, texts = encode_text_runs(table, name)
    rank, distinct = rank_distinct_texts(texts)
    return code if distinct == texts else rank[code], distinct


def _mark_first_events(session: Ints, ts: Ints, kinds: Small, config: Config) -> Bools:
    """Per event, ordered by session and time: whether it begins a visit."""
    first, long = find_long_sessions(session, ts, config.visit_gap_ms)
    if len(long):
        number = np.cumsum(first[long]) - 1
        acts = _find_acts(number, kinds[long])
        first[long] = mark_visit_starts(number, ts[long], acts, config.visit_gap_ms)
    return first


def _find_acts(session: Ints, kind: Small) -> Bools:
    """Per event: whether a person acts by it (``ufse/visits.py``)."""
    acts = equals_any(kind, *_ACTS)
    moves = np.flatnonzero(kind == NAVIGATION)
    if len(moves):
        pointed = any_by_owner(session, equals_any(kind, *_POINTERS), int(session[-1]) + 1)
        acts[moves] = ~pointed[session[moves]]
    return acts


def _order_rows(table: pa.Table, rows: Ints, session: Ints, ts: Ints, seq: Ints, kind: Small) -> Ints:
    if not is_every_row(rows, len(session)):
        session, ts = session[rows], ts[rows]
    low, high = (int(ts.min()), int(ts.max())) if len(ts) else (0, 0)
    bits = max((high - low).bit_length(), 1)
    if int(session.max(initial=0)).bit_length() + bits < 63:
        key = (session << bits) | (ts - low)
        order = _sort_session_keys(key, session)
        if order is not None:
            key, rows = key[order], rows[order]
        same = key[1:] == key[:-1]
    else:
        order = np.lexsort((ts, session))
        same = (session[order][1:] == session[order][:-1]) & (ts[order][1:] == ts[order][:-1])
        rows = rows[order]
    tied = np.zeros(len(rows), dtype=np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    if tied.any():
        group = np.cumsum(np.append(True, ~same))[tied]
        tied_rows = rows[tied]
        ids, _ = rank_distinct_texts(pc.take(table["event_id"], pa.array(tied_rows)).to_pylist())
        rows[tied] = tied_rows[np.lexsort((ids, _RANKS[kind[tied_rows]], seq[tied_rows], group))]
    return rows


def _sort_session_keys(key: Ints, session: Ints) -> Ints | None:
    """The stable order of the keys of packed sessions and times; None if they ascend already.

    A store returns session after session, each in order of time: then only the sessions need sorting.
    """
    down = key[1:] < key[:-1]
    if not down.any():
        return None
    first = mark_group_starts(session)
    begin = np.flatnonzero(first)
    blocks = np.argsort(session[begin], kind="stable")
    ordered = session[begin][blocks]
    if (down & ~first[1:]).any() or (ordered[1:] == ordered[:-1]).any():
        return np.argsort(key, kind="stable")
    return expand_ranges(begin[blocks], np.append(begin[1:], len(key))[blocks])[1]


def _drop_later_copies(table: pa.Table, session: Ints) -> Ints:
    """The rows without copies of one (session, event id); the copy that was received first stays."""
    if (table.schema.metadata or {}).get(DISTINCT) == b"1":
        return np.arange(len(session), dtype=np.int64)
    suspects = _find_repeated_keys(_hash_event_identity(table, session, exact=False))
    if len(suspects) * _MANY > len(session):
        suspects = _find_repeated_keys(_hash_event_identity(table, session, exact=True))
    if not len(suspects):
        return np.arange(len(session), dtype=np.int64)
    best: dict[tuple[int, str], tuple[int, int, str, int]] = {}
    for row, event in zip(suspects.tolist(), table.take(pa.array(suspects)).to_pylist(), strict=True):
        identity = (int(session[row]), str(event["event_id"]))
        rank = (event["received_ms"] or 0, event["ts"] or 0, repr(sorted(event.items())), row)
        if identity not in best or rank < best[identity]:
            best[identity] = rank
    keep = np.ones(len(session), dtype=np.bool_)
    keep[suspects] = False
    keep[[rank[3] for rank in best.values()]] = True
    return np.flatnonzero(keep)


def _find_repeated_keys(key: npt.NDArray[np.uint64]) -> Ints:
    """Rows whose key occurs more than once."""
    ordered = np.sort(key)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return np.flatnonzero(np.isin(key, repeated)) if len(repeated) else np.zeros(0, dtype=np.int64)


def _hash_event_identity(table: pa.Table, session: Ints, *, exact: bool) -> npt.NDArray[np.uint64]:
    """Per row: a 64-bit hash of (session, event id). Rows with equal hashes must be compared as texts.

    If not ``exact``, only the first and last 8 bytes of the id are hashed: UUIDs differ at the beginning, counters at the end.
    """
    column = table["event_id"]
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], pa.string())
    count = len(whole)
    width = pc.binary_length(whole)
    bounds = pc.min_max(width).as_py()
    mixed = session.astype(np.uint64) * _MIX
    if count == 0:
        return mixed
    if (
        exact
        or whole.null_count
        or bounds["min"] != bounds["max"]
        or bounds["min"] % 4
        or not pa.types.is_string(whole.type)
    ):
        code = pc.dictionary_encode(whole).indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.asarray((mixed ^ code.astype(np.int64).view(np.uint64)) * _MIX, dtype=np.uint64)
    size = bounds["min"]
    raw = np.frombuffer(whole.buffers()[2], dtype=np.uint8) if size else np.zeros(0, np.uint8)
    begin = int(np.frombuffer(whole.buffers()[1], dtype=np.int32)[whole.offset])
    words = np.ascontiguousarray(raw[begin : begin + size * count]).view(np.uint32).reshape(count, size // 4)
    for i in dict.fromkeys((*range(size // 4)[:2], *range(size // 4)[-2:])):
        mixed = (mixed ^ words[:, i]) * _MIX
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _is_late_event(session: Ints, ts: Ints, received: Ints, config: Config) -> Bools:
    """Which events are late; rows are ordered by (session, time)."""
    late = np.zeros(len(session), dtype=np.bool_)
    if not len(session):
        return late
    begin = np.flatnonzero(np.append(True, session[1:] != session[:-1]))
    span = np.maximum.reduceat(received, begin) - np.minimum.reduceat(received, begin)
    sizes = np.diff(np.append(begin, len(session)))
    rows = np.flatnonzero(np.repeat(span > config.late_receipt_silence_ms, sizes))
    if not len(rows):
        return late
    epoch = _number_receipt_epochs(session[rows], received[rows], config.late_receipt_silence_ms)
    accepted = epoch == 0
    for number in range(1, int(epoch.max()) + 1):
        in_epoch = np.flatnonzero(epoch == number)
        old = np.flatnonzero(accepted)
        near = _distance_to_nearest(session[rows[old]], ts[rows[old]], session[rows[in_epoch]], ts[rows[in_epoch]])
        accepted[in_epoch[near > config.visit_gap_ms]] = True
    late[rows[~accepted]] = True
    return late


def _number_receipt_epochs(session: Ints, received: Ints, silence_ms: int) -> Ints:
    # Most clients send in order of time; then no sorting is needed, and few are silent for so long.
    same = session[1:] == session[:-1]
    order = np.arange(len(session))
    if (same & (received[1:] < received[:-1])).any():
        order = np.lexsort((received, session))
        session, received = session[order], received[order]
        same = session[1:] == session[:-1]
    silent = same & (received[1:] - received[:-1] > silence_ms)
    if not silent.any():
        return np.zeros(len(session), dtype=np.int64)
    total = np.cumsum(np.append(0, silent))
    first = np.append(True, ~same)
    total -= total[np.flatnonzero(first)][np.cumsum(first) - 1]
    epoch = np.empty_like(total)
    epoch[order] = total
    return epoch


def _distance_to_nearest(old_session: Ints, old_ts: Ints, session: Ints, ts: Ints) -> Ints:
    """Per event: distance in ms to the nearest old event of its session; 2**62 without one.

    Both sides are ordered by (session, time).
    """
    far = np.int64(2**62)
    merged_session = np.concatenate((old_session, session))
    merged_ts = np.concatenate((old_ts, ts))
    is_old = np.arange(len(merged_ts)) < len(old_ts)
    order = np.lexsort((merged_ts, merged_session))
    distance = np.full(len(order), far)
    for direction in (1, -1):
        view = order[::direction]
        last = np.maximum.accumulate(np.where(is_old[view], np.arange(len(view)), -1))
        known = (last >= 0) & (merged_session[view] == merged_session[view[np.maximum(last, 0)]])
        gap = np.abs(merged_ts[view] - merged_ts[view[np.maximum(last, 0)]])
        distance[view] = np.minimum(distance[view], np.where(known, gap, far))
    return distance[len(old_ts) :]


def _find_late_owners(session: Ints, start: Ints, end: Ints, late_session: Ints, late_ts: Ints) -> Ints:
    """Per late event: the visit at which it is counted: the one of its session that is nearest in time."""
    if not len(late_ts):
        return np.zeros(0, dtype=np.int64)
    starts, ends = start.tolist(), end.tolist()
    owners = []
    low = np.searchsorted(session, late_session, "left").tolist()
    high = np.searchsorted(session, late_session, "right").tolist()
    for t, first, last in zip(late_ts.tolist(), low, high, strict=True):
        after = bisect_right(starts, t, first, last)
        before = max(after - 1, first)
        owners.append(after if after < last and starts[after] - t < t - ends[before] else before)
    return np.array(owners, dtype=np.int64)
