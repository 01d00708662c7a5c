"""Events in: from a request to durable events, or to the answer that says why not (events.md, Answers)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from fastapi import Request, Response

from collector.access import Rates, granted, header_key, project_of
from collector.answers import ApiError, error_response, json_response
from collector.body import Doorway, computed, validated
from collector.config import CollectorConfig
from collector.contract import REPLAY_HEADER, Batch, normalise_batch
from collector.keys import Grant, KeyRing
from collector.metrics import COMMIT_SECONDS, EVENTS_ACCEPTED, EVENTS_REJECTED, REQUESTS
from collector.senders import Receipts
from collector.shapes import SessionEventsRequest
from collector.spool import Spool
from furrow.errors import TransientError

OPERATOR_HEADER: Final = "x-operator-key"
"""Carries an operator key beside the ingest key: each session of such a request counts as a source of its own."""


class Intake:
    """The endpoints for events. One request is in memory at most once, inflated, and never larger than the
    contract's limit."""

    def __init__(self, config: CollectorConfig, keys: KeyRing, spool: Spool) -> None:
        self._keys = keys
        self._spool = spool
        self._salt = config.user_salt.get_secret_value().encode()
        self._receipts = Receipts(config)
        self._rates = Rates(keys, config.requests_per_second)
        self._doorway = Doorway(config.max_in_flight, config.body_seconds)

    async def post(self, request: Request) -> Response:
        """Answer one batch of the contract's shape."""
        response = await self._answer(request, self._receive)
        origin = request.headers.get("origin")
        if origin is not None and self._may_send(origin, request, None):
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = "retry-after"
        response.headers["vary"] = "origin"
        return response

    async def post_session(self, request: Request) -> Response:
        """Answer the events of one session, sent by a system with an operator key (incidents-and-tickets.md, HTTP)."""
        return await self._answer(request, self._receive_session)

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
        response = await self._doorway.answer(request, receive)
        REQUESTS.labels(str(response.status_code)).inc()
        return response

    async def _receive(self, request: Request) -> Response:
        sent_key = header_key(request)
        grant = self._grant(sent_key, request) if sent_key is not None else None
        batch, size = await self._doorway.read(request)
        if grant is None:
            # navigator.sendBeacon cannot set headers (events.md, Answers).
            body_key = batch.get("apiKey")
            grant = self._grant(body_key if isinstance(body_key, str) else None, request)
        replayed = request.headers.get(REPLAY_HEADER)
        if replayed not in (None, grant.project):
            raise ApiError(403, "wrong_project", "these dead letters belong to another project than the key")
        trusted = self._is_vouched_for(request, grant.project)
        result = await self._normalised(request, batch, size, grant.project)
        if replayed is not None:
            result.dead_letters.clear()  # they lie in the file that is being replayed
        await self._keep(result, self._receipts.lines(request, result.rows, trusted=trusted))
        return json_response({"accepted": len(result.rows), "rejected": _told(result)}, 202)

    async def _receive_session(self, request: Request) -> Response:
        grant = granted(self._keys, header_key(request), "operator")
        body, size = await self._doorway.read(request)
        sent = validated(SessionEventsRequest, body)
        project = project_of(grant, sent.project_id)
        self._rates.check(grant, project)
        result = await self._normalised(request, body, size, project, sent.session_id)
        await self._keep(result, self._receipts.lines(request, result.rows, trusted=True))
        kept = len(result.rows)
        return json_response({"success": kept > 0, "processed": kept, "rejected": _told(result)})

    async def _normalised(
        self, request: Request, batch: dict[str, Any], size: int, project: str, session_id: str | None = None
    ) -> Batch:
        normalise = partial(
            normalise_batch,
            batch,
            project=project,
            received_ms=time.time_ns() // 1_000_000,
            salt=self._salt,
            http_user_agent=request.headers.get("user-agent", ""),
            session_id=session_id,
        )
        return await computed(normalise, size)

    async def _keep(self, result: Batch, receipts: bytes) -> None:
        began = time.monotonic()
        done = self._spool.append(result.lines(), len(result.rows), b"".join(result.dead_letters), receipts)
        try:
            # Shielded: a sender that hangs up does not take its events back.
            await asyncio.shield(asyncio.wrap_future(done))
        except TransientError as error:
            raise ApiError(503, "not_durable", str(error), retry_after=error.retry_after or 5) from None
        COMMIT_SECONDS.observe(time.monotonic() - began)
        EVENTS_ACCEPTED.inc(len(result.rows))
        for reject in result.rejects:
            EVENTS_REJECTED.labels(reject.field.partition(".")[0]).inc()

    def _grant(self, key: str | None, request: Request) -> Grant:
        grant = granted(self._keys, key, "ingest")
        origin = request.headers.get("origin")
        if origin is not None and not self._may_send(origin, request, grant.project):
            raise _origin_refused()
        self._rates.check(grant, grant.project)
        return grant

    def _is_vouched_for(self, request: Request, project: str) -> bool:
        """Whether an operator key beside the ingest key says that the sender is no visitor. Raises ApiError (401, 403)."""
        key = request.headers.get(OPERATOR_HEADER)
        if key is None:
            return False
        project_of(granted(self._keys, key.strip(), "operator"), project)
        return True

    def _may_send(self, origin: str, request: Request, project: str | None) -> bool:
        scheme, _, host = origin.partition("://")
        if host and host == request.headers.get("host") and scheme in ("http", "https"):
            return True  # a page that the collector's own address served
        return self._keys.allows_somewhere(origin) if project is None else self._keys.allows(origin, project)


def _told(result: Batch) -> list[dict[str, object]]:
    return [reject.to_json() for reject in result.rejects]


def _origin_refused() -> ApiError:
    return ApiError(403, "origin_not_allowed", "this origin is not in the project's list")
