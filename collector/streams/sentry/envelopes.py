"""Sentry's envelopes: a header line, then for each item a header line and its payload (``length`` bytes, or one line)."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from collector.streams.rrweb import wire
from collector.streams.stream import UnreadableBody

MAX_BYTES: Final = 10 << 20
"""Of an envelope, and of a recording in it after inflating."""
MAX_ITEMS: Final = 1_000


class Sdk(msgspec.Struct, gc=False):
    """Who sent it."""

    name: object = None
    version: object = None


class Trace(msgspec.Struct, gc=False):
    """The trace in which an envelope was made, and the replay that ran."""

    replay_id: object = None
    trace_id: object = None


class EnvelopeHeader(msgspec.Struct, gc=False):
    """The first line. ``event_id`` of an envelope with a recording is the replay's id."""

    event_id: object = None
    sent_at: object = None
    dsn: object = None
    sdk: msgspec.Raw = msgspec.Raw(b"null")
    trace: msgspec.Raw = msgspec.Raw(b"null")


class ItemHeader(msgspec.Struct, gc=False):
    """The line before a payload."""

    type: object = None
    length: object = None


class _SegmentHeader(msgspec.Struct, gc=False):
    segment_id: int


@dataclass(frozen=True, slots=True)
class Item:
    """``payload`` is None where the item is cut or its header is none."""

    kind: str
    payload: bytes | None


_HEADER: Final = msgspec.json.Decoder(EnvelopeHeader)
_ITEM: Final = msgspec.json.Decoder(ItemHeader)
_SEGMENT: Final = msgspec.json.Decoder(_SegmentHeader)
SDK: Final = msgspec.json.Decoder(Sdk)
TRACE: Final = msgspec.json.Decoder(Trace)


def read_header(content: bytes) -> EnvelopeHeader:
    """The envelope's header. Raises UnreadableBody if its first line is no JSON object."""
    header = wire.read_shape(_HEADER, content.partition(b"\n")[0])
    if header is None:
        raise UnreadableBody("the first line is no header of an envelope")
    return header


def split_items(content: bytes) -> Iterator[Item]:
    """The items after the header; an item that is cut ends them."""
    place = content.find(b"\n") + 1 or len(content)
    for _ in range(MAX_ITEMS):
        while content[place : place + 1] in (b"\n", b"\r"):
            place += 1
        if place >= len(content):
            return
        ends = content.find(b"\n", place)
        line = content[place:] if ends < 0 else content[place:ends]
        header = wire.read_shape(_ITEM, line)
        if header is None or not isinstance(header.type, str):
            yield Item("", None)
            return
        place = len(content) if ends < 0 else ends + 1
        if isinstance(header.length, int) and not isinstance(header.length, bool):
            whole = 0 <= header.length <= len(content) - place
            yield Item(header.type, content[place : place + header.length] if whole else None)
            if not whole:
                return
            place += header.length
        else:
            ends = content.find(b"\n", place)
            yield Item(header.type, content[place:] if ends < 0 else content[place:ends])
            place = len(content) if ends < 0 else ends + 1
    yield Item("", None)


def read_recording(payload: bytes) -> tuple[int, bytes]:
    """Segment number and JSON of a recording, inflated if it is compressed.

    Raises UnreadableBody for a recording without its header, or that is cut, or larger than MAX_BYTES after inflating.
    """
    line, _, body = payload.partition(b"\n")
    segment = wire.read_shape(_SEGMENT, line)
    if segment is None:
        raise UnreadableBody("the recording has no segment_id")
    if body[:1] != b"\x78":
        return segment.segment_id, body
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, MAX_BYTES)
    except zlib.error:
        raise UnreadableBody("the recording is not zlib data") from None
    if inflater.unconsumed_tail:
        raise UnreadableBody("the recording is too large after inflating")
    if not inflater.eof:
        raise UnreadableBody("the recording is cut")
    return segment.segment_id, plain
