"""The sorted frame: the events that detection looks at, as parallel arrays of integer codes with tables of
texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from ufse.arrays import (
    Bools,
    Ints,
    Small,
    any_by_owner,
    compact_codes,
    count_rows_before,
    equals_any,
    mark_group_starts,
    min_by_owner,
    search_sorted_near,
)
from ufse.config import Config
from ufse.patterns import clean_text, find_flow_name, fold_message, fold_path, fold_path_uncached
from ufse.sessions import (
    CLICK,
    ERROR,
    HOVER,
    INPUT,
    LOADING,
    NAVIGATION,
    NETWORK,
    PERFORMANCE,
    SCROLL,
    SUBMIT,
    OrderedEvents,
    encode_texts,
    read_integers,
)
from ufse.targets import NO_TARGET, Target, describe_target

PAGE = 0
"""Code of the target of an action that is a page being opened or reloaded."""

_WORDS = {
    "nav_type": NAVIGATION,
    "input_method": CLICK,
    "action": INPUT,
    "error_type": ERROR,
    "perf_kind": PERFORMANCE,
    "state": LOADING,
    "direction": SCROLL,
}
"""The small vocabularies, each read at one kind of event only."""
_TARGET_KINDS = (CLICK, INPUT, SUBMIT, NAVIGATION, ERROR)
"""Kinds whose target is read."""


@dataclass(frozen=True)
class EventColumns:
    """The columns of a frame's events in its order, converted when they are first asked for."""

    table: pa.Table
    row: Ints
    """Row of the table, per event."""
    _numbers: dict[str, Small] = field(default_factory=dict)
    _stored: dict[str, Small] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Small:
        """A numeric column, -1 where unknown."""
        if name not in self._numbers:
            self._numbers[name] = self._read_column(name)[self.row]
        return self._numbers[name]

    def read_at(self, name: str, rows: Ints) -> Small:
        """A numeric column at some events, for those that only events of one kind have."""
        return self._numbers[name][rows] if name in self._numbers else self._read_column(name)[self.row[rows]]

    def _read_column(self, name: str) -> Small:
        """A numeric column as the table has it; seldom a copy."""
        if name not in self._stored:
            column = self.table[name]
            self._stored[name] = (column.fill_null(-1) if column.null_count else column).to_numpy()
        return self._stored[name]

    def read_codes(self, name: str, at: Ints) -> tuple[Ints, list[str]]:
        """A text column at some events: (code of each, distinct texts)."""
        return encode_texts(self.table, name, self.row[at])

    def read_texts(self, name: str, at: Ints) -> list[str]:
        """The texts of a column at some events; null is the empty text."""
        taken = self.table[name].take(pa.array(self.row[at]))
        return [t or "" for t in taken.to_pylist()]


