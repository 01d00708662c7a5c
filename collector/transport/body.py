"""Reads request bodies once, within the contract's limits of size and time (docs/contracts/events.md, Batch)."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from collector.contract import MAX_BODY_BYTES, InvalidBatch, decode_body
from collector.http_errors import ApiError, error_response
from collector.metrics import REFUSED
from collector.senders.source import SourceReader
from collector.transport.inflating import GZIP, RAW_DEFLATE, ZLIB, Inflating, recognise_compression
from collector.transport.plain_requests import take_whole_body
from collector.transport.turns import LostTurn, Turns

LEAST_BYTES_PER_SECOND: Final = 1_000
"""Slower bodies are refused (408); a slow mobile connection sends five times as fast."""
_PATIENCE_SECONDS: Final = 5.0  # before the rate is checked: a connection may stall once
_YOUNG_SECONDS: Final = 1.0  # a younger body is not dropped for a body of a source with as many bodies

_CHARSETS: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})
_ENCODINGS: Final = {"x-gzip": "gzip"}
_PARAMETER_END: Final = re.compile(r';(?=(?:[^"]*"[^"]*")*[^"]*$)')  # a semicolon outside of quotes
_MEDIA_TYPE_LENGTH: Final = 256

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)


class Body(NamedTuple):
    """A body as a JSON object, its inflated ``size`` and its ``sent`` size, both in bytes."""

    content: dict[str, Any]
    size: int
    sent: int


class RawBody(NamedTuple):
    """A body as bytes, inflated, and its ``sent`` size in bytes."""

    content: bytes
    sent: int


@dataclass(eq=False, slots=True)
class _BodyRead:
    source: str
    began: float
    timeout: asyncio.Timeout | None = None  # while the body arrives

    def stop_reading(self) -> None:
        """Stop reading the body; it is answered 408."""
        if self.timeout is not None:
            self.timeout.reschedule(asyncio.get_running_loop().time())
            self.timeout = None


class Doorway:
    """Limits the bodies in memory at once; each endpoint family has its own doorway.

    One source gets at most half of the places. When all places are taken, a body that is still arriving or waiting for its
    turn is dropped: the oldest body of the source that has most. If there is none, the new body gets 503.
    """

    def __init__(
        self,
        max_in_flight: int,
        body_seconds: float,
        sources: SourceReader,
        turns: Turns,
        *,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._max_in_flight = max_in_flight
        self._per_source = max(1, max_in_flight // 2)
        self._body_seconds = body_seconds
        self._sources = sources
        self._turns = turns
        self._max_bytes = max_bytes
        self._visits: dict[Request, _BodyRead] = {}
        self._of_source: Counter[str] = Counter()

    async def answer_request(self, request: Request, receive: Callable[[Request], Awaitable[Response]]) -> Response:
        """The answer of ``receive``; an ApiError becomes an error answer. The connection discards the rest of the body."""
        try:
            return await receive(request)
        except ApiError as error:
            response = error_response(error)
            if error.status == 408 or request.headers.get("expect"):
                # The rest of the body may still arrive: it could not be distinguished from the next request.
                response.headers["connection"] = "close"
            return response
        except ClientDisconnect:
            return error_response(ApiError(400, "disconnected", "the body ended early"))
        finally:
            self.release_place(request)

    async def read_body(self, request: Request) -> Body:
        """The body as a JSON object. It counts as a body in memory until the request is answered. Raises ApiError."""
        _check_media_type(request)
        visit = self._admit_request(request)
        if (whole := take_whole_body(request.scope)) is not None:
            body, sent = self._inflate_whole_body(request, whole), len(whole)
        else:
            body, sent = await self._receive_in_time(request, visit)
        return Body(await self.compute_in_turn(request, partial(decode_body, body), len(body)), len(body), sent)

    async def read_content(self, request: Request, max_bytes: int, beyond: "Doorway") -> RawBody:
        """The body as bytes, of at most ``max_bytes``; gzip and zlib are recognised by their first bytes and inflated once.

        A body that is larger than this doorway's limit needs a place in ``beyond``, too. Raises ApiError.
        """
        form = _find_named_compression(request)
        visit = self._admit_request(request)
        try:
            async with asyncio.timeout(min(self._body_seconds, _PATIENCE_SECONDS)) as visit.timeout:
                return await self._receive_content(request, visit, max_bytes, beyond, form)
        except TimeoutError:
            raise ApiError(408, "too_slow", "the body did not arrive in time") from None
        finally:
            visit.timeout = None

    async def read_signed_body(self, request: Request) -> bytes:
        """The body as it was sent, whatever its media type: a signature is of these bytes. Raises ApiError; 415 for a
        compressed body, as a stranger's is not inflated."""
        if _read_encodings(request):
            raise ApiError(415, "unsupported_media_type", "a signed body is not compressed")
        body, _ = await self._receive_in_time(request, self._admit_request(request))
        return body

    async def _receive_content(
        self, request: Request, visit: _BodyRead, max_bytes: int, beyond: "Doorway", named: int | None
    ) -> RawBody:
        declared = request.headers.get("content-length", "")
        expected = int(declared) if declared.isdigit() else 0
        if expected > max_bytes:
            raise _stream_too_large_error(max_bytes)
        sent, content, inflating, is_begun, is_large = 0, bytearray(), None, False, False
        held = bytearray()  # the first bytes, until they say what follows
        async for chunk in request.stream():
            sent += len(chunk)
            self._extend_timeout(visit, sent)
            if not is_begun:
                held += chunk
                if len(held) < 2:
                    continue
                chunk, is_begun = bytes(held), True
                form = _choose_compression(named, chunk)
                inflating = Inflating(max_bytes, form) if form is not None else None
            for piece in inflating.inflate_chunk(chunk) if inflating else (chunk,):
                content += piece
            size = max(sent, expected, len(content))
            if size > max_bytes:
                raise _stream_too_large_error(max_bytes)
            if size > self._max_bytes and not is_large:
                beyond._admit_request(request, visit)
                is_large = True
        if not is_begun:
            content = held
        if inflating:
            inflating.check_complete()
        return RawBody(bytes(content), sent)

    async def _receive_in_time(self, request: Request, visit: _BodyRead) -> tuple[bytes, int]:
        try:
            async with asyncio.timeout(min(self._body_seconds, _PATIENCE_SECONDS)) as visit.timeout:
                return await self._receive_body(request, visit)
        except TimeoutError:
            raise ApiError(408, "too_slow", "the body did not arrive in time") from None
        finally:
            visit.timeout = None

    async def compute_in_turn(self, request: Request, work: Callable[[], _T], size: int) -> _T:
        """Run ``work`` on a body of ``size`` inflated bytes when it is the turn of its source; returns what it returns.

        Raises ApiError for an InvalidBatch, and 503 when the body lost its place.
        """
        try:
            return await self._turns.run_in_turn(request, self._sources.find_request_source(request), size, work)
        except LostTurn:
            raise _overloaded_error() from None
        except InvalidBatch as error:
            raise ApiError(error.status, error.code, str(error)) from None

    def _admit_request(self, request: Request, visit: _BodyRead | None = None) -> _BodyRead:
        source, now = self._sources.find_request_source(request), asyncio.get_running_loop().time()
        full = len(self._visits) >= self._max_in_flight
        if self._of_source[source] >= self._per_source or (full and not self._free_place(source, now)):
            raise _overloaded_error()
        visit = self._visits[request] = visit or _BodyRead(source, now)
        self._of_source[source] += 1
        return visit

    def _free_place(self, newcomer: str, now: float) -> bool:
        waiting = [
            entry for entry in self._visits.items() if entry[1].timeout is not None or self._turns.is_waiting(entry[0])
        ]
        if not waiting:
            return False
        request, visit = max(waiting, key=lambda entry: (self._of_source[entry[1].source], -entry[1].began))
        greedier = self._of_source[visit.source] > self._of_source[newcomer] + 1
        if not greedier and now - visit.began < _YOUNG_SECONDS:
            return False
        visit.stop_reading()
        self._turns.give_up_turn(request)
        self.release_place(request)
        return True

    def release_place(self, request: Request) -> None:
        """Give back the place of a body; nothing happens without one."""
        visit = self._visits.pop(request, None)
        if visit is not None:
            self._of_source[visit.source] -= 1
            if not self._of_source[visit.source]:
                del self._of_source[visit.source]

    async def _receive_body(self, request: Request, visit: _BodyRead) -> tuple[bytes, int]:
        """The inflated body, and how many bytes were sent. Stops at the limits: a gzip bomb is not inflated."""
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise self._too_large_error()
        chunks = bytearray()
        plain = Inflating(self._max_bytes) if _is_gzip_body(request) else None
        sent = 0
        async for chunk in request.stream():
            sent += len(chunk)
            self._extend_timeout(visit, sent)
            if sent > self._max_bytes:
                raise self._too_large_error()
            for piece in plain.inflate_chunk(chunk) if plain else (chunk,):
                chunks += piece
            if len(chunks) > self._max_bytes:
                raise self._too_large_error()
        if plain:
            plain.check_complete()
        return bytes(chunks), sent

    def _inflate_whole_body(self, request: Request, sent: bytes) -> bytes:
        """As `_receive_body`, for a body that has arrived already."""
        if len(sent) > self._max_bytes:
            raise self._too_large_error()
        if not _is_gzip_body(request):
            return sent
        plain = Inflating(self._max_bytes)
        inflated = b"".join(plain.inflate_chunk(sent))
        if len(inflated) > self._max_bytes:
            raise self._too_large_error()
        plain.check_complete()
        return inflated

    def _extend_timeout(self, visit: _BodyRead, sent: int) -> None:
        if visit.timeout is not None and not visit.timeout.expired():
            by_rate = _PATIENCE_SECONDS + sent / LEAST_BYTES_PER_SECOND
            visit.timeout.reschedule(visit.began + min(self._body_seconds, by_rate))

    def _too_large_error(self) -> ApiError:
        limit = "" if self._max_bytes == MAX_BODY_BYTES else " without a key in its header"
        return ApiError(413, "too_large", f"a body{limit} has at most {self._max_bytes} bytes, also after inflating")


