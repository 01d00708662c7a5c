"""The endpoints for events: a request becomes durable events, or an error answer (docs/contracts/events.md, Answers)."""

import time
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Annotated, Any, Final

from fastapi import Request, Response
from prometheus_client import Counter
from pydantic import Field
from typing_extensions import TypedDict

from collector.access.callers import read_header_key, require_named_project
from collector.access.visitor_limits import Sender
from collector.admission import origin_refused_error
from collector.contract import MAX_EVENTS, REPLAY_HEADER, Batch, RejectedEvent, SpoolRow, normalise_batch
from collector.http_errors import ApiError, error_response, json_response
from collector.metrics import REQUESTS
from collector.routes.fields import Name, SentModel
from collector.routes.query import build_time_schemas
from collector.routes.route import BODY_STATUSES, JsonSchema, Operation, Route, RouteGroup
from collector.services import Services
from collector.transport.body import Body, Doorway, validate_body

KEYLESS_BYTES: Final = 64 << 10
"""Largest body without a key in its header: the limit of browsers for `navigator.sendBeacon`."""
_KEYLESS_SECONDS: Final = 3.0
_KEYLESS_PART: Final = 4  # one of so many bodies at once may come without a key in its header


class SessionEventsRequest(SentModel):
    """Events of one session. An event without `sessionId` gets `session_id`; an event of another session is rejected.
    `sentAt`, `sdkVersion`, `appVersion`, `environment` and `userAgent` as in `POST /v1/events`."""

    project_id: Name
    session_id: Name
    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_EVENTS)]


class Accepted(TypedDict):
    """How many events are durable now, and which were rejected."""

    accepted: Annotated[int, Field(ge=0)]
    rejected: list[RejectedEvent]


class Processed(TypedDict):
    """`success` is false when no event was accepted."""

    success: bool
    processed: Annotated[int, Field(ge=0)]
    rejected: list[RejectedEvent]