@dataclass(frozen=True)
class Frame:
    """One entry per event, ordered by visit and time. Strings are codes into the tables named beside them."""

    source: EventColumns
    visit: Ints
    """Number of the visit; ascending."""
    ts: Ints
    rel: Ints
    """Milliseconds since the visit's first event."""
    kind: Small
    low: Ints
    """Per visit number: its first row, ``high`` the row after its last; equal for visits that are not in the frame."""
    high: Ints
    truncated: Bools
    """Per visit number: whether it was too long to be analysed as a whole."""
    route: Ints
    routes: Sequence[str]
    pattern: Ints
    patterns: Sequence[str]
    flows: Sequence[str]
    """Per pattern: what names its flow."""
    raw_target: Ints
    """Exact target: two rows of a list are two controls."""
    target: Ints
    """Target with generated ids folded; PAGE is 0. An action is a (pattern, target)."""
    targets: Sequence[Target]
    target_ignored: Bools
    """Per event: its route or target is on an ignore list."""
    status: Small
    duration: Ints
    """Milliseconds; of the start of a loading phase, how long it lasted."""
    endless: Bools
    """Starts of loading phases without an end."""
    endpoint: Ints
    """Per network event: code of (method, folded URL); per error: code of its type and folded message; else
    -1.
    """
    endpoints: Sequence[str]
    endpoint_known: Bools
    """Per endpoint code: whether a URL or message identifies it; one entry more, for no endpoint."""
    noise: Bools
    """Per event: preflight, image, font, media, extension, third-party or aborted noise recognisable by
    itself.
    """
    words: dict[str, tuple[Small, list[str]]]
    """Small vocabularies by column name, with codes at the events of the kind that has them (see ``is_word``)."""

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def flags(self) -> EventColumns:
        """Rarely used numeric columns by name, e.g. ``selection``; -1 is unknown."""
        return self.source

    @property
    def aborted(self) -> Small:
        return self.source["aborted"]

    @property
    def third_party(self) -> Small:
        return self.source["third_party"]

    def is_external_or_download(self, rows: Ints) -> Bools:
        """Per navigation: to an external page, or a download; neither leaves anything."""
        return np.asarray((self.source.read_at("external", rows) == 1) | (self.source.read_at("download", rows) == 1))

    @cached_property
    def only_reads(self) -> Bools:
        """Per endpoint: a request whose method is told, and only reads."""
        return np.array([e.startswith(_SAFE_METHODS) for e in self.endpoints] or [False])

    @cached_property
    def may_read(self) -> Bools:
        """Per endpoint: a request that only reads, or whose method is not told."""
        return np.array([not e or e.startswith((*_SAFE_METHODS, "/")) for e in self.endpoints] or [True])

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
        """Visit and time of every event in one ascending integer, and the width of a visit in it."""
        width = int(self.rel.max(initial=0)) + 3
        return self.visit * width + self.rel + 1, width

    @cached_property
    def _visit_starts(self) -> Ints:
        """Per visit number: the time of its first event."""
        return self.ts[np.minimum(self.low, len(self.ts) - 1)]

    def find_first_since(self, visit: Ints, at: Ints, near: Ints | None = None) -> Ints:
        """The first row of the visit at or after the time (epoch ms); the row after its last where there is none.

        ``near``: rows that most answers stand close to, which makes finding them several times faster.
        """
        clock, width = self._visit_clock
        since = np.clip(at - self._visit_starts[visit] + 1, 0, width - 1)
        asked = visit * width + since
        return np.searchsorted(clock, asked) if near is None else search_sorted_near(clock, asked, near)

    def find_last_until(self, rows: Ints, visit: Ints, at: Ints, near: Ints | None = None) -> Ints:
        """For each (visit, epoch ms): the last of the given ascending rows at or before it, -1 without one."""
        if not len(rows) or not len(visit):
            return np.full(len(visit), -1, dtype=np.int64)
        place = count_rows_before(rows, self.find_first_since(visit, at + 1, near), len(self)) - 1
        found = rows[np.maximum(place, 0)]
        return np.where((place >= 0) & (self.visit[found] == visit), found, -1)

    def trim_for_explanation(self) -> "Frame":
        """The same without what only the rules read: what detections that are told later keep in memory."""
        ints, bools = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
        return replace(
            self,
            source=EventColumns(self.source.table, self.source.row),
            words={name: self.words[name] for name in ("nav_type", "perf_kind")},
            rel=ints,
            route=ints,
            raw_target=ints,
            target_ignored=bools,
            endless=bools,
            noise=bools,
        )

    def column_equals(self, column: str, *accepted: str, rows: Ints | None = None) -> Bools:
        """Whether the column's text is one of the accepted ones: per event, or per given row, of the column's kind."""
        code, texts = self.words[column]
        asked = code if rows is None else code[rows]
        found = np.zeros(len(asked), dtype=np.bool_)
        for place in [i for i, text in enumerate(texts) if text in accepted]:
            found |= asked == place
        return found


