"""rrweb events as they are sent: a white list of fields; DOM snapshots and mutations are skipped while decoding.

msgspec reads the bytes once and makes no objects for fields that are not named here. Memory beyond the body itself is that of
the events' heads, whatever a snapshot weighs.
"""

from typing import Final, TypeVar

import msgspec

from collector.streams.stream import UnreadableBody

FULL_SNAPSHOT: Final = 2
INCREMENTAL: Final = 3
META: Final = 4
CUSTOM: Final = 5
PLUGIN: Final = 6
KNOWN_TYPES: Final = range(7)

MOUSE_INTERACTION: Final = 2
MUTATION: Final = 0

MOUSE_UP: Final = 0
MOUSE_DOWN: Final = 1
CLICK: Final = 2
CONTEXT_MENU: Final = 3

NETWORK_PLUGIN: Final = "rrweb/network@1"

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LARGEST_MENDED: Final = 1 << 20
"""Bytes of a list of which one event is no object: below it, the other events are kept; above, the list is unreadable."""

Shape = TypeVar("Shape")


class Head(msgspec.Struct, gc=False):
    """One event: ``data`` stays undecoded. ``timestamp``: epoch milliseconds; in Sentry's custom events also seconds."""

    type: int
    data: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: float = 0.0


class Source(msgspec.Struct, gc=False):
    """What an incremental event is."""

    source: int = -1


class Mouse(msgspec.Struct, gc=False):
    """A mouse interaction; ``x`` and ``y`` in CSS pixels of the viewport; ``pointer_type``: 0 mouse, 1 pen, 2 touch."""

    type: int
    id: int = -1
    x: float | None = None
    y: float | None = None
    pointer_type: int | None = msgspec.field(name="pointerType", default=None)


class Meta(msgspec.Struct, gc=False):
    """The page that a snapshot belongs to."""

    href: str = ""


class Custom(msgspec.Struct, gc=False):
    """An event of the application's or the vendor's own."""

    tag: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"null")


class Plugin(msgspec.Struct, gc=False):
    """An event of a plugin of rrweb."""

    plugin: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"null")


_HEADS: Final = msgspec.json.Decoder(list[Head])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_HEAD: Final = msgspec.json.Decoder(Head)
_SOURCE: Final = msgspec.json.Decoder(Source)
MOUSE: Final = msgspec.json.Decoder(Mouse)
META_DATA: Final = msgspec.json.Decoder(Meta)
CUSTOM_DATA: Final = msgspec.json.Decoder(Custom)
PLUGIN_DATA: Final = msgspec.json.Decoder(Plugin)


def decode_events(content: bytes | msgspec.Raw) -> tuple[list[Head], int]:
    """The events of a JSON list, and how many of its items are none. Raises UnreadableBody if it is no list."""
    try:
        return _HEADS.decode(content), 0
    except msgspec.ValidationError:
        if len(bytes(content)) > _LARGEST_MENDED:
            raise UnreadableBody("an item of the list is no event of rrweb") from None
    except DECODE_ERRORS:
        raise UnreadableBody("the recording is no JSON list") from None
    try:
        items = _ITEMS.decode(content)
    except DECODE_ERRORS:
        raise UnreadableBody("the recording is no JSON list") from None
    events = [head for item in items if (head := read_shape(_HEAD, item)) is not None]
    return events, len(items) - len(events)


def read_shape(decoder: "msgspec.json.Decoder[Shape]", raw: msgspec.Raw | bytes) -> Shape | None:
    """``raw`` in the shape of ``decoder``; None if it has another."""
    try:
        return decoder.decode(raw)
    except DECODE_ERRORS:
        return None


def read_source(head: Head) -> int:
    """Which kind of incremental event ``head`` is, or -1."""
    source = read_shape(_SOURCE, head.data) if head.type == INCREMENTAL else None
    return source.source if source is not None else -1


def read_head(line: bytes) -> Head | None:
    """One event; None if ``line`` is none."""
    return read_shape(_HEAD, line)
