"""The frame: the events that detection reads, as parallel arrays of integer codes with tables of texts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np

from ufse.arrays import Bools, Ints, Small, any_by_owner, count_rows_before, mark_group_starts, search_sorted_near
from ufse.collectors import SessionReports
from ufse.config import Config
from ufse.endpoints import encode_endpoints
from ufse.event_columns import EventColumns, encode_folded_texts
from ufse.history import NO_HISTORY, ProjectHistory
from ufse.known import EndpointKnowledge, Known
from ufse.loading import add_loading_durations
from ufse.patterns import clean_text, find_flow_name, fold_path
from ufse.sessions import CLICK, ERROR, INPUT, LOADING, NAVIGATION, NETWORK, PERFORMANCE, SCROLL, OrderedEvents
from ufse.target_codes import encode_targets
from ufse.targets import Target

BODY_ERROR = 1_200
"""Stands for the status of an answer 2xx or 3xx whose body names an error; no HTTP status is as large."""
_WORDS = {
    "nav_type": NAVIGATION,
    "input_method": CLICK,
    "action": INPUT,
    "error_type": ERROR,
    "perf_kind": PERFORMANCE,
    "state": LOADING,
    "direction": SCROLL,
}
"""Columns with a small vocabulary, each read at one kind of event only."""


@dataclass(frozen=True)
class Frame:
    """Columns with one entry per event, ordered by visit and time. Texts are codes into the lists named beside them."""

    source: EventColumns
    visit: Ints
    """Number of the visit; ascending."""
    ts: Ints
    """Epoch ms."""
    rel: Ints
    """Milliseconds since the visit's first event."""
    kind: Small
    low: Ints
    """Per visit number: its first row; ``high``: the row after its last. Equal for visits that are not in the frame."""
    high: Ints
    truncated: Bools
    """Per visit number: whether only its beginning is analysed."""
    client: Ints
    """Per visit number: code of its client session; ascending."""
    route: Ints
    routes: Sequence[str]
    pattern: Ints
    patterns: Sequence[str]
    flows: Sequence[str]
    """Per pattern: the name of its flow."""
    raw_target: Ints
    """The control that was hit: the same button in two rows of a list is two controls, and its icon is no other."""
    target: Ints
    """Target with generated ids replaced; PAGE is 0. An action is a (pattern, target)."""
    targets: Sequence[Target]
    target_ignored: Bools
    """Per event: its route or target is on an ignore list."""
    status: Small
    duration: Ints
    """Milliseconds; at the start of a loading phase, how long the phase lasted."""
    endless: Bools
    """Starts of loading phases without an end."""
    endpoint: Ints
    """Per network event: code of (method, folded URL); per error: code of (type, folded message); else -1."""
    endpoints: Sequence[str]
    endpoint_known: Bools
    """Per endpoint code: whether a URL or message identifies it; one more entry for -1."""
    noise: Bools
    """Per event: noise that is recognised by itself: preflights, images, fonts, media, extensions, harmless errors."""
    unattended: Bools
    """Per event: it is a navigation that no person made or saw, see ``ufse.presence``."""
    words: dict[str, tuple[Small, list[str]]]
    """By column name: (code per event, -1 at events of other kinds; texts by code). See ``column_equals``."""
    known: Known
    """What is known of endpoints and collectors from other sessions and from the sessions as a whole."""

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def aborted(self) -> Small:
        return self.source["aborted"]

    @property
    def third_party(self) -> Small:
        return self.source["third_party"]

    def is_external_or_download(self, rows: Ints) -> Bools:
        """Per navigation in ``rows``: whether it is to an external page, or a download; neither leaves a flow."""
        return np.asarray((self.source.read_at("external", rows) == 1) | (self.source.read_at("download", rows) == 1))

    @cached_property
    def endpoint_knowledge(self) -> EndpointKnowledge | None:
        """What other sessions show of each event's endpoint; None if nothing is known."""
        return self.known.describe_endpoints(self.visit, self.endpoint, self.endpoints)

    @cached_property
    def _shows_success(self) -> Bools:
        """Per visit number: whether a request of it was answered 2xx or 3xx."""
        good = (self.kind == NETWORK) & (self.status >= 200) & (self.status < 400)
        return any_by_owner(self.visit, good, len(self.low))

    def lacks_successes(self, visit: Ints) -> Bools:
        """Per visit number asked: whether its collector reports no successes (see ``Known.reports_no_successes``)."""
        found = ~self._shows_success[visit]
        if found.any():  # else the batch need not be read
            found &= self.known.reports_no_successes[visit]
        return found

    @cached_property
    def unseen(self) -> Bools:
        """Per event: whether it came from a page that was prerendered, which nobody saw yet."""
        if "prerendered" not in self.source.table.column_names:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray(self.source["prerendered"] == 1, dtype=np.bool_)

    @cached_property
    def only_reads(self) -> Bools:
        """Per endpoint: whether its method is known and only reads."""
        return np.array([e.startswith(_SAFE_METHODS) for e in self.endpoints] or [False])

    @cached_property
    def may_read(self) -> Bools:
        """Per endpoint: whether its method only reads or is unknown."""
        return np.array([not e or e.startswith((*_SAFE_METHODS, "/")) for e in self.endpoints] or [True])

    @cached_property
    def target_sort(self) -> Ints:
        """Per target: the code of its type, the part of its name before its own id or label."""
        sorts = [_TYPE.match(t.name)[0] for t in self.targets]  # type: ignore[index]
        place = {text: i for i, text in enumerate(dict.fromkeys(sorts))}
        return np.array([place[s] for s in sorts], dtype=np.int64)

    @cached_property
    def is_first_row(self) -> Bools:
        """Per event: whether it is the first of its visit."""
        return mark_group_starts(self.visit)

    @cached_property
    def is_last_row(self) -> Bools:
        """Per event: whether it is the last of its visit."""
        return np.append(self.is_first_row[1:], True)

    @cached_property
    def _visit_clock(self) -> tuple[Ints, int]:
        """Per event: visit and time packed into one ascending integer; and the factor of the visit."""
        width = int(self.rel.max(initial=0)) + 3
        return self.visit * width + self.rel + 1, width

    @cached_property
    def _visit_starts(self) -> Ints:
        """Per visit number: the time of its first event, epoch ms."""
        return self.ts[np.minimum(self.low, len(self.ts) - 1)]

    def find_first_since(self, visit: Ints, at: Ints, near: Ints | None = None) -> Ints:
        """Per (visit, epoch ms): the first row of the visit at or after the time; the row after its last without one.

        ``near``: per query, a row close to most results; it makes the search several times faster.
        """
        clock, width = self._visit_clock
        since = np.clip(at - self._visit_starts[visit] + 1, 0, width - 1)
        asked = visit * width + since
        return np.searchsorted(clock, asked) if near is None else search_sorted_near(clock, asked, near)

    def find_last_until(self, rows: Ints, visit: Ints, at: Ints, near: Ints | None = None) -> Ints:
        """Per (visit, epoch ms): the last of the ascending ``rows`` at or before it in the visit, -1 without one."""
        if not len(rows) or not len(visit):
            return np.full(len(visit), -1, dtype=np.int64)
        place = count_rows_before(rows, self.find_first_since(visit, at + 1, near), len(self)) - 1
        found = rows[np.maximum(place, 0)]
        return np.where((place >= 0) & (self.visit[found] == visit), found, -1)

    def trim_for_explanation(self) -> "Frame":
        """The same without the columns that only the rules read: the part that detections keep in memory."""
        ints, bools = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
        return replace(
            self,
            source=EventColumns(self.source.table, self.source.row),
            words={name: self.words[name] for name in ("nav_type", "perf_kind")},
            known=Known.make_empty(),
            rel=ints,
            route=ints,
            raw_target=ints,
            target_ignored=bools,
            endless=bools,
            noise=bools,
            unattended=bools,
        )

    def column_equals(self, column: str, *accepted: str, rows: Ints | None = None) -> Bools:
        """Per event, or per row of ``rows``: whether the column's text is one of ``accepted``; False at other kinds of
        events.
        """
        code, texts = self.words[column]
        asked = code if rows is None else code[rows]
        found = np.zeros(len(asked), dtype=np.bool_)
        for place in [i for i, text in enumerate(texts) if text in accepted]:
            found |= asked == place
        return found


