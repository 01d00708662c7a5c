"""Reads a file of recorded requests, one JSON object a line, as the bodies that an adapter of a stream takes.

A line is ``{"t","method","path","headers","body"|"bodyBase64"}`` (``t``: receipt time in epoch seconds or milliseconds). A line
with ``truth`` describes a recording and is skipped, like a request without a body (GET, OPTIONS). Each other line that is no
recorded request is reported with the reason.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

from collector.contract.limits import MAX_TIMESTAMP_MS
from collector.http_errors import ApiError
from collector.streams.registry import STREAMS
from collector.streams.stream import SentBody
from collector.transport.inflating import inflate_by_content

MAX_RECORDED_BYTES: Final = 10 << 20
"""Limit of one body, also after inflating; the largest that the intake takes (``collector.routes.streams``)."""
_METHODS: Final = frozenset({"POST", "PUT"})
_NAMES: Final = "|".join(re.escape(stream.name) for stream in STREAMS)
_INTAKE: Final = re.compile(rf".*?/intake/(?:{_NAMES})/[^/]+(?:/|$)")
_SECONDS_BELOW: Final = 1e11
"""A receipt time below this is in seconds (until the year 5138); as milliseconds it would be before March 1973."""


class _Request(msgspec.Struct):
    path: str
    method: str = "POST"
    t: float = 0
    headers: dict[str, object] = {}
    body: str | None = None
    bodyBase64: str | None = None


class RecordedLine(NamedTuple):
    """A line of the file: its number (from 1), and its body (inflated) or the reason why it has none.

    ``user_agent``: of the request, or empty.
    """

    number: int
    sent: SentBody | None
    problem: str = ""
    user_agent: str = ""


def read_recorded_lines(lines: Iterable[bytes]) -> Iterator[RecordedLine]:
    """Yield each request that has a body, and each line that is no recorded request with its reason."""
    for number, raw in enumerate(lines, 1):
        if not raw.strip() or is_description(raw):
            continue
        try:
            request = msgspec.json.decode(raw, type=_Request)
            if request.method.upper() in _METHODS:
                yield _read_request(number, request)
        except ApiError as error:
            yield RecordedLine(number, None, str(error))
        except (ValueError, OverflowError, RecursionError):
            yield RecordedLine(number, None, "not a recorded request")


def is_description(line: bytes) -> bool:
    """Whether the line describes a recording: an object with the only key ``truth``."""
    if b'"truth"' not in line[:64]:
        return False
    try:
        decoded = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return False
    return list(decoded) == ["truth"]


def is_recorded_request(line: bytes) -> bool:
    """Whether the line is a recorded request, also one without a body."""
    try:
        names = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).keys()
        msgspec.json.decode(line, type=_Request)
    except (ValueError, RecursionError):
        return False
    return "body" in names or "bodyBase64" in names or {"method", "headers"} <= names


def _read_request(number: int, request: _Request) -> RecordedLine:
    parts = urlsplit(request.path)
    headers = {name.lower(): value for name, value in request.headers.items()}
    packed = request.bodyBase64
    content = base64.b64decode(packed, validate=True) if packed is not None else (request.body or "").encode()
    body = SentBody(
        inflate_by_content(content, MAX_RECORDED_BYTES),
        path=_INTAKE.sub("", parts.path, count=1).lstrip("/"),
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        media_type=_read_header(headers, "content-type").partition(";")[0].strip().lower(),
        received_ms=_read_receipt_time(request.t),
    )
    return RecordedLine(number, body, user_agent=_read_header(headers, "user-agent"))


def _read_header(headers: Mapping[str, object], name: str) -> str:
    value = headers.get(name)
    return value if isinstance(value, str) else ""


def _read_receipt_time(sent: float) -> int:
    """Epoch milliseconds; 0: unknown."""
    at = int(sent * 1_000 if sent < _SECONDS_BELOW else sent)
    return at if 0 <= at <= MAX_TIMESTAMP_MS else 0
