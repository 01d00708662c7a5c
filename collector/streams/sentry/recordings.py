"""One segment of a replay: clicks, presses that were swallowed, requests, navigations and Sentry's verdicts on clicks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from collector.streams.controls import Control
from collector.streams.lenient import read_route, read_status, read_text
from collector.streams.rrweb import wire
from collector.streams.rrweb.presses import Press, find_presses
from collector.streams.rrweb.requests import NoRequest, make_request, read_plugin_requests
from collector.streams.sentry import shapes
from collector.streams.sentry.values import read_seconds, read_target
from collector.streams.stream import Reading, RejectedItem, WireEvent

_CRUMB_LEADS_MS: Final = 1_000
"""The crumb of a click comes at most this long before rrweb's own click."""
_CRUMB_LAGS_MS: Final = 100
_RAGE_CLICKS: Final = 3
_REQUESTS: Final = frozenset({"resource.fetch", "resource.xhr"})
_LOADS: Final = {
    "navigation.navigate": "link",
    "navigation.reload": "reload",
    "navigation.back_forward": "back_forward",
}
_IGNORED_CRUMBS: Final = frozenset(
    {
        *("console", "ui.blur", "ui.focus", "ui.input", "ui.keyDown", "replay.mutations", "replay.hydrate-error"),
        *("fetch", "xhr", "sentry.event", "sentry.transaction", "feedback", "ui.scroll"),
    }
)
_VERDICTS: Final = frozenset({"ui.slowClickDetected", "ui.multiClick"})


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of a segment from beside it. ``page``: the address at its end; ``ends_ms``: when it was flushed."""

    session: str
    user: str = ""
    page: str = ""
    ends_ms: int = 0
    app_version: str = ""
    environment: str = ""

    def finish(self, event: WireEvent) -> WireEvent:
        """``event`` with the fields that all events of a segment share."""
        shared = {"userId": self.user, "appVersion": self.app_version, "environment": self.environment}
        return event | {name: value for name, value in shared.items() if value}


@dataclass(frozen=True, slots=True)
class _ClickCrumb:
    at_ms: int
    node: int
    control: Control | None


@dataclass(slots=True)
class _Segment:
    around: Around
    reading: Reading
    crumbs: list[_ClickCrumb] = field(default_factory=list)
    moves: list[tuple[int, str, str]] = field(default_factory=list)
    events: list[WireEvent] = field(default_factory=list)
    pushes: list[tuple[int, str]] = field(default_factory=list)


def read_segment(content: bytes, around: Around, reading: Reading) -> None:
    """Adds the events of one segment (a JSON list) to ``reading``. Raises UnreadableBody if it is no list."""
    heads, broken = wire.decode_events(content)
    if broken:
        reading.rejects.append(RejectedItem("replay_recording", f"{broken} items are no events of rrweb", {}))
    segment = _Segment(around, reading)
    for head in heads:
        _read_head(head, segment)
    if not segment.moves:
        segment.moves = [(at_ms, "", to) for at_ms, to in segment.pushes]
    _add_moves(segment)
    segment.events += _make_clicks(heads, segment)
    route_at = _find_routes(segment)
    for event in segment.events:
        at_ms = event["timestamp"]
        if "route" not in event and isinstance(at_ms, int) and (route := route_at(at_ms)):
            event["route"] = route
        reading.events.append(around.finish(event))


def _read_head(head: wire.Head, segment: _Segment) -> None:
    if head.type == wire.CUSTOM:
        custom = wire.read_shape(wire.CUSTOM_DATA, head.data)
        if custom is not None and custom.tag == "breadcrumb":
            _read_crumb(custom.payload, segment)
        elif custom is not None and custom.tag == "performanceSpan":
            _read_span(custom.payload, segment)
        elif custom is None or custom.tag != "options":
            segment.reading.ignored["custom event"] += 1
    elif head.type == wire.PLUGIN:
        plugin = wire.read_shape(wire.PLUGIN_DATA, head.data)
        if plugin is not None and plugin.plugin == wire.NETWORK_PLUGIN:
            around = segment.around
            for event in read_plugin_requests(plugin, around.session, around.page, head.timestamp):
                _add_event(event, "request of the network plugin", segment)
    elif head.type not in wire.KNOWN_TYPES:
        segment.reading.ignored["unknown rrweb type"] += 1


def _add_event(event: WireEvent | NoRequest | None, kind: str, segment: _Segment) -> None:
    if event is None or isinstance(event, NoRequest):
        kept = {} if event is None else event.kept
        segment.reading.rejects.append(RejectedItem(kind, "its time or address is none", kept))
    else:
        segment.events.append(event)


def _read_crumb(payload: msgspec.Raw, segment: _Segment) -> None:
    crumb = wire.read_shape(shapes.CRUMB, payload)
    category = crumb.category if crumb is not None and isinstance(crumb.category, str) else ""
    if crumb is None or category not in _VERDICTS | {"ui.click", "navigation"}:
        segment.reading.ignored[category if category in _IGNORED_CRUMBS else "other breadcrumb"] += 1
        return
    seconds = read_seconds(crumb.timestamp)
    data = wire.read_shape(shapes.CRUMB_DATA, crumb.data)
    if seconds is None or data is None:
        segment.reading.rejects.append(RejectedItem(category, "has no time or no data", {}))
        return
    at_ms = round(seconds)
    if category == "navigation":
        left, to = read_route(data.left), read_route(data.to)
        if to:
            segment.moves.append((at_ms, left, to))
    elif category == "ui.click":
        _add_click_crumb(crumb, data, at_ms, segment)
    else:
        _add_verdict(category, data, at_ms, segment)


def _add_click_crumb(crumb: shapes.Crumb, data: shapes.CrumbData, at_ms: int, segment: _Segment) -> None:
    node = wire.read_shape(shapes.NODE, data.node) or shapes.Node()
    number = data.node_id if isinstance(data.node_id, int) and not isinstance(data.node_id, bool) else -1
    segment.crumbs.append(_ClickCrumb(at_ms, number, read_target(node, crumb.message)))


def _add_verdict(category: str, data: shapes.CrumbData, at_ms: int, segment: _Segment) -> None:
    """A verdict comes up to 7 s after its click, often in another segment; both name the time of the click's crumb."""
    clicks = data.click_count if isinstance(data.click_count, int) else 1
    verdict = "rage" if clicks >= _RAGE_CLICKS else ""
    if category == "ui.slowClickDetected" and not verdict:
        verdict = {"timeout": "dead", "mutation": "slow"}.get(str(data.end_reason), "")
    if not verdict:
        segment.reading.ignored["verdict of another kind"] += 1
        return
    session = segment.around.session
    segment.events.append(
        {
            "eventType": "verdict",
            "timestamp": at_ms,
            "sessionId": session,
            "idempotencyKey": f"verdict:{session}:{at_ms}:{category}:{verdict}",
            "verdictFor": _name_click(at_ms),
            "metadata": {"verdict": verdict},
        }
    )