def build_frame(
    ordered: OrderedEvents,
    rows: Ints,
    config: Config,
    unattended: Bools | None = None,
    history: ProjectHistory = NO_HISTORY,
) -> Frame:
    """The frame of the ordered events with these ascending numbers. ``unattended``: per row, see ``Frame``; None: nowhere."""
    source = EventColumns(ordered.table, ordered.row[rows])
    kind, visit, ts = ordered.kind[rows], ordered.visit[rows], ordered.ts[rows]
    route, routes = source.read_codes("route", np.arange(len(rows)))
    pattern, patterns = encode_folded_texts(route, [fold_path(r) for r in routes])
    raw_target, target, targets, raw_ignored = encode_targets(source, kind, visit, route, config)
    endpoint, endpoints, known, noise = encode_endpoints(source, kind)
    words = {name: _encode_vocabulary(source, name, kind == own) for name, own in _WORDS.items()}
    low, high = _find_visit_rows(visit, len(ordered.visits))
    duration, endless = _read_durations(source, ordered, rows, words["state"])
    return Frame(
        source=source,
        visit=visit,
        ts=ts,
        rel=ts - ts[low[visit]],
        kind=kind,
        low=low,
        high=high,
        truncated=ordered.visits.truncated,
        client=ordered.visits.client_codes,
        route=route,
        routes=[clean_text(r) for r in routes],
        pattern=pattern,
        patterns=patterns,
        flows=[find_flow_name(p) for p in patterns],
        raw_target=raw_target,
        target=target,
        targets=targets,
        target_ignored=_is_ignored_route(routes, config)[route] | raw_ignored,
        status=_read_statuses(source),
        duration=duration,
        endless=endless,
        endpoint=endpoint,
        endpoints=endpoints,
        endpoint_known=known,
        noise=noise,
        unattended=np.zeros(len(rows), dtype=np.bool_) if unattended is None else unattended,
        words=words,
        known=Known(history, SessionReports(ordered, config)),
    )


