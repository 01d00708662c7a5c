"""Recordings of rrweb itself, as files or bodies: a list of events, ``{sessionId, events}``, or one of these a line.

Each body stands for itself: controls are named from the full snapshot and the mutations in it.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from collector.contract.page_titles import find_title_status
from collector.streams.lenient import digest_parts, read_route, read_session
from collector.streams.rrweb import wire
from collector.streams.rrweb.nodes import NodeMap
from collector.streams.rrweb.presses import Press, find_presses, read_ms
from collector.streams.rrweb.requests import NoRequest, read_plugin_requests
from collector.streams.stream import Reading, RejectedItem, SentBody, Stream, UnreadableBody, WireEvent

MAX_BYTES: Final = 10 << 20
_MAX_LINES: Final = 200_000


class _Body(msgspec.Struct, gc=False):
    events: msgspec.Raw
    session: object = msgspec.field(name="sessionId", default=None)


class _Session(msgspec.Struct, gc=False):
    session: object = msgspec.field(name="sessionId", default=None)


_BODY: Final = msgspec.json.Decoder(_Body)
_NAMED: Final = msgspec.json.Decoder(_Session)


def read_body(sent: SentBody) -> Reading:
    """The events of one body. Raises UnreadableBody if nothing in it is an event of rrweb."""
    reading = Reading()
    query = read_session(sent.query.get("sessionId"))
    lists = list(_split_body(sent.content.strip(), reading))
    sessions: dict[str, list[wire.Head]] = {}
    for session, heads in lists:
        sessions.setdefault(session or query, []).extend(heads)
    if not any(sessions.values()):
        raise UnreadableBody("the body has no event of rrweb")
    for session, heads in sessions.items():
        _read_session(session or _name_session(heads), heads, reading)
    return reading


def _split_body(content: bytes, reading: Reading) -> Iterator[tuple[str, list[wire.Head]]]:
    if content[:1] == b"[":
        yield "", _decode(content, reading)
        return
    whole = wire.read_shape(_BODY, content)
    if whole is not None:
        yield read_session(whole.session), _decode(whole.events, reading)
        return
    lines = content.split(b"\n", _MAX_LINES)
    if len(lines) > _MAX_LINES:
        raise UnreadableBody("the body has too many lines")
    for line in lines:
        if line.strip():
            yield _read_line(line, reading)


def _read_line(line: bytes, reading: Reading) -> tuple[str, list[wire.Head]]:
    body = wire.read_shape(_BODY, line)
    if body is not None:
        return read_session(body.session), _decode(body.events, reading)
    head = wire.read_head(line)
    if head is None:
        reading.rejects.append(RejectedItem("", "the line is no event of rrweb", {}))
        return "", []
    named = wire.read_shape(_NAMED, line)
    return read_session(named.session) if named is not None else "", [head]


def _decode(content: bytes | msgspec.Raw, reading: Reading) -> list[wire.Head]:
    heads, broken = wire.decode_events(content)
    if broken:  # nothing of them is kept: a part of a recording means nothing without the snapshots before it
        reading.rejects.append(RejectedItem("events", f"{broken} items are no events of rrweb", {}))
    return heads


def _name_session(heads: list[wire.Head]) -> str:
    """A name for a recording without one: the same recording always has the same."""
    href = next((meta.href for h in heads if (meta := _read_meta(h)) is not None), "")
    return f"rrweb-{digest_parts(href, min((read_ms(h.timestamp) for h in heads), default=0))}"


def _read_meta(head: wire.Head) -> wire.Meta | None:
    return wire.read_shape(wire.META_DATA, head.data) if head.type == wire.META else None


def _read_session(session: str, heads: list[wire.Head], reading: Reading) -> None:
    heads.sort(key=lambda head: read_ms(head.timestamp))
    presses = iter(find_presses(heads))
    press = next(presses, None)
    nodes, page, shown, opened_ms = NodeMap(), "", "", 0
    for place, head in enumerate(heads):
        meta = _read_meta(head)
        if meta is not None and read_route(meta.href):
            page, left, shown, opened_ms = meta.href, shown, read_route(meta.href), read_ms(head.timestamp)
            if shown != left and opened_ms:
                reading.events.append(_make_move(session, opened_ms, shown, left))
        elif head.type == wire.PLUGIN:
            _read_plugin(head, session, (page, shown), reading)
        elif head.type not in wire.KNOWN_TYPES:
            reading.ignored["unknown rrweb type"] += 1
        elif head.type == wire.CUSTOM:
            reading.ignored["custom event"] += 1
        while press is not None and press.place == place:
            _add_click(press, session, shown, nodes, reading)
            press = next(presses, None)
        nodes.read_event(head)
        if head.type == wire.FULL_SNAPSHOT and opened_ms and find_title_status(nodes.title) > 0:
            _mark_error_page(_make_move(session, opened_ms, shown, ""), nodes.title, reading)


def _mark_error_page(move: WireEvent, title: str, reading: Reading) -> None:
    """Gives the navigation to a server's own error page its title; a form may have led from a page to itself."""
    last = next((e for e in reversed(reading.events) if e["idempotencyKey"] == move["idempotencyKey"]), None)
    if last is None:
        reading.events.append(move | {"metadata": {"title": title}})
    elif isinstance(metadata := last["metadata"], dict):
        metadata["title"] = title