def _name_click(at_ms: int) -> str:
    return f"click:{at_ms}"


def _read_span(payload: msgspec.Raw, segment: _Segment) -> None:
    span = wire.read_shape(shapes.PERFORMANCE_SPAN, payload)
    op = span.op if span is not None and isinstance(span.op, str) else ""
    if span is None or (op not in _REQUESTS and op not in _LOADS and op != "navigation.push"):
        segment.reading.ignored["performance span"] += 1
        return
    start, end = read_seconds(span.start), read_seconds(span.end)
    address = span.description if isinstance(span.description, str) else ""
    if start is None or end is None:
        segment.reading.rejects.append(RejectedItem(op, "has no time", {}))
        return
    data = wire.read_shape(shapes.SPAN_DATA, span.data) or shapes.SpanData()
    around = segment.around
    if op in _REQUESTS:
        method, status = read_text(data.method, 16), read_status(data.status)
        _add_event(make_request(around.session, address, start, end, method, status, around.page), op, segment)
    elif op in _LOADS:
        _add_load(_LOADS[op], address, (start, end), data, segment)
    elif route := read_route(address):
        segment.pushes.append((round(start), route))


def _add_load(kind: str, address: str, times: tuple[float, float], data: shapes.SpanData, segment: _Segment) -> None:
    """A page that was loaded: dated when it could be used (the old one stays on the screen until then)."""
    start, end = times
    usable = start + data.interactive if isinstance(data.interactive, int | float) else end
    at_ms = round(min(max(start, usable), max(start, end)))
    if not (route := read_route(address)):
        segment.reading.rejects.append(RejectedItem("navigation", "its address is none", {}))
        return
    event = _make_move(segment.around.session, at_ms, route, "load")
    event["metadata"] = {"navigationType": kind}
    segment.events.append(event)


