"""The sorted frame: the events that detection looks at, as parallel arrays of integer codes with tables of
texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa

from ufse.config import Config
from ufse.patterns import clean, first_segment, fold_message, fold_path
from ufse.sessions import (
    ERROR,
    LOADING,
    NETWORK,
    PERFORMANCE,
    SUBMIT,
    Bools,
    Ints,
    Ordered,
    codes,
    numbers,
)
from ufse.targets import NO_TARGET, Target, describe

PAGE = 0
"""Code of the target of an action that is a page being opened or reloaded."""


@dataclass(frozen=True)
class Frame:
    """One entry per event, ordered by visit and time. Strings are codes into the tables named beside them."""

    table: pa.Table
    """The rows of the frame, in its order; read for emitted detections only."""
    visit: Ints
    ts: Ints
    kind: Ints
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
    status: Ints
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
    """Per endpoint code: whether a URL or message identifies it."""
    noise: Bools
    """Per event: preflight, image, font, media, extension, third-party or aborted noise recognisable by
    itself.
    """
    aborted: Ints
    third_party: Ints
    flags: dict[str, Ints]
    """Rarely used numeric columns by name: selection, responded, valid, external, download, x, y, depth."""
    words: dict[str, tuple[Ints, list[str]]]
    """Small vocabularies by column name: nav_type, input_method, action, error_type, perf_kind, state,
    direction.
    """

    def __len__(self) -> int:
        return len(self.ts)

    def is_reload(self, row: int) -> bool:
        """Whether a navigation reloaded its page."""
        code, texts = self.words["nav_type"]
        return texts[int(code[row])] == "reload"

    def is_word(self, column: str, *accepted: str) -> Bools:
        """Per event: whether the column's text is one of the accepted ones."""
        code, texts = self.words[column]
        lut = np.array([t in accepted for t in texts] or [False])
        return np.asarray(lut[code], dtype=np.bool_)


def coarse_negative(ordered: Ordered, config: Config) -> Bools:
    """Per ordered event: could it be negative feedback at all? Decides which visits are looked at further.

    A visit without any such event can hold no *feedback* signal (detection.md, Correlation 2).
    """
    table, row, kind = ordered.table, ordered.row, ordered.kind
    status, duration = numbers(table, "status")[row], numbers(table, "duration_ms")[row]
    network = (kind == NETWORK) & ((status >= 400) | (status == 0) | (duration >= config.slow_ms))
    performance = (kind == PERFORMANCE) & ((duration >= config.slow_ms) | (duration < 0))
    invalid = (kind == SUBMIT) & (numbers(table, "valid")[row] == 0)
    found = network | performance | invalid | (kind == ERROR) | _slow_loading(ordered, config)
    return np.asarray(found & ordered.analysed, dtype=np.bool_)


def _slow_loading(ordered: Ordered, config: Config) -> Bools:
    """Starts of a loading phase that lasted 3 s or did not end while the visit went on for 3 s."""
    found = np.zeros(len(ordered.row), dtype=np.bool_)
    rows = np.flatnonzero(ordered.kind == LOADING)
    if len(rows):
        code, texts = codes(ordered.table.select(["state"]).take(pa.array(ordered.row[rows])), "state")
        starts = np.array([t == "start" for t in texts])[code]
        lasted, _ = _phases(ordered.visit[rows], ordered.ts[rows], ordered.visits.end_ms[ordered.visit[rows]])
        found[rows[starts & (lasted >= config.slow_ms)]] = True
    return found


def _phases(visit: Ints, ts: Ints, end: Ints) -> tuple[Ints, Bools]:
    """Of loading events in order: ms until the next one or the end of the visit, and whether none follows."""
    last = np.append(visit[1:] != visit[:-1], True)
    return np.where(last, end, np.append(ts[1:], 0)) - ts, last


def _with_phases(duration: Ints, kind: Ints, visit: Ints, ts: Ints, ends: Ints, starts: Bools) -> tuple[Ints, Bools]:
    rows = np.flatnonzero(kind == LOADING)
    endless = np.zeros(len(kind), dtype=np.bool_)
    if len(rows):
        lasted, last = _phases(visit[rows], ts[rows], ends[visit[rows]])
        duration = duration.copy()
        duration[rows] = np.where(starts[rows], lasted, -1)
        again = np.append(starts[rows][1:], True) & starts[rows]
        endless[rows] = starts[rows] & (last | again)
    return duration, endless


def build(ordered: Ordered, chosen: Bools, config: Config) -> Frame:
    """The frame of the chosen ordered events."""
    table = ordered.table.take(pa.array(ordered.row[chosen]))
    kind = ordered.kind[chosen]
    route, routes = codes(table, "route")
    pattern, patterns = _folded(route, [fold_path(r) for r in routes])
    raw_target, target, targets, raw_ignored = _targets(table, config)
    ignored_route = np.array(
        [any(fnmatchcase(r, p) or fnmatchcase(fold_path(r), p) for p in config.ignored_routes) for r in routes]
        or [False]
    )
    aborted, third_party = numbers(table, "aborted"), numbers(table, "third_party")
    endpoint, endpoints, known, noise = _endpoints(table, kind)
    words = {
        n: codes(table, n)
        for n in ("nav_type", "input_method", "action", "error_type", "perf_kind", "state", "direction")
    }
    state, states = words["state"]
    starts = np.array([t == "start" for t in states] or [False])[state]
    visit, ts = ordered.visit[chosen], ordered.ts[chosen]
    duration, endless = _with_phases(numbers(table, "duration_ms"), kind, visit, ts, ordered.visits.end_ms, starts)
    return Frame(
        table=table,
        visit=visit,
        ts=ts,
        kind=kind,
        route=route,
        routes=[clean(r) for r in routes],
        pattern=pattern,
        patterns=patterns,
        flows=[first_segment(p) for p in patterns],
        raw_target=raw_target,
        target=target,
        targets=targets,
        target_ignored=ignored_route[route] | raw_ignored,
        status=numbers(table, "status"),
        duration=duration,
        endless=endless,
        endpoint=endpoint,
        endpoints=endpoints,
        endpoint_known=known,
        noise=noise,
        aborted=aborted,
        third_party=third_party,
        flags={
            n: numbers(table, n) for n in ("selection", "responded", "valid", "external", "download", "x", "y", "depth")
        },
        words=words,
    )


