"""``POST /v1/events``: from a request to durable events, or to the answer that says why not (events.md,
Answers)."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import anyio.to_thread
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from collector.answers import ApiError, error_response, json_response
from collector.config import CollectorConfig
from collector.contract import MAX_BODY_BYTES, Batch, InvalidBatch, decode_body, normalise_batch
from collector.keys import Grant, KeyRing
from collector.metrics import COMMIT_SECONDS, EVENTS_ACCEPTED, EVENTS_REJECTED, REQUESTS
from collector.spool import Spool
from furrow.errors import TransientError

_DRAINED_BYTES: Final = 16 << 20
_DRAIN_SECONDS: Final = 5.0
_MAX_BUCKETS: Final = 10_000
_LONG_BODY_BYTES: Final = 64 << 10  # a few milliseconds of decoding and masking

_T = TypeVar("_T")


class RateLimit:
    """A token bucket for each key, in memory: ``rate`` requests a second, a burst of twice as many."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._burst = max(1.0, 2 * rate)
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_for(self, key: str, now: float) -> float:
        """0 when the request may pass (it is counted), else the seconds until the next one may."""
        tokens, at = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        if tokens < 1:
            return (1 - tokens) / self._rate
        if len(self._buckets) >= _MAX_BUCKETS:
            self._buckets.clear()
        self._buckets[key] = (tokens - 1, now)
        return 0.0


class Intake:
    """The endpoint for events. One request is in memory at most once, inflated, and never larger than the
    contract's limit."""

    def __init__(self, config: CollectorConfig, keys: KeyRing, spool: Spool) -> None:
        self._config = config
        self._keys = keys
        self._spool = spool
        self._salt = config.user_salt.get_secret_value().encode()
        self._limit = RateLimit(config.requests_per_second)
        self._in_flight = 0

    async def post(self, request: Request) -> Response:
        """Answer one batch of the contract's shape."""
        return await self._answer(request, self._receive)

    async def preflight(self, request: Request) -> Response:
        """Answer a CORS preflight: it carries no key, so that any project's origins are allowed here."""
        origin = request.headers.get("origin")
        if origin is None or not self._may_send(origin, request, None):
            return error_response(_origin_refused())
        allowed = {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "authorization, content-encoding, content-type, x-api-key",
            "access-control-max-age": "600",
            "vary": "origin",
        }
        return Response(status_code=204, headers=allowed)

    async def _answer(self, request: Request, receive: Callable[[Request], Awaitable[Response]]) -> Response:
        if self._in_flight >= self._config.max_in_flight:
            response = error_response(ApiError(503, "overloaded", "too many requests at once", retry_after=1))
        else:
            self._in_flight += 1
            try:
                response = await receive(request)
            except ApiError as error:
                if error.status != 408:
                    await _drain(request)
                response = error_response(error)
            except ClientDisconnect:
                response = error_response(ApiError(400, "disconnected", "the body ended early"))
            finally:
                self._in_flight -= 1
        origin = request.headers.get("origin")
        if origin is not None and self._may_send(origin, request, None):
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = "retry-after"
        response.headers["vary"] = "origin"
        REQUESTS.labels(str(response.status_code)).inc()
        return response

    async def _receive(self, request: Request) -> Response:
        _check_media_type(request)
        sent_key = header_key(request)
        grant = self._grant(sent_key, request) if sent_key is not None else None
        body = await self._body(request)
        size = len(body)
        batch = await _computed(partial(decode_body, body), size)
        if grant is None:
            # navigator.sendBeacon cannot set headers (events.md, Answers).
            body_key = batch.get("apiKey")
            grant = self._grant(body_key if isinstance(body_key, str) else None, request)
        received_ms = time.time_ns() // 1_000_000
        normalise = partial(
            normalise_batch,
            batch,
            project=grant.project,
            received_ms=received_ms,
            salt=self._salt,
            http_user_agent=request.headers.get("user-agent", ""),
        )
        result = await _computed(normalise, size)
        await self._keep(result)
        rejected = [reject.to_json() for reject in result.rejects]
        return json_response({"accepted": len(result.rows), "rejected": rejected}, 202)

    async def _keep(self, result: Batch) -> None:
        began = time.monotonic()
        done = self._spool.append(result.lines(), len(result.rows), b"".join(result.dead_letters))
        try:
            # Shielded: a sender that hangs up does not take its events back.
            await asyncio.shield(asyncio.wrap_future(done))
        except TransientError as error:
            raise ApiError(503, "not_durable", str(error), retry_after=error.retry_after or 5) from None
        COMMIT_SECONDS.observe(time.monotonic() - began)
        EVENTS_ACCEPTED.inc(len(result.rows))
        for reject in result.rejects:
            EVENTS_REJECTED.labels(reject.field.partition(".")[0]).inc()

    async def _body(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self._config.body_seconds):
                return await _read_body(request)
        except TimeoutError:
            raise ApiError(408, "too_slow", "the body did not arrive in time") from None

    def _grant(self, key: str | None, request: Request) -> Grant:
        grant = granted(self._keys, key, "ingest")
        origin = request.headers.get("origin")
        if origin is not None and not self._may_send(origin, request, grant.project):
            raise _origin_refused()
        wait = self._limit.wait_for(grant.key_hash, time.monotonic())
        if wait:
            raise ApiError(429, "rate_limited", "this key sends too many requests", retry_after=wait)
        return grant

    def _may_send(self, origin: str, request: Request, project: str | None) -> bool:
        scheme, _, host = origin.partition("://")
        if host and host == request.headers.get("host") and scheme in ("http", "https"):
            return True  # a page that the collector's own address served
        return self._keys.allows_somewhere(origin) if project is None else self._keys.allows(origin, project)


async def _computed(work: Callable[[], _T], size: int) -> _T:
    """Run ``work`` on a body of ``size`` bytes, in a thread where it may take long enough to hold up the
    others."""
    try:
        return await anyio.to_thread.run_sync(work) if size > _LONG_BODY_BYTES else work()
    except InvalidBatch as error:
        raise ApiError(error.status, error.code, str(error)) from None


def header_key(request: Request) -> str | None:
    """The key in ``X-API-Key`` or ``Authorization: Bearer``."""
    key = request.headers.get("x-api-key")
    if key is not None:
        return key.strip()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def granted(keys: KeyRing, key: str | None, role: str) -> Grant:
    """The grant of ``key``. Raises ApiError: 401 for an unknown key, 403 when it may not do this."""
    grant = keys.grant(key) if key else None
    if grant is None:
        missing = "no API key: send X-API-Key or Authorization: Bearer" if not key else "unknown API key"
        raise ApiError(401, "unauthorized", missing)
    if grant.role != role:
        raise ApiError(403, "forbidden", f"this key is no {role} key")
    return grant


def _origin_refused() -> ApiError:
    return ApiError(403, "origin_not_allowed", "this origin is not in the project's list")


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