def _add_moves(segment: _Segment) -> None:
    """Navigations without a page load. One that changes only the query is no other page."""
    segment.moves.sort()
    for at_ms, left, to in segment.moves:
        if left != to:
            event = _make_move(segment.around.session, at_ms, to, "push")
            event["metadata"] = {"navigationType": "push"} | ({"from": left} if left else {})
            segment.events.append(event)


def _make_move(session: str, at_ms: int, route: str, kind: str) -> WireEvent:
    return {
        "eventType": "navigation",
        "timestamp": at_ms,
        "sessionId": session,
        "idempotencyKey": f"{kind}:{session}:{at_ms}",
        "route": route,
    }


def _find_routes(segment: _Segment) -> Callable[[int], str]:
    """The page at a time of the segment. Where it was never left, it is the page of the segment's end."""
    moves = segment.moves
    first = moves[0][1] if moves else read_route(segment.around.page)

    def route_at(at_ms: int) -> str:
        return next((to for moved_ms, _, to in reversed(moves) if moved_ms < at_ms), first)

    return route_at


def _make_clicks(heads: Sequence[wire.Head], segment: _Segment) -> list[WireEvent]:
    crumbs = sorted(segment.crumbs, key=lambda crumb: crumb.at_ms)
    by_node = {crumb.node: crumb for crumb in crumbs if crumb.node >= 0}
    used: set[int] = set()
    presses = find_presses(heads, segment.around.ends_ms)
    clicks = [_make_click(press, crumbs, by_node, used, segment) for press in presses]
    return [click for click in clicks if click is not None]


def _make_click(
    press: Press, crumbs: Sequence[_ClickCrumb], by_node: dict[int, _ClickCrumb], used: set[int], segment: _Segment
) -> WireEvent | None:
    """One press. Its control is that of the last crumb: a click elsewhere always makes a new one.

    A press without a click makes no crumb: it counts where the same node was clicked in this segment, and is a control.
    """
    last = next((crumb for crumb in reversed(crumbs) if crumb.at_ms <= press.at_ms + _CRUMB_LAGS_MS), None)
    crumb = by_node.get(press.node) if press.swallowed else last or by_node.get(press.node)
    name = _name_click(press.at_ms)
    fresh = last is not None and last.at_ms not in used and press.at_ms - last.at_ms <= _CRUMB_LEADS_MS
    if last is not None and fresh and not press.swallowed:
        name = _name_click(last.at_ms)
        used.add(last.at_ms)
    metadata = dict(press.metadata)
    control = crumb.control if crumb is not None else None
    if press.swallowed and not (control is not None and control.is_control):
        segment.reading.ignored["press without a click"] += 1
        return None
    if control is not None and control.disabled:
        metadata["disabled"] = True
    event: WireEvent = {
        "eventType": "click",
        "timestamp": press.at_ms,
        "sessionId": segment.around.session,
        "idempotencyKey": f"click:{segment.around.session}:{press.at_ms}:{press.node}",
        "eventId": name,
        "metadata": metadata,
    }
    if control is not None:
        event["target"] = control.target
    return event