def validate_body(model: type[_Model], body: dict[str, Any]) -> _Model:
    """``body`` as ``model``. Raises ApiError (400), which names the first invalid field."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:100]
        problem = first["msg"].removeprefix("Value error, ")
        message = f"`{field}`: {problem}" if field else problem
        raise ApiError(400, "invalid_body", message) from None


def _overloaded_error() -> ApiError:
    REFUSED.labels("bodies").inc()
    return ApiError(503, "overloaded", "too many requests at once", retry_after=1)


def _stream_too_large_error(max_bytes: int) -> ApiError:
    return ApiError(413, "too_large", f"a body of this format has at most {max_bytes} bytes, also after inflating")


def _find_named_compression(request: Request) -> int | None:
    """The compression that the header names. Raises ApiError (415)."""
    encodings = _read_encodings(request)
    if not encodings:
        return None
    if encodings not in (["gzip"], ["deflate"]):
        raise ApiError(415, "unsupported_media_type", "the content encodings are gzip and deflate, once")
    return GZIP if encodings == ["gzip"] else ZLIB


def _choose_compression(named: int | None, start: bytes) -> int | None:
    """The compression by the first bytes of a body, else the one that the header names: gzip, or deflate without a header
    (as some clients send it)."""
    found = recognise_compression(start)
    if found is not None or named is None:
        return found
    return GZIP if named == GZIP else RAW_DEFLATE


def _is_gzip_body(request: Request) -> bool:
    return "gzip" in _read_encodings(request)


def _check_media_type(request: Request) -> None:
    kind, charsets = _parse_media_type(", ".join(request.headers.getlist("content-type") or ["application/json"]))
    if kind not in ("application/json", "text/plain"):
        raise ApiError(415, "unsupported_media_type", "send application/json (or text/plain from sendBeacon)")
    if not charsets <= _CHARSETS:
        raise ApiError(415, "unsupported_media_type", "JSON must be encoded in UTF-8")
    if _read_encodings(request) not in ([], ["gzip"]):
        raise ApiError(415, "unsupported_media_type", "the only content encoding is gzip, once")


def _read_encodings(request: Request) -> list[str]:
    """The content encodings of the body, in the order in which they were applied; ``x-gzip`` is gzip (RFC 9110, 8.4.1.3)."""
    if "content-encoding" not in request.headers:
        return []
    named = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    return [_ENCODINGS.get(name.strip(), name.strip()) for name in named if name.strip() not in ("", "identity")]


@lru_cache(maxsize=256)
def _parse_media_type(header: str) -> tuple[str, frozenset[str]]:
    """Type and charsets of a Content-Type (RFC 9110, 8.3.1): any further parameters are ignored, values may be quoted."""
    kind, _, parameters = header[:_MEDIA_TYPE_LENGTH].lower().partition(";")
    pairs = (parameter.partition("=") for parameter in _PARAMETER_END.split(parameters))
    named = (value.strip().strip('"').strip() for name, _, value in pairs if name.strip() == "charset")
    return kind.strip(), frozenset(named)