def _read_plugin(head: wire.Head, session: str, around: tuple[str, str], reading: Reading) -> None:
    plugin = wire.read_shape(wire.PLUGIN_DATA, head.data)
    if plugin is None or plugin.plugin != wire.NETWORK_PLUGIN:
        reading.ignored["other plugin"] += 1
        return
    page, shown = around
    for event in read_plugin_requests(plugin, session, page, head.timestamp):
        placed = {"route": shown} if shown else {}
        if isinstance(event, NoRequest):
            kept = event.kept | placed
            reading.rejects.append(RejectedItem(wire.NETWORK_PLUGIN, "a request's time or address is none", kept))
        else:
            reading.events.append(event | placed)


def _make_move(session: str, at_ms: int, route: str, left: str) -> WireEvent:
    metadata: dict[str, object] = {"from": left} if left else {}
    key = f"page:{session}:{at_ms}"
    event: WireEvent = {"eventType": "navigation", "timestamp": at_ms, "sessionId": session, "idempotencyKey": key}
    return event | {"route": route, "metadata": metadata}


def _add_click(press: Press, session: str, route: str, nodes: NodeMap, reading: Reading) -> None:
    control = nodes.find_control(press.node)
    if press.swallowed and not (control is not None and control.disabled):
        reading.ignored["press without a click"] += 1
        return
    event: WireEvent = {
        "eventType": "click",
        "timestamp": press.at_ms,
        "sessionId": session,
        "idempotencyKey": f"click:{session}:{press.at_ms}:{press.node}:{press.swallowed}",
        "metadata": press.metadata | ({"disabled": True} if control is not None and control.disabled else {}),
    }
    optional: WireEvent = {"route": route, "target": control.target if control is not None else None}
    reading.events.append(event | {name: value for name, value in optional.items() if value})


def recognise_body(sent: SentBody) -> bool:
    """Whether the body begins with an event of rrweb: a type, a timestamp and data."""
    start = sent.content.lstrip()[:400]
    if start[:1] == b"{" and b'"events"' in start:
        start = start[start.index(b'"events"') :].partition(b"[")[2]
    start = start.lstrip(b"[ \n\r\t")
    return start[:1] == b"{" and b'"type"' in start and b'"data"' in start and b'"eventType"' not in start


STREAM: Final = Stream(
    name="rrweb",
    title="rrweb recordings",
    read=read_body,
    recognises=recognise_body,
    max_bytes=MAX_BYTES,
    lacks=(
        "requests, unless the plugin rrweb/network@1 records them",
        "errors of scripts",
        "forms: a submit that the browser refuses is a click",
        "navigations within a page, unless a new snapshot is taken",
    ),
)