def may_be_negative(ordered: OrderedEvents, config: Config) -> Bools:
    """Per ordered event: could it be negative feedback at all? Decides which visits are looked at further.

    A visit without any such event can hold no *feedback* signal (detection.md, Correlation 2).
    """
    table, row, kind = ordered.table, ordered.row, ordered.kind
    status, duration = read_integers(table, "status")[row], read_integers(table, "duration_ms")[row]
    network = (kind == NETWORK) & ((status >= 400) | (status == 0) | (duration >= config.slow_ms))
    performance = (kind == PERFORMANCE) & ((duration >= config.slow_ms) | (duration < 0))
    invalid = (kind == SUBMIT) & (read_integers(table, "valid")[row] == 0)
    found = network | performance | invalid | (kind == ERROR) | _is_slow_loading(ordered, config)
    return np.asarray(found & ordered.analysed, dtype=np.bool_)


def _is_slow_loading(ordered: OrderedEvents, config: Config) -> Bools:
    """Starts of a loading phase that lasted 3 s or did not end while the visit went on for 3 s."""
    found = np.zeros(len(ordered.row), dtype=np.bool_)
    rows = np.flatnonzero(ordered.kind == LOADING)
    if len(rows):
        code, texts = encode_texts(ordered.table.select(["state"]).take(pa.array(ordered.row[rows])), "state")
        starts = np.array([t == "start" for t in texts])[code]
        lasted, _ = _measure_loading_phases(
            ordered.visit[rows], ordered.ts[rows], ordered.visits.end_ms[ordered.visit[rows]]
        )
        found[rows[starts & (lasted >= config.slow_ms)]] = True
    return found


def _measure_loading_phases(visit: Ints, ts: Ints, end: Ints) -> tuple[Ints, Bools]:
    """Of loading events in order: ms until the next one or the end of the visit, and whether none follows."""
    last = np.append(visit[1:] != visit[:-1], True)
    return np.where(last, end, np.append(ts[1:], 0)) - ts, last


def _add_loading_durations(
    duration: Ints, kind: Small, visit: Ints, ts: Ints, ends: Ints, starts: Bools
) -> tuple[Ints, Bools]:
    rows = np.flatnonzero(kind == LOADING)
    endless = np.zeros(len(kind), dtype=np.bool_)
    if len(rows):
        lasted, last = _measure_loading_phases(visit[rows], ts[rows], ends[visit[rows]])
        duration = duration.copy()
        duration[rows] = np.where(starts[rows], lasted, -1)
        again = np.append(starts[rows][1:], True) & starts[rows]
        endless[rows] = starts[rows] & (last | again)
    return duration, endless


def select_relevant_rows(ordered: OrderedEvents, rows: Ints, config: Config) -> Ints:
    """Of ascending rows, whole visits, those that a rule may read: no hovering, and scrolling only of visits that hold so
    many scrolls in so short a time that they may be thrashing. A visit's first and last event stay: they say where and when
    it began and ended.
    """
    kind, visit, ts = ordered.kind[rows], ordered.visit[rows], ordered.ts[rows]
    edge = mark_group_starts(visit)
    kept = (kind != SCROLL) & (kind != HOVER) | edge | np.append(edge[1:], True)
    scrolls, apart = np.flatnonzero(kind == SCROLL), config.thrash_reversals - 1
    begin, end = scrolls[:-apart], scrolls[apart:]
    close = (visit[begin] == visit[end]) & (ts[end] - ts[begin] <= config.thrash_window_ms)
    restless = any_by_owner(visit[begin], close, len(ordered.visits))
    kept[scrolls[restless[visit[scrolls]]]] = True
    return np.asarray(rows[kept], dtype=np.int64)