class Intake:
    """The endpoints for events. Each holds one request's body in memory once, inflated, and never more than the
    contract's limit."""

    def __init__(self, services: Services) -> None:
        config = services.config
        self._gate = services.gate
        self._admission = services.admission
        self._salt = services.salt
        self._doorway = services.make_doorway(config.max_in_flight)
        # Requests without a key in the header have a small doorway of their own: they cannot fill up the other one.
        self._small_door = Doorway(
            max(1, config.max_in_flight // _KEYLESS_PART),
            min(config.body_seconds, _KEYLESS_SECONDS),
            services.sources,
            services.turns,
            max_bytes=KEYLESS_BYTES,
        )

    async def post_events(self, request: Request) -> Response:
        """Accept a batch of events."""
        if read_header_key(request) is None:
            response = await self._answer_and_count(self._small_door, request, self._receive_keyless)
        else:
            response = await self._answer_and_count(self._doorway, request, self._receive_batch)
        origin = request.headers.get("origin")
        if origin is not None and self._admission.may_origin_send(origin, request, None):
            response.raw_headers += (
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-expose-headers", b"retry-after"),
            )
        response.raw_headers.append((b"vary", b"origin"))
        return response

    async def post_session_events(self, request: Request) -> Response:
        """Accept the events of one session from a system with an operator key."""
        return await self._answer_and_count(self._doorway, request, self._receive_session)

    async def answer_preflight(self, request: Request) -> Response:
        """Answer a CORS preflight. It has no key, so that the origins of all projects are allowed."""
        origin = request.headers.get("origin")
        if origin is None or not self._admission.may_origin_send(origin, request, None):
            return error_response(origin_refused_error())
        allowed = {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "authorization, content-encoding, content-type, x-api-key",
            "access-control-max-age": "600",
            "vary": "origin",
        }
        return Response(status_code=204, headers=allowed)

    async def _answer_and_count(
        self, doorway: Doorway, request: Request, receive: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await doorway.answer_request(request, receive)
        _find_counter(response.status_code).inc()
        return response

    async def _receive_batch(self, request: Request) -> Response:
        # The key, the origin and the rates are checked before the body is read.
        sender = self._admission.require_sender(read_header_key(request), request)
        body = await self._doorway.read_body(request)
        return await self._accept_batch(request, self._doorway, body, sender)

    async def _receive_keyless(self, request: Request) -> Response:
        # navigator.sendBeacon cannot set headers: the key is in the body.
        self._admission.rates.check_byte_rate(self._gate.find_request_source(request))
        body = await self._small_door.read_body(request)
        key = body.content.get("apiKey")
        sender = self._admission.require_sender(key if isinstance(key, str) else None, request)
        return await self._accept_batch(request, self._small_door, body, sender)

    async def _accept_batch(self, request: Request, doorway: Doorway, body: Body, sender: Sender) -> Response:
        grant = sender.grant
        self._admission.rates.count_body_bytes(sender.source, body.size)
        replayed = request.headers.get(REPLAY_HEADER)
        if replayed not in (None, grant.project):
            raise ApiError(403, "wrong_project", "these dead letters are of another project than the key")
        result = await self._normalise_body(request, doorway, body, grant.project)
        # Replayed dead letters are kept already, in the file that is replayed.
        await self._admission.store_batch(request, sender, result, body.sent, keep_letters=replayed is None)
        answer: Accepted = {"accepted": len(result.rows), "rejected": _rejects_to_json(result)}
        return json_response(answer, 202)

    async def _receive_session(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        source = self._gate.find_request_source(request)
        self._admission.rates.check_byte_rate(source)
        body = await self._doorway.read_body(request)
        sent = validate_body(SessionEventsRequest, body.content)
        project = require_named_project(grant, sent.project_id)
        self._admission.rates.check_request_rate(grant, project, source)
        self._admission.rates.count_body_bytes(source, body.size)
        result = await self._normalise_body(request, self._doorway, body, project, sent.session_id)
        await self._admission.store_operators_batch(request, grant, result, project, body.sent)
        kept = len(result.rows)
        answer: Processed = {"success": kept > 0, "processed": kept, "rejected": _rejects_to_json(result)}
        return json_response(answer)

    async def _normalise_body(
        self, request: Request, doorway: Doorway, body: Body, project: str, session_id: str | None = None
    ) -> Batch:
        normalise = partial(
            normalise_batch,
            body.content,
            project=project,
            received_ms=time.time_ns() // 1_000_000,
            salt=self._salt,
            http_user_agent=request.headers.get("user-agent", ""),
            session_id=session_id,
            row_type=SpoolRow,
        )
        return await doorway.compute_in_turn(request, normalise, body.size)


@cache
def _find_counter(status: int) -> Counter:
    return REQUESTS.labels(str(status))


def _rejects_to_json(result: Batch) -> list[RejectedEvent]:
    return [reject.to_json() for reject in result.rejects]


_OPTIONAL_TEXT: Final[JsonSchema] = {"type": ["string", "null"]}
_BATCH: Final[JsonSchema] = {
    "type": "object",
    "required": ["events"],
    "properties": {
        "events": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_EVENTS,
            "items": {
                "description": "An event of the contract: `eventType`, `timestamp`, `sessionId`, `route`; optional "
                "`target`, `metadata`, `seq`, `userId`, `idempotencyKey`. An event that breaks a rule is rejected alone, "
                "with field and reason.",
            },
        },
        "sentAt": {
            "description": "The client's clock when it sent the batch: RFC 3339 or epoch milliseconds (never seconds).",
            "anyOf": [*build_time_schemas("number"), {"type": "null"}],
        },
        "sdkVersion": _OPTIONAL_TEXT,
        "appVersion": _OPTIONAL_TEXT,
        "environment": _OPTIONAL_TEXT,
        "userAgent": _OPTIONAL_TEXT,
        "apiKey": {"description": "Only where no header can be set (`navigator.sendBeacon`, `text/plain`)."},
    },
}
EXAMPLE_EVENT: Final[JsonSchema] = {
    "eventType": "click",
    "timestamp": "2024-01-15T10:00:00Z",
    "sessionId": "test-1",
    "route": "/checkout",
    "target": {"type": "button"},
    "metadata": {},
}

GROUP: Final = RouteGroup(
    Intake,
    (
        Route(
            "post",
            "/v1/events",
            Intake.post_events,
            Operation(
                tag="Events",
                summary="Send events",
                text="1 to 1,000 events, at most 1 MiB; gzip is accepted. The events are durable when this answers. Needs "
                "an ingest key; the events belong to its project. `text/plain` with `apiKey` in the body is accepted, too "
                "(`navigator.sendBeacon`).",
                answer=Accepted,
                errors=BODY_STATUSES,
                status=202,
                body=_BATCH,
                example={"events": [EXAMPLE_EVENT]},
            ),
            intake=True,
            hot=True,
        ),
        Route("options", "/v1/events", Intake.answer_preflight, intake=True),
        Route(
            "post",
            "/v1/sessions/events",
            Intake.post_session_events,
            Operation(
                tag="Events",
                summary="Send events of one session",
                text="Like `POST /v1/events`, with an operator key, for systems that name the project and the session.",
                answer=Processed,
                errors=BODY_STATUSES,
                body=SessionEventsRequest,
                example={"project_id": "default", "session_id": "test-1", "events": [EXAMPLE_EVENT]},
            ),
        ),
    ),
)
