"""Files with what SDKs of other vendors sent: recorded requests, one body a line, one body as the whole file, or a JSON array
of bodies; plain, gzip or zlib. `collector.streams` reads the bodies; this module finds them and names their format."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from collector.contract import SKEW_TOLERANCE_MS, Batch, Reject, Row, normalise_batch, open_lines, to_arrow
from collector.http_errors import ApiError
from collector.streams.conversion import find_sdk_version, find_sent_ms, make_batches, read_content
from collector.streams.registry import STREAMS
from collector.streams.stream import Reading, SentBody, Stream, UnreadableBody, WireEvent
from collector.transport.inflating import inflate_by_content, recognise_compression
from furrow.clients.access_log import ParsedLine
from furrow.clients.recorded_bodies import (
    RecordedLine,
    is_description,
    is_recorded_request,
    read_recorded_lines,
)

if TYPE_CHECKING:
    import pyarrow as pa

MAX_WHOLE_BYTES: Final = 64 << 20
"""Limit of a body that is a whole file, also after inflating."""
_VOTES: Final = 50  # bodies of a file that are looked at to name its format
_LOOKED_AT: Final = 20  # lines


@dataclass(frozen=True, slots=True)
class StreamFile:
    """A file of one stream; ``read`` yields its bodies, from the beginning at each call."""

    stream: Stream
    read: Callable[[], Iterator[RecordedLine]]


def list_stream_names() -> list[str]:
    """The formats that are streams, in the order of the registry."""
    return [stream.name for stream in STREAMS]


def open_stream_file(path: Path, name: str) -> StreamFile:
    """The file ``path`` as one of the stream ``name``. Raises OSError, and ValueError for a damaged file."""
    stream = next(stream for stream in STREAMS if stream.name == name)
    if has_recorded_requests(path):
        return StreamFile(stream, lambda: read_recorded_lines(open_lines(path)))
    return _find_bodies(path, (stream,)) or StreamFile(stream, _choose_layout(path, stream))


def recognise_stream_file(path: Path) -> StreamFile | None:
    """The file with the stream that its bodies surely are of; None if no stream is recognised.

    Raises OSError, and ValueError for a damaged file.
    """
    if not has_recorded_requests(path):
        return _find_bodies(path, STREAMS)

    def read() -> Iterator[RecordedLine]:
        return read_recorded_lines(open_lines(path))

    stream = _elect_stream(line.sent for line in islice(read(), _VOTES) if line.sent)
    return StreamFile(stream, read) if stream else None


def has_recorded_requests(path: Path) -> bool:
    """Whether the first lines are recorded requests. Raises OSError, and ValueError for a damaged gzip."""
    lines = (line for line in open_lines(path) if line.strip())
    first = next(lines, b"")
    return is_description(first) or is_recorded_request(first)


def read_stream_events(file: StreamFile) -> "tuple[pa.Table, list[Reject]]":
    """The table of EVENT_SCHEMA and the rejects; the index of a reject is its line (from 0), its field names the item.

    Receipt and clock are corrected as over HTTP where the request was recorded with its time; otherwise each event's own time
    is its receipt time.
    """
    import pyarrow as pa

    from ufse.columns import EVENT_SCHEMA

    rejects: list[Reject] = []
    chunks = [to_arrow(_make_rows(file, line, rejects)) for line in file.read()]
    return pa.Table.from_batches(chunks, EVENT_SCHEMA), rejects


def convert_stream_events(file: StreamFile) -> Iterator[ParsedLine]:
    """Yield the events of the contract, and each line or item that has no event with its reason.

    The events are sent later than they happened, so their times are corrected here: by the smallest difference between
    receipt and sending of their session and browser, as the engine does (``ufse/clocks.py``).
    """
    offsets = _find_clock_offsets(file)
    for line in file.read():
        reading = _read_body(file.stream, line)
        if isinstance(reading, str):
            yield ParsedLine(line.number, None, reading)
            continue
        agent = _browser_of(line)
        for event in reading.events:
            event.setdefault("sdkVersion", find_sdk_version(file.stream, reading))
            if agent:
                event.setdefault("userAgent", agent)
            at, offset = event.get("timestamp"), offsets.get((event.get("sessionId"), agent), 0)
            if abs(offset) > SKEW_TOLERANCE_MS and isinstance(at, int | float):
                event["timestamp"] = at + offset
            yield ParsedLine(line.number, event)
        for reject in reading.rejects:
            yield ParsedLine(line.number, None, f"{file.stream.name}.{reject.field}: {reject.reason}")


def _find_clock_offsets(file: StreamFile) -> dict[tuple[object, str], int]:
    """Milliseconds to add to the times of a session and browser; without an entry: unknown, no correction."""
    offsets: dict[tuple[object, str], int] = {}
    for line in file.read():
        reading = _read_body(file.stream, line)
        if isinstance(reading, str) or line.sent is None or not line.sent.received_ms:
            continue
        sent_ms = find_sent_ms(reading)
        if sent_ms is None:
            continue
        for event in reading.events:
            key = event.get("sessionId"), _browser_of(line)
            offsets[key] = min(offsets.get(key, line.sent.received_ms - sent_ms), line.sent.received_ms - sent_ms)
    return offsets


def _browser_of(line: RecordedLine) -> str:
    return line.user_agent if line.user_agent.startswith("Mozilla/") else ""


def _read_body(stream: Stream, line: RecordedLine) -> Reading | str:
    """What the line holds, or why it is unreadable."""
    if line.sent is None:
        return line.problem
    try:
        return read_content(stream, line.sent)
    except UnreadableBody as reason:
        return f"no body of {stream.title}: {reason}"


def _make_rows(file: StreamFile, line: RecordedLine, rejects: list[Reject]) -> list[Row]:
    reading = _read_body(file.stream, line)
    if isinstance(reading, str):
        rejects.append(Reject(line.number - 1, "", reading))
        return []
    received_ms = (line.sent.received_ms if line.sent else 0) or -1
    rows: list[Row] = []
    for first, content in make_batches(file.stream, reading, dated=received_ms > 0):
        batch = _normalise(content, received_ms, line.user_agent)
        rows += batch.rows
        rejects += [
            Reject(line.number - 1, f"item {first + found.index + 1}, {found.field}", found.reason)
            for found in batch.rejects
        ]
    rejects += [Reject(line.number - 1, f"{file.stream.name}.{item.field}", item.reason) for item in reading.rejects]
    return rows


def _normalise(content: WireEvent, received_ms: int, user_agent: str) -> Batch:
    """With the project and salt of files (`collector.contract.read_events`)."""
    return normalise_batch(
        content, project="default", received_ms=received_ms, salt=b"furrow", http_user_agent=user_agent
    )


def _elect_stream(bodies: Iterable[SentBody]) -> Stream | None:
    """The stream of the most bodies; of equals the first of the registry."""
    votes = Counter(found.name for sent in bodies if (found := next((s for s in STREAMS if s.recognises(sent)), None)))
    return max((stream for stream in STREAMS if votes[stream.name]), key=lambda s: votes[s.name], default=None)


def _find_bodies(path: Path, streams: tuple[Stream, ...]) -> StreamFile | None:
    """A file that is no recording, with the first of ``streams`` that recognises it."""
    lines = list(islice((line for line in open_lines(path) if line.strip()), _LOOKED_AT))
    if not lines or any(map(_is_own_event, lines)) or not _may_be_bodies(lines[0], streams):
        return None
    whole = _read_whole(path)
    for stream in streams:
        if stream.separate_lines and lines[0].lstrip()[:1] == b"{" and stream.recognises(SentBody(lines[0])):
            return StreamFile(stream, lambda: _read_lines(path))
        if whole is not None and _is_body(stream, whole):
            return StreamFile(stream, lambda: _read_whole_file(path))
        if stream.recognises(SentBody(lines[0])) and _is_body(stream, lines[0]):
            return StreamFile(stream, lambda: _read_lines(path))
        if whole is not None and (elements := _split_array(whole)) and _is_body(stream, elements[0]):
            return StreamFile(stream, lambda: (RecordedLine(1, SentBody(body)) for body in _split_array(whole)))
    return None


def _may_be_bodies(first: bytes, streams: tuple[Stream, ...]) -> bool:
    """Without a named format, only JSON and compressed bodies are looked at whole: other files are logs or no text."""
    return len(streams) == 1 or first.lstrip()[:1] in (b"{", b"[") or recognise_compression(first) is not None


def _is_own_event(line: bytes) -> bool:
    try:
        return "eventType" in msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return False


def _is_body(stream: Stream, content: bytes) -> bool:
    sent = SentBody(content)
    if not stream.recognises(sent):
        return False
    try:
        read_content(stream, sent)
    except UnreadableBody:
        return False
    return True


def _choose_layout(path: Path, stream: Stream) -> Callable[[], Iterator[RecordedLine]]:
    """How to read a file of a named format that has no signs of it: whole if the adapter can, otherwise by line."""
    whole = _read_whole(path)
    try:
        if whole is not None:
            read_content(stream, SentBody(whole))
            return lambda: _read_whole_file(path)
    except UnreadableBody:
        pass  # then each line is a body, or is reported
    return lambda: _read_lines(path)


def _read_lines(path: Path) -> Iterator[RecordedLine]:
    for number, line in enumerate(open_lines(path), 1):
        if line.strip():
            yield RecordedLine(number, SentBody(line.strip()))


def _read_whole_file(path: Path) -> Iterator[RecordedLine]:
    whole = _read_whole(path)
    yield RecordedLine(1, SentBody(whole) if whole is not None else None, "the file is too large for one body")


def _read_whole(path: Path) -> bytes | None:
    """The content of a file, inflated; None if it is larger than a body may be. Raises OSError, and ValueError for a
    damaged file."""
    content, size = [], 0
    for line in open_lines(path):
        size += len(line)
        if size > MAX_WHOLE_BYTES:
            return None
        content.append(line)
    try:
        return inflate_by_content(b"".join(content), MAX_WHOLE_BYTES)
    except ApiError as error:
        raise ValueError(str(error)) from None


def _split_array(content: bytes) -> list[bytes]:
    """The elements of a JSON array; none if it is something else."""
    if content.lstrip()[:1] != b"[":
        return []
    try:
        return [bytes(body) for body in msgspec.json.decode(content, type=list[msgspec.Raw])]
    except (ValueError, RecursionError):
        return []