def build_frame(ordered: OrderedEvents, rows: Ints, config: Config) -> Frame:
    """The frame of these ordered events: ascending rows."""
    source = EventColumns(ordered.table, ordered.row[rows])
    kind, visit, ts = ordered.kind[rows], ordered.visit[rows], ordered.ts[rows]
    route, routes = source.read_codes("route", np.arange(len(rows)))
    pattern, patterns = _encode_folded_texts(route, [fold_path(r) for r in routes])
    raw_target, target, targets, raw_ignored = _encode_targets(source, kind, visit, config)
    ignored_route = np.array(
        [any(fnmatchcase(r, p) or fnmatchcase(fold_path(r), p) for p in config.ignored_routes) for r in routes]
        or [False]
    )
    endpoint, endpoints, known, noise = _encode_endpoints(source, kind)
    words = {name: _encode_vocabulary(source, name, kind == own) for name, own in _WORDS.items()}
    state, states = words["state"]
    starts = np.array([*(t == "start" for t in states), False])[state]
    sizes = np.bincount(visit, minlength=len(ordered.visits))
    high = np.cumsum(sizes)
    low = high - sizes
    duration, endless = _add_loading_durations(
        source["duration_ms"].astype(np.int64), kind, visit, ts, ordered.visits.end_ms, starts
    )
    return Frame(
        source=source,
        visit=visit,
        ts=ts,
        rel=ts - ts[low[visit]],
        kind=kind,
        low=low,
        high=high,
        truncated=ordered.visits.truncated,
        route=route,
        routes=[clean_text(r) for r in routes],
        pattern=pattern,
        patterns=patterns,
        flows=[find_flow_name(p) for p in patterns],
        raw_target=raw_target,
        target=target,
        targets=targets,
        target_ignored=ignored_route[route] | raw_ignored,
        status=source["status"],
        duration=duration,
        endless=endless,
        endpoint=endpoint,
        endpoints=endpoints,
        endpoint_known=known,
        noise=noise,
        words=words,
    )


def _encode_vocabulary(source: EventColumns, name: str, own: Bools) -> tuple[Small, list[str]]:
    """Codes of a small vocabulary at the events of its own kind; the empty text, coded -1, elsewhere."""
    at = np.flatnonzero(own)
    own_codes, texts = source.read_codes(name, at)
    code: Small = np.full(len(own), -1, dtype=np.int16 if len(texts) < 2**15 else np.int64)
    code[at] = own_codes
    return code, texts


def _encode_folded_texts(code: Ints, folded: list[str]) -> tuple[Ints, list[str]]:
    texts = sorted(set(folded))
    place = {t: i for i, t in enumerate(texts)}
    lut = np.array([place[t] for t in folded] or [0], dtype=np.int64)
    return lut[code], texts


def _encode_text_tuples(source: EventColumns, at: Ints, names: Sequence[str]) -> tuple[Ints, list[tuple[str, ...]]]:
    """Distinct tuples of several text columns at some events: code per event and the tuples."""
    parts = [source.read_codes(n, at) for n in names]
    total, base = np.zeros(len(at), dtype=np.int64), 1
    for code, texts in parts:
        size = max(len(texts), 1)
        if size == 1:
            continue
        total, kept = compact_codes(total * size + code, base * size)
        base = len(kept)
    first = np.zeros(base if len(at) else 0, dtype=np.int64)
    first[total[::-1]] = np.arange(len(at))[::-1]
    picked = [[texts[c] for c in code[first].tolist()] for code, texts in parts]
    return total, list(zip(*picked, strict=True))


def _encode_targets(
    source: EventColumns, kind: Small, visit: Small, config: Config
) -> tuple[Ints, Ints, list[Target], Bools]:
    """(Code as sent, code of the target, targets, whether ignored) per event. One name is one target in a visit, whatever
    its label says meanwhile ("Pay", "Paying…"): the first of its labels counts, and those of other visits do not.
    """
    at = np.flatnonzero(equals_any(kind, *_TARGET_KINDS))
    part, tuples = _encode_text_tuples(
        source, at, ("target_type", "target_id", "target_selector", "target_tag", "target_label")
    )
    raw = np.full(len(kind), len(tuples), dtype=np.int64)
    raw[at] = part
    tuples.append(("", "", "", "", ""))
    found = [describe_target(*t) for t in tuples]
    targets = [NO_TARGET, *sorted({t for t in found if t.name}, key=_target_sort_key)]
    place = {t: i for i, t in enumerate(targets)}
    lut = np.array([place[t] if t.name else PAGE for t in found], dtype=np.int64)
    ignored = np.array([_is_ignored_target(t, texts, config) for t, texts in zip(found, tuples, strict=True)])
    return raw, _unify_same_names(lut[raw], visit, targets), targets, ignored[raw]


