"""Request bodies: read once, never larger than the contract's limit, not for longer than its time (events.md, Batch)."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

import anyio.to_thread
from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from collector.answers import ApiError, error_response
from collector.contract import MAX_BODY_BYTES, InvalidBatch, decode_body

_DRAINED_BYTES: Final = 16 << 20
_DRAIN_SECONDS: Final = 5.0
_LONG_BODY_BYTES: Final = 64 << 10  # a few milliseconds of decoding and masking

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)


class Doorway:
    """Lets so many requests with a body in at once, and answers the others 503; each endpoint family has its own."""

    def __init__(self, max_in_flight: int, body_seconds: float) -> None:
        self._max_in_flight = max_in_flight
        self._body_seconds = body_seconds
        self._in_flight = 0

    async def answer(self, request: Request, receive: Callable[[Request], Awaitable[Response]]) -> Response:
        """What ``receive`` answers, errors included; the rest of a refused body is read and thrown away."""
        if self._in_flight >= self._max_in_flight:
            return error_response(ApiError(503, "overloaded", "too many requests at once", retry_after=1))
        self._in_flight += 1
        try:
            return await receive(request)
        except ApiError as error:
            if error.status != 408:
                await _drain(request)
            return error_response(error)
        except ClientDisconnect:
            return error_response(ApiError(400, "disconnected", "the body ended early"))
        finally:
            self._in_flight -= 1

    async def read(self, request: Request) -> tuple[dict[str, Any], int]:
        """The body as a JSON object, and its inflated size in bytes. Raises ApiError."""
        _check_media_type(request)
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await _read_body(request)
        except TimeoutError:
            raise ApiError(408, "too_slow", "the body did not arrive in time") from None
        return await computed(partial(decode_body, body), len(body)), len(body)


async def computed(work: Callable[[], _T], size: int) -> _T:
    """Run ``work`` on a body of ``size`` bytes, in a thread where it may take long enough to hold up the others.

    Raises ApiError for an InvalidBatch.
    """
    try:
        return await anyio.to_thread.run_sync(work) if size > _LONG_BODY_BYTES else work()
    except InvalidBatch as error:
        raise ApiError(error.status, error.code, str(error)) from None


def validated(model: type[_Model], body: dict[str, Any]) -> _Model:
    """``body`` as ``model``. Raises ApiError (400) that names the first field that does not fit."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:100]
        problem = first["msg"].removeprefix("Value error, ")
        message = f"`{field}`: {problem}" if field else problem
        raise ApiError(400, "invalid_body", message) from None


def _check_media_type(request: Request) -> None:
    kind, _, parameters = request.headers.get("content-type", "application/json").lower().partition(";")
    if kind.strip() not in ("application/json", "text/plain"):
        raise ApiError(415, "unsupported_media_type", "send application/json (or text/plain from sendBeacon)")
    charset = parameters.partition("charset=")[2].strip(' "')
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise ApiError(415, "unsupported_media_type", "JSON is UTF-8")
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", "gzip", ""):
        raise ApiError(415, "unsupported_media_type", "a body may be plain or gzip")


async def _read_body(request: Request) -> bytes:
    """The inflated body. Stops reading and inflating at the limit, so that a bomb stays small."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    chunks = bytearray()
    is_gzip = request.headers.get("content-encoding", "").strip().lower() == "gzip"
    async for chunk in _inflated(request.stream()) if is_gzip else request.stream():
        chunks += chunk
        if len(chunks) > MAX_BODY_BYTES:
            raise _too_large()
    return bytes(chunks)


async def _inflated(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    started = False
    received = inflated = 0
    async for chunk in stream:
        received += len(chunk)
        while chunk:
            if inflater.eof:  # gzip allows several members, one after the other
                inflater = zlib.decompressobj(wbits=31)
            started = True
            try:
                plain = inflater.decompress(chunk, MAX_BODY_BYTES + 1 - inflated)
            except zlib.error as error:
                raise ApiError(400, "invalid_gzip", f"the body is not gzip: {error}") from None
            inflated += len(plain)
            if inflated > MAX_BODY_BYTES or received > MAX_BODY_BYTES:
                raise _too_large()
            yield plain
            chunk = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if started and not inflater.eof:
        raise ApiError(400, "invalid_gzip", "the gzip body ends early")


def _too_large() -> ApiError:
    return ApiError(413, "too_large", f"a body holds at most {MAX_BODY_BYTES} bytes, also after inflating")


async def _drain(request: Request) -> None:
    # A client that still sends would see its connection reset instead of the answer. Bounded, and nothing is
    # kept.
    if request.headers.get("expect", "").lower() == "100-continue":
        return
    drained = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in request.stream():
                drained += len(chunk)
                if drained > _DRAINED_BYTES:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):
        # RuntimeError: the stream was read to its end already.
        return
