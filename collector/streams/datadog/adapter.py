"""Bodies of Datadog's browser SDK → events of the contract (docs/streams/datadog.md says what is reported and what is not).

A click's ``date`` is when it happened, though it arrives 1 to 10 s later, when its page has become quiet. Rage of
Datadog's (three clicks within 1 s of each other) arrives as one action; ``during`` of requests and errors lets the engine count
its clicks (``ufse.aggregated``).
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from collector.streams.datadog.events import MAX_TIME_MS, WrongField, make_events
from collector.streams.datadog.kept import digest_line, keep_line, restore_line
from collector.streams.datadog.wire import EVENT_DECODER, HEAD_DECODER
from collector.streams.kept import MAX_KEPT
from collector.streams.stream import Reading, RejectedItem, SentBody, Stream, StreamAnswer, UnreadableBody, WireEvent

_OTHER_TRACKS: Final = frozenset({"logs", "replay", "profile", "debugger", "spans", "exposures", "flagevaluation"})
_KINDS: Final = frozenset({"action", "resource", "error", "view", "long_task"})
_IGNORED_KINDS: Final = frozenset({"view_update", "vital", "telemetry", "transition"})
_SHORT: Final = 64
_DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_body(sent: SentBody) -> Reading:
    """The events of one request. Raises UnreadableBody for a body without a single JSON object."""
    reading = Reading()
    track = _read_forward(sent, reading)
    if track != "rum":
        reading.ignored[f"track {track}"] += 1
        return reading
    lines = _split_lines(sent.content)
    if not lines:
        reading.ignored["empty body"] += 1
        return reading
    readable = 0
    for line in lines:
        readable += _read_line(line, reading)
    if not readable:
        raise UnreadableBody("the body has no line that is a JSON object")
    return reading


def _split_lines(content: bytes) -> list[bytes]:
    """The items: one a line, or those of a JSON list (a copy made by an application)."""
    text = content.strip()
    if text[:1] == b"[":
        try:
            return [bytes(item) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
        except _DECODE_ERRORS as error:
            raise UnreadableBody("the body begins like a list and is none") from error
    return [line for line in text.split(b"\n") if line.strip()]


def _read_forward(sent: SentBody, reading: Reading) -> str:
    """Reads ``ddforward``: the time of sending and the SDK. Returns the track: ``rum``, another known one or ``other``."""
    forward = sent.query.get("ddforward", "")
    if not forward:
        return "rum"
    try:
        where = urlsplit(forward)
        query = parse_qs(where.query, max_num_fields=64)
    except ValueError:
        return "other"
    sent_ms = query.get("batch_time", [""])[-1]
    if sent_ms.isascii() and sent_ms.isdigit() and len(sent_ms) <= 15 and int(sent_ms) <= MAX_TIME_MS:
        reading.sent_ms = int(sent_ms)
    version = query.get("dd-evp-origin-version", [""])[-1]
    if version.isascii() and version.isprintable() and 0 < len(version) <= _SHORT:
        reading.sdk_version = f"datadog-rum/{version}"
    track = where.path.rstrip("/").rpartition("/")[2]
    if track == "rum" or where.path.startswith("/v1/input"):  # before 4.0 the path named a token instead of a track
        return "rum"
    return track if track in _OTHER_TRACKS else "other"


def _read_line(line: bytes, reading: Reading, digest: Callable[[], str] | None = None) -> bool:
    """Reads one item. False where it is no JSON object. ``digest``: identifies one without an id; None: its bytes do."""
    try:
        head = HEAD_DECODER.decode(line)
        kind = _read_kind(head.type)
    except _DECODE_ERRORS:
        reading.rejects.append(RejectedItem("", "the line is no JSON object", {}))
        return False
    if kind not in _KINDS:
        reading.ignored[kind if kind in _IGNORED_KINDS else "unknown kind"] += 1
        return True
    digest = digest or (lambda: digest_line(line))
    try:
        event = EVENT_DECODER.decode(line)
        if not 0 <= event.date <= MAX_TIME_MS:
            raise WrongField("date", "is no time in epoch milliseconds")
        events, ignored = make_events(event, digest)
    except WrongField as error:
        reading.rejects.append(RejectedItem(error.field, error.reason, _keep(line, kind, reading)))
        return True
    except _DECODE_ERRORS as error:
        reading.rejects.append(_describe_decode_error(error, _keep(line, kind, reading)))
        return True
    reading.events.extend(events)
    if ignored:
        reading.ignored[ignored] += 1
    return True


def _keep(line: bytes, kind: str, reading: Reading) -> WireEvent:
    return keep_line(line) if len(reading.rejects) < MAX_KEPT else {"type": kind}


def reread(kept: Mapping[str, object]) -> Reading:
    """What the item of a letter gives now (`collector.streams.datadog.kept`)."""
    reading, digest = Reading(), str(kept.get("digest", ""))
    _read_line(restore_line(kept), reading, (lambda: digest) if digest else None)
    return reading


def _read_kind(raw: msgspec.Raw) -> str:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) else ""


def _describe_decode_error(error: Exception, kept: WireEvent) -> RejectedItem:
    """msgspec names the path of the field by our own names (``$._dd.action``), and types; never a value."""
    if not isinstance(error, msgspec.ValidationError):
        return RejectedItem("", "is no valid JSON", kept)
    _, _, place = str(error).rpartition(" - at `$.")
    field = place.rstrip("`") if place and len(place) <= _SHORT else ""
    return RejectedItem(field, "has a wrong type or is missing", kept)


def recognise_body(sent: SentBody) -> bool:
    """Whether the first item is an event of Datadog's RUM."""
    text = sent.content.lstrip()
    line = text[text[:1] == b"[" :].split(b"\n", 1)[0].strip()
    try:
        if text[:1] == b"[":
            line = next(iter(_split_lines(text)), b"")
        head = HEAD_DECODER.decode(line)
        known = _read_kind(head.type) in _KINDS | _IGNORED_KINDS
    except (*_DECODE_ERRORS, UnreadableBody):
        return False
    return known and bytes(head.session)[:1] == b"{" and b'"_dd"' in line


def answer_accepted(sent: SentBody, reading: Reading) -> StreamAnswer:
    """202 with an empty object, as Datadog's own intake answers."""
    del sent, reading
    return StreamAnswer(status=202)


STREAM: Final = Stream(
    name="datadog",
    title="Datadog RUM",
    read=read_body,
    recognises=recognise_body,
    separate_lines=True,
    reread=reread,
    answer=answer_accepted,
    lacks=(
        "forms and typing: a submit that the browser refuses is a click",
        "whether the page changed after a click (`responded`)",
        "whether a request was aborted by the page",
    ),
)