def _target_sort_key(target: Target) -> tuple[str, ...]:
    return target.name, target.label, repr(target)


def _unify_same_names(target: Ints, visit: Small, targets: list[Target]) -> Ints:
    """The target of each event, or the first of that name in its visit; targets are ordered by name."""
    number = {name: i for i, name in enumerate(dict.fromkeys(t.name for t in targets))}
    name = np.array([number[t.name] for t in targets], dtype=np.int64)
    rows = np.flatnonzero((np.bincount(name)[name] > 1)[target])
    if not len(rows):
        return target
    _, key = np.unique(visit[rows] * len(number) + name[target[rows]], return_inverse=True)
    first = min_by_owner(key, target[rows], int(key.max()) + 1, len(targets))
    target = target.copy()
    target[rows] = first[key]
    return target


def _is_ignored_target(target: Target, texts: tuple[str, ...], config: Config) -> bool:
    names = (target.name, *texts[1:3], texts[4])
    return any(n and fnmatchcase(n, p) for p in config.ignored_targets for n in names)


_SAFE_METHODS = ("GET ", "HEAD ", "OPTIONS ")
"""How the labels of requests that only read begin (RFC 9110, 9.2.1)."""

_MEDIA = (
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".ico", ".bmp", ".css", ".map"),
    *(".woff", ".woff2", ".ttf", ".otf", ".eot"),
    *(".mp4", ".webm", ".mp3", ".ogg", ".wav", ".m4a", ".m4s", ".m3u8", ".mpd", ".mov", ".ts"),
)
_EXTENSIONS = (
    "chrome-extension:",
    "moz-extension:",
    "safari-extension:",
    "safari-web-extension:",
    "webkit-masked-url:",
    "ms-browser-extension:",
)
_HARMLESS = (
    "resizeobserver",
    "aborterror",
    "the user aborted a request",
    "the operation was aborted",
    "canceled",
    "cancelled",
)


_Label = tuple[str, bool, bool]
"""Of an endpoint: its text, whether a URL or message identifies it, and whether it is noise by itself."""


def _encode_endpoints(source: EventColumns, kind: Small) -> tuple[Ints, list[str], Bools, Bools]:
    """Endpoint code per network and error event, their texts, whether identified, and what is noise by
    itself.
    """
    code = np.full(len(kind), -1, dtype=np.int64)
    noise = np.zeros(len(kind), dtype=np.bool_)
    texts: list[str] = []
    known: list[bool] = []
    for wanted, labelled in ((NETWORK, _encode_requests), (ERROR, _encode_errors)):
        rows = np.flatnonzero(kind == wanted)
        if not len(rows):
            continue
        part, labels = labelled(source, rows)
        identified = {text for text, is_known, _ in labels if is_known}
        place = {t: len(texts) + i for i, t in enumerate(sorted({t for t, _, _ in labels}))}
        code[rows] = np.array([place[t] for t, _, _ in labels])[part]
        noise[rows] = np.array([n for _, _, n in labels])[part]
        texts += list(place)
        known += [t in identified for t in place]
    return code, texts, np.array([*known, False], dtype=np.bool_), noise


