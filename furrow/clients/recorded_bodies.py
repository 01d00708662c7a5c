"""Reads a file of recorded requests, one JSON object a line, as the bodies that an adapter of a stream takes.

A line is ``{"t","method","path","headers","body"|"bodyBase64"}`` (``t``: receipt time in epoch milliseconds). A line with
``truth`` describes a recording and is skipped. Each other line is reported with the reason.
"""

import base64
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

from collector.streams.stream import SentBody, Stream, UnreadableBody
from furrow.clients.access_log import ParsedLine

_METHODS: Final = frozenset({"POST", "PUT"})


class _Request(msgspec.Struct):
    path: str
    method: str = "POST"
    t: float = 0
    headers: dict[str, str] = {}
    body: str | None = None
    bodyBase64: str | None = None


class RecordedLine(NamedTuple):
    """A line of the file: its number (from 1), and its body (as recorded, perhaps compressed) or the reason why it has
    none."""

    number: int
    sent: SentBody | None
    problem: str = ""


def read_recorded_lines(lines: Iterable[bytes]) -> Iterator[RecordedLine]:
    """Yield each request that has a body, and each line that is no recorded request with its reason."""
    for number, raw in enumerate(lines, 1):
        if not raw.strip() or raw.startswith(b'{"truth"'):
            continue
        try:
            request = msgspec.json.decode(raw, type=_Request)
            if request.method in _METHODS:
                yield RecordedLine(number, _make_body(request))
        except (ValueError, OverflowError):
            yield RecordedLine(number, None, "not a recorded request")


def recognise_stream(sent: SentBody, streams: Iterable[Stream]) -> Stream | None:
    """The first stream that surely has this body."""
    return next((stream for stream in streams if stream.recognises(sent)), None)


def convert_recorded_lines(lines: Iterable[bytes], stream: Stream) -> Iterator[ParsedLine]:
    """Yield the events of recorded requests of ``stream``, and each line or item that has no event with its reason.

    Bodies must be stored inflated.
    """
    for line in read_recorded_lines(lines):
        if line.sent is None:
            yield ParsedLine(line.number, None, line.problem)
            continue
        try:
            reading = stream.read(line.sent)
        except UnreadableBody as reason:
            yield ParsedLine(line.number, None, str(reason))
            continue
        for event in reading.events:
            yield ParsedLine(line.number, event)
        for reject in reading.rejects:
            yield ParsedLine(line.number, None, f"{reject.field}: {reject.reason}")


def _make_body(request: _Request) -> SentBody:
    parts = urlsplit(request.path)
    media = next((value for name, value in request.headers.items() if name.lower() == "content-type"), "")
    packed = request.bodyBase64
    return SentBody(
        base64.b64decode(packed, validate=True) if packed is not None else (request.body or "").encode(),
        path=parts.path.lstrip("/"),
        query=dict(parse_qsl(parts.query)),
        media_type=media.partition(";")[0].strip().lower(),
        received_ms=int(request.t),
    )