def _read_statuses(source: EventColumns) -> Small:
    """Per event: its status, -1 where unknown; `BODY_ERROR` for a good answer whose body names an error."""
    status = source["status"]
    if "body_error" not in source.table.column_names:
        return status
    wrong = (source["body_error"] == 1) & (status >= 200) & (status < 400)
    return np.where(wrong, np.int32(BODY_ERROR), status) if wrong.any() else status


def _find_visit_rows(visit: Ints, count: int) -> tuple[Ints, Ints]:
    """Per visit number: its first row, and the row after its last."""
    sizes = np.bincount(visit, minlength=count)
    high = np.cumsum(sizes)
    return high - sizes, high


def _is_ignored_route(routes: Sequence[str], config: Config) -> Bools:
    """Per route: whether the project ignores it or its pattern."""
    ignored = [any(fnmatchcase(r, p) or fnmatchcase(fold_path(r), p) for p in config.ignored_routes) for r in routes]
    return np.array(ignored or [False])


def _read_durations(
    source: EventColumns, ordered: OrderedEvents, rows: Ints, state: tuple[Small, list[str]]
) -> tuple[Ints, Bools]:
    """Per event: its duration in ms, and whether it starts a loading phase without an end."""
    code, texts = state
    starts = np.array([*(t == "start" for t in texts), False])[code]
    kind, visit, ts = ordered.kind[rows], ordered.visit[rows], ordered.ts[rows]
    sent = source["duration_ms"].astype(np.int64)
    return add_loading_durations(sent, kind, visit, ts, ordered.visits.end_ms, starts)


def _encode_vocabulary(source: EventColumns, name: str, own: Bools) -> tuple[Small, list[str]]:
    """(Code per event, texts by code); -1 at events that are not ``own``."""
    at = np.flatnonzero(own)
    own_codes, texts = source.read_codes(name, at)
    code: Small = np.full(len(own), -1, dtype=np.int16 if len(texts) < 2**15 else np.int64)
    code[at] = own_codes
    return code, texts


_TYPE = re.compile(r"[A-Za-z-]*")

_SAFE_METHODS = ("GET ", "HEAD ", "OPTIONS ")
"""Prefixes of the labels of requests that only read (RFC 9110, 9.2.1)."""