def _folded(code: Ints, folded: list[str]) -> tuple[Ints, list[str]]:
    texts = sorted(set(folded))
    place = {t: i for i, t in enumerate(texts)}
    lut = np.array([place[t] for t in folded] or [0], dtype=np.int64)
    return lut[code], texts


def _combined(table: pa.Table, names: Sequence[str]) -> tuple[Ints, list[tuple[str, ...]]]:
    """Distinct tuples of several string columns: code per row and the tuples."""
    total = np.zeros(table.num_rows, dtype=np.int64)
    parts = [codes(table, n) for n in names]
    for code, texts in parts:
        total, _ = _dense(total * max(len(texts), 1) + code)
    _, first, inverse = np.unique(total, return_index=True, return_inverse=True)
    picked = [[texts[c] for c in code[first].tolist()] for code, texts in parts]
    return inverse.astype(np.int64), list(zip(*picked, strict=True))


def _dense(code: Ints) -> tuple[Ints, int]:
    values, inverse = np.unique(code, return_inverse=True)
    return inverse.astype(np.int64), len(values)


def _targets(table: pa.Table, config: Config) -> tuple[Ints, Ints, list[Target], Bools]:
    raw, tuples = _combined(table, ("target_type", "target_id", "target_selector", "target_tag", "target_label"))
    found = [describe(*t) for t in tuples]
    by_name: dict[str, tuple[int, Target]] = {"": (PAGE, NO_TARGET)}
    for target in sorted(found, key=lambda t: (t.name, t.label)):
        by_name.setdefault(target.name, (len(by_name), target))
    lut = np.array([by_name[t.name][0] for t in found] or [PAGE], dtype=np.int64)
    ignored = np.array([_ignored_target(t, texts, config) for t, texts in zip(found, tuples, strict=True)] or [False])
    return raw, lut[raw], [t for _, t in by_name.values()], ignored[raw]


def _ignored_target(target: Target, texts: tuple[str, ...], config: Config) -> bool:
    names = (target.name, *texts[1:3], texts[4])
    return any(n and fnmatchcase(n, p) for p in config.ignored_targets for n in names)


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


def _endpoints(table: pa.Table, kind: Ints) -> tuple[Ints, list[str], Bools, Bools]:
    """Endpoint code per network and error event, their texts, whether identified, and what is noise by
    itself.
    """
    code = np.full(table.num_rows, -1, dtype=np.int64)
    noise = np.zeros(table.num_rows, dtype=np.bool_)
    texts: list[str] = []
    known: list[bool] = []
    for wanted, columns, label in (
        (NETWORK, ("method", "url"), _request_label),
        (ERROR, ("error_type", "message", "source"), _error_label),
    ):
        rows = np.flatnonzero(kind == wanted)
        if not len(rows):
            continue
        part, tuples = _combined(table.select(columns).take(pa.array(rows)), columns)
        labels = [label(*t) for t in tuples]
        place = {t: len(texts) + i for i, t in enumerate(sorted({t for t, _, _ in labels}))}
        code[rows] = np.array([place[t] for t, _, _ in labels])[part]
        noise[rows] = np.array([n for _, _, n in labels])[part]
        texts += list(place)
        identified = {t: k for t, k, _ in labels}
        known += [identified[t] for t in place]
    return code, texts, np.array(known, dtype=np.bool_), noise


def _request_label(method: str, url: str) -> tuple[str, bool, bool]:
    path = fold_path(url)
    noise = method == "OPTIONS" or path.lower().endswith(_MEDIA) or url.startswith(("data:", "blob:", "ws:", "wss:"))
    return f"{clean(method)} {path}".strip(), bool(path), noise


def _error_label(kind: str, message: str, source: str) -> tuple[str, bool, bool]:
    folded = fold_message(message)
    low, origin = message.lower(), source.lower()
    noise = (
        origin.startswith(_EXTENSIONS)
        or any(e in low for e in _EXTENSIONS)
        or any(h in low for h in _HARMLESS)
        or (low.startswith("script error") and not source)
        or (kind == "resource" and _media_resource(f"{low} {origin}"))
    )
    if kind == "validation":
        return f"validation error: {folded}" if folded else "validation error", bool(folded), noise
    if kind == "resource":
        return f"resource error: {folded or fold_path(source)}", True, noise
    return folded or "uncaught error", bool(folded), noise


def _media_resource(text: str) -> bool:
    """A resource that failed to load is evidence only when it is known to be a script."""
    names = [w.split("?", 1)[0].strip("'\")(,;") for w in text.split()]
    return not any(n.endswith((".js", ".mjs")) or "chunk" in n for n in names)
