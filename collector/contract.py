"""The event contract: a batch or a file as sent → normalised rows and rejects (events.md binds every rule
here).

One bad event never rejects its batch. Where the contract speaks, it is enforced (an event over a limit is
rejected with the field's name); where it is silent, events pass: unknown top-level keys are ignored, ``null``
means absent, a known metadata key of the wrong type stays in ``metadata`` and leaves its column unknown. A
missing key means unknown, never false.
"""

import gzip
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from collector.privacy import (
    cut_query,
    hash_user,
    mask_json,
    mask_metadata,
    mask_name,
    mask_path,
    mask_source,
    mask_text,
)

if TYPE_CHECKING:
    import pyarrow as pa

MAX_EVENTS: Final = 1_000
REPLAY_HEADER: Final = "x-furrow-replay"
"""Says that a batch holds dead letters of the project it names: those rejected again are not kept a second time."""
MAX_BODY_BYTES: Final = 1 << 20
MAX_METADATA_BYTES: Final = 8 << 10
MAX_SESSION_ID: Final = 128
MAX_ROUTE: Final = 512
MAX_LABEL: Final = 80
SKEW_TOLERANCE_MS: Final = 5_000
MAX_FUTURE_MS: Final = 3_600_000

UNKNOWN_POSITION: Final = -(2**31)
"""As ``ufse.columns``; here too, because intake needs neither Arrow nor the engine, and starts without loading them."""

_MAX_NAME = 512  # characters of a column the contract sets no limit for (selector, versions); the rest is cut
_MAX_TEXT = 2_048  # characters of `message` and `source` columns; `metadata` keeps the whole text
_MAX_DEAD_LETTER_BYTES = 64 << 10
_MAX_TIMESTAMP_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant of RFC 3339
_EPOCH_SECONDS = range(10**9, 10**10)  # 2001–2286 in seconds; read as milliseconds: 12 January to 26 April 1970
_FILE_ROWS_PER_CHUNK = 10_000