def _encode_requests(source: EventColumns, rows: Ints) -> tuple[Ints, list[_Label]]:
    """The label of every request, by code. URLs are many and fold into few addresses: labels are made of those."""
    method, methods = source.read_codes("method", rows)
    url, urls = source.read_codes("url", rows)
    kept = _ADDRESS_CACHE.encode_urls(urls)
    address, used = compact_codes(kept.codes[url], len(kept.addresses))
    size = max(len(used), 1)
    code, pairs = compact_codes(method * size + address, max(len(methods), 1) * size)
    addresses = [kept.addresses[a] for a in used.tolist()]
    return code, [_request_label(methods[pair // size], addresses[pair % size]) for pair in pairs.tolist()]


def _encode_errors(source: EventColumns, rows: Ints) -> tuple[Ints, list[_Label]]:
    """The label of every error, by code."""
    code, tuples = _encode_text_tuples(source, rows, ("error_type", "message", "source"))
    return code, [_error_label(*t) for t in tuples]


_INLINE = "!"
"""Before the address of what is no request over the net; addresses themselves begin with a slash or are empty."""


def _fold_address(url: str) -> str:
    # The URL is kept by its code: it need not be kept as a path too.
    return (_INLINE if url.startswith(("data:", "blob:", "ws:", "wss:")) else "") + fold_path_uncached(url)


class _CodedAddresses(NamedTuple):
    """Codes of some URLs' addresses, and the addresses by code."""

    codes: Ints
    addresses: list[str]


class _AddressCache:
    """The addresses of URLs by number, kept from batch to batch: looking a number up is several times cheaper than folding.

    Bounded, for URLs come from browsers: of ``limit`` URLs of up to ``longest`` characters; then it begins anew.
    """

    def __init__(self, limit: int = 65_536, longest: int = 512) -> None:
        self._limit, self._longest = limit, longest
        self._lock = Lock()
        self._number: dict[str, int] = {}
        self._addresses: dict[str, int] = {}

    def encode_urls(self, urls: list[str]) -> _CodedAddresses:
        """The codes of these URLs; safe to be called by several threads at once."""
        with self._lock:
            if max(len(self._number), len(self._addresses)) > self._limit:
                self._number, self._addresses = {}, {}
            try:
                codes = np.fromiter(map(self._number.__getitem__, urls), dtype=np.int64, count=len(urls))
            except KeyError:
                codes = np.fromiter(map(self._encode_url, urls), dtype=np.int64, count=len(urls))
            return _CodedAddresses(codes, list(self._addresses))

    def _encode_url(self, url: str) -> int:
        number = self._number.get(url)
        if number is None:
            address = _fold_address(url)
            number = self._addresses.setdefault(address, len(self._addresses))
            if len(url) <= self._longest:
                self._number[url] = number
        return number


_ADDRESS_CACHE: Final = _AddressCache()


def _request_label(method: str, address: str) -> _Label:
    path = address.removeprefix(_INLINE)
    noise = method == "OPTIONS" or path.lower().endswith(_MEDIA) or path != address
    return f"{clean_text(method)} {path}".strip(), bool(path), noise


def _error_label(kind: str, message: str, source: str) -> _Label:
    folded = fold_message(message)
    low, origin = message.lower(), source.lower()
    noise = (
        origin.startswith(_EXTENSIONS)
        or any(e in low for e in _EXTENSIONS)
        or any(h in low for h in _HARMLESS)
        or (low.startswith("script error") and not source)
        or (kind == "resource" and _is_media_resource(f"{low} {origin}"))
    )
    if kind == "validation":
        return f"validation error: {folded}" if folded else "validation error", bool(folded), noise
    if kind == "resource":
        return f"resource error: {folded or fold_path(source)}", True, noise
    return folded or "uncaught error", bool(folded), noise


def _is_media_resource(text: str) -> bool:
    """A resource that failed to load is evidence only when it is known to be a script.

    Where a picture is named beside a script, the script only asked for it.
    """
    names = [w.split("?", 1)[0].strip("'\")(,;") for w in text.split()]
    return any(n.endswith(_MEDIA) for n in names) or not any(n.endswith((".js", ".mjs")) or "chunk" in n for n in names)