class InvalidBatch(Exception):
    """The body as a whole is not the contract's JSON; ``status`` is the HTTP status, ``code`` a fixed
    word."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Row(msgspec.Struct, gc=False):
    """One normalised event, field by field ``ufse.columns.EVENT_SCHEMA``; its JSON is a line of a spool
    segment."""

    project: str
    session_id: str
    event_id: str
    event_type: str
    ts: int
    seq: int
    received_ms: int
    user_hash: str
    route: str
    target_type: str = ""
    target_id: str = ""
    target_selector: str = ""
    target_tag: str = ""
    target_label: str = ""
    x: int = UNKNOWN_POSITION
    y: int = UNKNOWN_POSITION
    click_count: int = -1
    input_method: str = ""
    disabled: int = -1
    loading: int = -1
    selection: int = -1
    responded: int = -1
    action: str = ""
    field_type: str = ""
    depth: int = -1
    direction: str = ""
    valid: int = -1
    nav_from: str = ""
    nav_type: str = ""
    external: int = -1
    download: int = -1
    error_type: str = ""
    message: str = ""
    source: str = ""
    third_party: int = -1
    status: int = -1
    method: str = ""
    url: str = ""
    duration_ms: int = -1
    aborted: int = -1
    perf_kind: str = ""
    state: str = ""
    app_version: str = ""
    environment: str = ""
    sdk_version: str = ""
    user_agent: str = ""
    metadata: str = "{}"


@dataclass(frozen=True, slots=True)
class Reject:
    """An event that breaks a rule: its place in the batch or the file (from 0), the field and why."""

    index: int
    field: str
    reason: str

    def to_json(self) -> dict[str, object]:
        """The shape of the HTTP answer."""
        return {"index": self.index, "field": self.field, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Source:
    """What the rows of one batch have in common: where they came from and what they inherit."""

    project: str
    received_ms: int
    salt: bytes
    skew_ms: int = 0
    app_version: str = ""
    environment: str = ""
    sdk_version: str = ""
    user_agent: str = ""


@dataclass(slots=True)
class Batch:
    """A decoded batch: ``rows`` to store, ``rejects`` to answer, ``dead_letters`` (JSON lines) to keep for a
    replay."""

    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    dead_letters: list[bytes] = field(default_factory=list)

    def lines(self) -> bytes:
        """The rows as JSON lines, as a spool segment holds them."""
        return _ENCODER.encode_lines(self.rows)


class _Rejected(Exception):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


_ENCODER = msgspec.json.Encoder()
_CANONICAL = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder()


# --------------------------------------------------------------------------------------------------- decoding


def decode_body(body: bytes) -> dict[str, Any]:
    """A request body as a JSON object. Raises InvalidBatch (400)."""
    try:
        batch = decode_json(body)
    except ValueError as error:
        raise InvalidBatch(400, "invalid_json", f"the body is not JSON: {error}") from None
    if not isinstance(batch, dict):
        raise InvalidBatch(400, "invalid_batch", 'the body must be an object: {"events": [...]}')
    return batch


def decode_json(text: bytes) -> Any:
    """JSON as browsers really write it; half of a surrogate pair becomes ``?``. Raises ValueError."""
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(text)


def _decode_leniently(text: bytes) -> Any:
    # A label cut by JavaScript between the halves of a surrogate pair, or a number beyond a double, is one
    # event's fault; the fast decoder would refuse the whole batch for it.
    try:
        value = json.loads(text.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)
        return _DECODER.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _bounded(digits: str) -> int | float | None:
    return int(digits) if len(digits) <= 18 else _finite(digits)


def normalise_batch(
    batch: Mapping[str, Any],
    *,
    project: str,
    received_ms: int,
    salt: bytes,
    http_user_agent: str = "",
    session_id: str | None = None,
) -> Batch:
    """The rows and rejects of a decoded request body; ``received_ms`` is the receipt time in epoch
    milliseconds.

    ``http_user_agent`` is the last default of ``userAgent``, if it is a browser's: the name of a program that
    only delivers events (curl, a server) says nothing about the visitor. With ``session_id`` all events are of that
    session: it is written into those that name none, and those that name another are rejected. Raises
    InvalidBatch when the batch itself breaks the contract.
    """
    events = batch.get("events")
    if not isinstance(events, list) or not events:
        raise InvalidBatch(400, "invalid_batch", f"`events` must be a list of 1 to {MAX_EVENTS} events")
    if len(events) > MAX_EVENTS:
        raise InvalidBatch(413, "too_many_events", f"{len(events)} events; a batch holds at most {MAX_EVENTS}")
    browser = http_user_agent if http_user_agent.startswith("Mozilla/") else ""
    source = Source(
        project=project,
        received_ms=received_ms,
        salt=salt,
        skew_ms=_skew(batch.get("sentAt"), received_ms),
        app_version=_batch_default(batch, "appVersion"),
        environment=_batch_default(batch, "environment"),
        sdk_version=_batch_default(batch, "sdkVersion"),
        user_agent=_batch_default(batch, "userAgent") or _name(browser),
    )
    result = Batch()
    identity = _Identity(project)
    for index, event in enumerate(events):
        try:
            if session_id is not None:
                event = _in_session(event, session_id)
            result.rows.append(_row(event, source, identity))
        except _Rejected as rejected:
            result.rejects.append(Reject(index, rejected.field, rejected.reason))
            result.dead_letters.append(_dead_letter(event, source, identity, rejected))
    return result


def _in_session(event: object, session_id: str) -> object:
    if not isinstance(event, dict):
        return event
    named = event.get("sessionId")
    if named not in (None, "", session_id):
        raise _Rejected("sessionId", "is not the session that the body names")
    return {**event, "sessionId": session_id}


def _skew(sent_at: object, received_ms: int) -> int:
    if sent_at is None:
        return 0
    try:
        skew = received_ms - _timestamp(sent_at, "sentAt")
    except _Rejected as rejected:
        raise InvalidBatch(400, "invalid_batch", f"`sentAt` {rejected.reason}") from None
    return skew if abs(skew) > SKEW_TOLERANCE_MS else 0


def _batch_default(batch: Mapping[str, Any], key: str) -> str:
    value = batch.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidBatch(400, "invalid_batch", f"`{key}` must be text")
    return _name(value)


# ------------------------------------------------------------------------------------------------------ files


def read_events(
    path: Path | str, *, project: str = "default", salt: bytes = b"furrow"
) -> "tuple[pa.Table, list[Reject]]":
    """A file of events, one JSON object a line (plain or gzip), as a table of EVENT_SCHEMA and the rejected
    lines.

    The receipt time of an event is its own time: history in a file did not arrive late. Raises OSError and
    ValueError (a damaged gzip).
    """
    import pyarrow as pa

    from ufse.columns import EVENT_SCHEMA

    rejects: list[Reject] = []
    rows: list[Row] = []
    chunks: list[pa.RecordBatch] = []
    for row in iterate_lines(open_lines(path), rejects, project=project, salt=salt):
        rows.append(row)
        if len(rows) == _FILE_ROWS_PER_CHUNK:
            chunks.append(to_arrow(rows))
            rows = []
    chunks.append(to_arrow(rows))
    return pa.Table.from_batches(chunks, EVENT_SCHEMA), rejects


def open_lines(path: Path | str) -> Iterator[bytes]:
    """The lines of a plain or gzip file, told apart by content. Raises OSError, ValueError when the gzip is
    damaged."""
    with open(path, "rb") as plain:
        if plain.read(2) != b"\x1f\x8b":
            plain.seek(0)
            yield from plain
            return
    try:
        with gzip.open(path, "rb") as inflated:
            yield from inflated
    except EOFError as error:
        raise ValueError(f"{path}: {error}") from error


def iterate_lines(
    lines: Iterable[bytes], rejects: list[Reject], *, project: str = "default", salt: bytes = b"furrow"
) -> Iterator[Row]:
    """Rows of JSON lines; what is no event goes to ``rejects`` with its line's index (from 0). Blank lines
    are skipped."""
    identity = _Identity(project)
    source = Source(project=project, received_ms=-1, salt=salt)
    decode = _DECODER.decode
    for number, line in enumerate(lines):
        try:
            event = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if not line.strip():
                continue
            try:
                event = decode_json(line)
            except ValueError as error:
                rejects.append(Reject(number, "", f"not JSON: {error}"))
                continue
        try:
            yield _row(event, source, identity)
        except _Rejected as rejected:
            rejects.append(Reject(number, rejected.field, rejected.reason))


def normalise_events(
    events: Iterable[object],
    *,
    project: str = "default",
    salt: bytes = b"furrow",
    received_ms: int | None = None,
) -> "tuple[pa.Table, list[Reject]]":
    """Events in memory as a table and its rejects (``index`` from 0); without ``received_ms``, receipt is
    event time."""
    import pyarrow as pa

    from ufse.columns import EVENT_SCHEMA

    identity = _Identity(project)
    source = Source(project=project, received_ms=-1 if received_ms is None else received_ms, salt=salt)
    rows: list[Row] = []
    rejects: list[Reject] = []
    for index, event in enumerate(events):
        try:
            rows.append(_row(event, source, identity))
        except _Rejected as rejected:
            rejects.append(Reject(index, rejected.field, rejected.reason))
    return pa.Table.from_batches([to_arrow(rows)], EVENT_SCHEMA), rejects


def to_arrow(rows: list[Row]) -> "pa.RecordBatch":
    """Rows as one record batch of EVENT_SCHEMA."""
    import pyarrow as pa

    from ufse.columns import EVENT_SCHEMA

    columns = zip(*map(msgspec.structs.astuple, rows), strict=True) if rows else [()] * len(EVENT_SCHEMA)
    arrays = [_column(values, kind.type) for values, kind in zip(columns, EVENT_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA)


def _column(values: tuple[Any, ...], kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    # Most columns hold one value for many rows (unknown), which Arrow repeats without looking at each.
    if values and values.count(values[0]) == len(values):
        return pa.repeat(pa.scalar(values[0], kind), len(values))
    return pa.array(values, kind)


# --------------------------------------------------------------------------------------------------- identity


class _Identity:
    """Event ids of one batch or file: of the client's key, or of the event as sent and how often it came
    before."""

    def __init__(self, project: str) -> None:
        self._prefix = hashlib.sha256(project.encode("utf-8", "replace")).digest()
        self._seen: dict[bytes, int] = {}

    def of_key(self, session_id: str, key: str) -> str:
        content = f"{len(session_id)}:{session_id}{key}".encode("utf-8", "replace")
        return _uuid(hashlib.sha256(self._prefix + b"key" + content).hexdigest())

    def of_content(self, event: object) -> str:
        digest = hashlib.sha256(self._prefix + _canonical(event)).digest()
        before = self._seen.get(digest, 0)
        self._seen[digest] = before + 1
        if before:
            digest = hashlib.sha256(digest + before.to_bytes(8, "big")).digest()
        return _uuid(digest.hex())


def _canonical(event: object) -> bytes:
    # Sorted keys: a proxy that writes the same JSON in another order resends the same event.
    try:
        return _CANONICAL.encode(event)
    except (OverflowError, ValueError):
        return json.dumps(event, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")


def _uuid(digest: str) -> str:
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


# -------------------------------------------------------------------------------------------------- one event

_TYPES: Final[Mapping[str, str]] = {
    "click": "click",
    "input": "input",
    "input_focus": "input",
    "input_blur": "input",
    "scroll": "scroll",
    "hover": "hover",
    "form_submit": "form_submit",
    "navigation": "navigation",
    "route_change": "navigation",
    "error": "error",
    "unhandled_rejection": "error",
    "network": "network",
    "network_error": "network",
    "network_success": "network",
    "performance": "performance",
    "slow_response": "performance",
    "long_task": "performance",
    "loading": "loading",
    "visibility": "visibility",
    "session_end": "session_end",
}
"""Every accepted `eventType` and what it is stored as (events.md, Event types)."""


def _row(event: object, source: Source, identity: _Identity) -> Row:
    if not isinstance(event, dict):
        raise _Rejected("", "an event must be an object")
    get = event.get
    sent_type = get("eventType")
    if not isinstance(sent_type, str) or sent_type not in _TYPES:
        raise _Rejected("eventType", "is required" if sent_type is None else "unknown event type")
    event_type = _TYPES[sent_type]
    ts = _timestamp(get("timestamp"), "timestamp") + source.skew_ms
    received_ms = source.received_ms
    if received_ms < 0:
        received_ms = ts
    elif ts > received_ms + MAX_FUTURE_MS:
        raise _Rejected("timestamp", "more than 1 h in the future")
    if ts < 0:
        raise _Rejected("timestamp", "is before 1970")
    session_id = _session_id(get("sessionId"))
    route = _route(get("route"))
    metadata = _metadata(get("metadata"))
    seq = -1 if (value := get("seq")) is None else _seq(value)
    user_id = "" if (value := get("userId")) is None else _user_id(value)
    key = "" if (value := get("idempotencyKey")) is None else _idempotency_key(value)
    target = None if (value := get("target")) is None else _target(value)
    row = Row(
        source.project,
        session_id,
        identity.of_key(session_id, key) if key else identity.of_content(event),
        event_type,
        ts,
        seq,
        received_ms,
        hash_user(source.project, user_id, source.salt) if user_id else "",
        route,
    )
    if target:
        _fill_target(row, target)
    row.app_version = source.app_version if (value := get("appVersion")) is None else _name(value)
    row.environment = source.environment if (value := get("environment")) is None else _name(value)
    row.sdk_version = source.sdk_version if (value := get("sdkVersion")) is None else _name(value)
    row.user_agent = source.user_agent if (value := get("userAgent")) is None else _name(value)
    fill = _FILL.get(event_type)
    if fill:
        fill(row, metadata, sent_type)
    if metadata:
        row.metadata = _ENCODER.encode(mask_metadata(metadata)).decode()
    return row


_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def _timestamp(value: object, name: str) -> int:
    """Epoch milliseconds of an RFC 3339 text or of a number of milliseconds; parts of a millisecond are
    cut."""
    if type(value) is str:
        # What JavaScript's toISOString writes; its second is looked up, because events come many to a second.
        if len(value) == 24 and value[19] == "." and value[23] == "Z" and value[20:23].isdecimal() and value.isascii():
            second = _second_ms(value[:19])
            if second is not None:
                return second + int(value[20:23])
        ms = _parse_rfc3339(value)
        if ms is None:
            raise _Rejected(name, "is neither RFC 3339 with a zone nor epoch milliseconds")
        return ms
    if value is None:
        raise _Rejected(name, "is required")
    if type(value) is not int and type(value) is not float:
        raise _Rejected(name, "is neither RFC 3339 with a zone nor epoch milliseconds")
    if not 0 <= value <= _MAX_TIMESTAMP_MS:
        raise _Rejected(name, "is before 1970" if value < 0 else "more than 1 h in the future")
    if int(value) in _EPOCH_SECONDS:
        # Read as milliseconds, an hour of seconds is 3.6 s: every calm session would look like a struggle.
        raise _Rejected(name, "is in epoch seconds; milliseconds are expected")
    return int(value)


def parse_time(value: object) -> int | None:
    """Epoch milliseconds of an RFC 3339 text with a zone or of a number of milliseconds; None for anything
    else."""
    try:
        return _timestamp(value, "")
    except _Rejected:
        return None


def _parse_rfc3339(text: str) -> int | None:
    if len(text) > 64:
        return None
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    date, minute, second, fraction, sign, hours, minutes = match.groups()
    base = _minute_ms(date, minute)
    if base is None or second > "60":
        return None
    ms = base + int(second) * 1_000  # a leap second (60) is the first one of the next minute
    if fraction:
        ms += int(fraction[:3].ljust(3, "0"))
    if sign:
        offset = (int(hours) * 60 + int(minutes)) * 60_000
        ms -= offset if sign == "+" else -offset
    return ms


@lru_cache(maxsize=1 << 16)
def _second_ms(text: str) -> int | None:
    return _parse_rfc3339(text + "Z")


@lru_cache(maxsize=4096)
def _minute_ms(date: str, minute: str) -> int | None:
    try:
        return (datetime.fromisoformat(f"{date}T{minute}00+00:00") - _EPOCH) // _MS
    except ValueError:
        return None


def _session_id(value: object) -> str:
    if value is None or value == "":
        raise _Rejected("sessionId", "is required")
    if not isinstance(value, str):
        raise _Rejected("sessionId", "must be text")
    if len(value) > MAX_SESSION_ID or not value.isprintable():
        raise _Rejected("sessionId", f"must be 1 to {MAX_SESSION_ID} printable characters")
    return value


def _route(value: object) -> str:
    if value is None or value == "":
        raise _Rejected("route", "is required")
    if not isinstance(value, str):
        raise _Rejected("route", "must be text")
    if len(value) > MAX_ROUTE and len(cut_query(value)) > MAX_ROUTE:
        raise _Rejected("route", f"is longer than {MAX_ROUTE} characters")
    return mask_path(value)[:MAX_ROUTE]


def _seq(value: object) -> int:
    if type(value) is not int and type(value) is not float:
        raise _Rejected("seq", "must be a number")
    if not 0 <= value <= _INT64 or value != int(value):
        raise _Rejected("seq", "must be a counter from 0 to 2^63 - 1")
    return int(value)


def _user_id(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _Rejected("userId", "must be text")


def _idempotency_key(value: object) -> str:
    if not isinstance(value, str):
        raise _Rejected("idempotencyKey", "must be text")
    return value


def _target(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Rejected("target", "must be an object")
    label = value.get("label")
    if isinstance(label, str) and len(label) > MAX_LABEL:
        raise _Rejected("target.label", f"is longer than {MAX_LABEL} characters")
    return value


def _metadata(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Rejected("metadata", "must be an object")
    length = 0
    for key, part in value.items():
        kind = type(part)
        if kind is str:
            length += len(part)
        elif (kind is dict or kind is list) and not _is_position(part):
            raise _Rejected(f"metadata.{_shown(key)}", "must be a scalar or {x, y}")
        length += (
            len(key) + 32
        )  # a number, or the two of a position, has no more characters, quotes and colons included
    # A character is at most six bytes of JSON, so that only large objects need to be measured.
    if length * 6 > MAX_METADATA_BYTES and len(_ENCODER.encode(value)) > MAX_METADATA_BYTES:
        raise _Rejected("metadata", f"is larger than {MAX_METADATA_BYTES} bytes")
    return value


def _is_position(part: object) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() <= {"x", "y"}
        and not any(isinstance(inner, dict | list) for inner in part.values())
    )


def _shown(key: str) -> str:
    return mask_text(key)[:64]


# ---------------------------------------------------------------------------------------------------- columns

_POINTERS: Final = frozenset({"mouse", "touch", "keyboard"})
_ACTIONS: Final = frozenset({"focus", "change", "blur"})
_DIRECTIONS: Final = frozenset({"up", "down"})
_NAVIGATIONS: Final = frozenset({"link", "push", "replace", "back_forward", "reload"})
_ERRORS: Final = frozenset({"javascript", "promise", "resource", "validation"})
_KINDS: Final = frozenset({"slow_response", "long_task", "page_load"})
_LOADING: Final = frozenset({"start", "end"})
_VISIBILITY: Final = frozenset({"hidden", "visible"})
_INT32: Final = 2**31 - 1
_INT64: Final = 2**63 - 1


def _tri(value: object) -> int:
    return (1 if value else 0) if isinstance(value, bool) else -1


def _number(value: object, low: int, high: int, unknown: int = -1) -> int:
    kind = type(value)
    if (kind is int or kind is float) and low <= value <= high:  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload,no-any-return]
    return unknown


def _one_of(value: object, allowed: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in allowed else ""


def _name(value: object) -> str:
    """A short text without a limit in the contract (a version, a selector), masked and cut."""
    if type(value) is str:
        return mask_name(value)[:_MAX_NAME]
    return str(value) if type(value) is int and abs(value) < _INT64 else ""


def _fill_target(row: Row, target: Mapping[str, Any]) -> None:
    get = target.get
    if (value := get("type")) is not None:
        row.target_type = _name(value)
    if (value := get("id")) is not None:
        row.target_id = _name(value)
    if (value := get("selector")) is not None:
        row.target_selector = _name(value)
    if (value := get("tagName")) is not None:
        row.target_tag = _name(value)
    if isinstance(value := get("label"), str):
        row.target_label = mask_text(value)[:MAX_LABEL]


def _click(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    get = metadata.get
    x, y = get("x"), get("y")
    row.x = _number(get("clientX") if x is None else x, -_INT32, _INT32, UNKNOWN_POSITION)
    row.y = _number(get("clientY") if y is None else y, -_INT32, _INT32, UNKNOWN_POSITION)
    row.click_count = _number(get("clickCount"), 0, _INT32)
    row.input_method = _one_of(get("inputMethod"), _POINTERS)
    row.disabled = _tri(get("disabled"))
    row.loading = _tri(get("loading"))
    row.selection = _tri(get("selection"))
    row.responded = _tri(get("responded"))


def _input(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    implied = {"input_focus": "focus", "input_blur": "blur"}.get(sent_type, "")
    row.action = _one_of(metadata.get("action"), _ACTIONS) or implied
    row.field_type = _name(metadata.get("fieldType"))


def _scroll(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.depth = _number(metadata.get("depth"), 0, 100)
    row.direction = _one_of(metadata.get("direction"), _DIRECTIONS)


def _form_submit(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.valid = _tri(metadata.get("valid"))


def _navigation(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    get = metadata.get
    row.nav_from = _path(get("from"))
    row.nav_type = _one_of(get("navigationType"), _NAVIGATIONS)
    row.external = _tri(get("external"))
    row.download = _tri(get("download"))


def _error(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    get = metadata.get
    implied = "promise" if sent_type == "unhandled_rejection" else ""
    row.error_type = _one_of(get("errorType"), _ERRORS) or implied
    message, source = get("message"), get("source")
    row.message = mask_text(message)[:_MAX_TEXT] if isinstance(message, str) else ""
    row.source = mask_source(source)[:_MAX_TEXT] if isinstance(source, str) else ""
    row.third_party = _tri(get("thirdParty"))


def _network(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    get = metadata.get
    status = get("status")
    if status is None:
        # A request that failed without a status was never answered; one that succeeded was a 2xx
        # (detection.md).
        row.status = {"network_error": 0, "network_success": 200}.get(sent_type, -1)
    else:
        row.status = _number(status, 0, 999)
    row.method = _name(get("method")).upper()
    row.url = _path(get("url"))
    row.duration_ms = _number(get("durationMs"), 0, _INT64)
    row.aborted = _tri(get("aborted"))
    row.third_party = _tri(get("thirdParty"))


def _performance(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    implied = sent_type if sent_type in _KINDS else ""
    row.perf_kind = _one_of(metadata.get("kind"), _KINDS) or implied
    row.duration_ms = _number(metadata.get("durationMs"), 0, _INT64)


def _loading(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.state = _one_of(metadata.get("state"), _LOADING)


def _visibility(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.state = _one_of(metadata.get("state"), _VISIBILITY)


def _path(value: object) -> str:
    return mask_path(value)[:_MAX_TEXT] if isinstance(value, str) and value else ""


_FILL: Final[Mapping[str, Callable[[Row, Mapping[str, Any], str], None]]] = {
    "click": _click,
    "input": _input,
    "scroll": _scroll,
    "form_submit": _form_submit,
    "navigation": _navigation,
    "error": _error,
    "network": _network,
    "performance": _performance,
    "loading": _loading,
    "visibility": _visibility,
}


# ----------------------------------------------------------------------------------------------- dead letters


def _dead_letter(event: object, source: Source, identity: _Identity, rejected: _Rejected) -> bytes:
    """One line of the dead-letter file: the event masked, with a key that makes its replay harmless."""
    masked: object
    if isinstance(event, dict):
        key = event.get("idempotencyKey")
        masked = mask_event(event, source.project, source.salt)
        masked["idempotencyKey"] = key if isinstance(key, str) and key else identity.of_content(event)
        if len(_ENCODER.encode(masked)) > _MAX_DEAD_LETTER_BYTES:
            masked = {"truncated": True} | {
                name: masked[name] for name in _KEPT_OF_LARGE if _is_short(masked.get(name))
            }
    else:
        masked = mask_json(event)
        if len(_ENCODER.encode(masked)) > _MAX_DEAD_LETTER_BYTES:
            masked = "[truncated]"
    at = datetime.fromtimestamp(source.received_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    letter = {
        "at": at.replace("+00:00", "Z"),
        "project": source.project,
        "field": rejected.field,
        "reason": rejected.reason,
        "event": masked,
    }
    return _ENCODER.encode(letter) + b"\n"


_KEPT_OF_LARGE: Final = ("eventType", "timestamp", "sessionId", "route", "userId", "seq", "idempotencyKey")


def _is_short(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= 1_024


def mask_event(event: Mapping[str, Any], project: str, salt: bytes) -> dict[str, Any]:
    """An event as sent, valid or not, without what may identify a person; the user id becomes
    ``uh:<hash>``."""
    kept = ("userId", "sessionId", "timestamp", "idempotencyKey")
    masked = mask_json({name: value for name, value in event.items() if name not in kept})
    assert isinstance(masked, dict)
    for name in ("sessionId", "timestamp"):
        if name in event:
            value = event[name]
            masked[name] = value if _is_short(value) else mask_json(value)
    user = event.get("userId")
    if user is not None:
        known = isinstance(user, str | int) and not isinstance(user, bool)
        masked["userId"] = "uh:" + hash_user(project, str(user), salt) if known else None
    return masked
