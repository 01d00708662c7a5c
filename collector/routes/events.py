"""The endpoints for events: a request becomes durable events, or an error answer (docs/contracts/events.md, Answers)."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from collector.access.callers import Rates, rate_limit_error, read_header_key, require_named_project
from collector.access.keys import Grant
from collector.access.visitor_limits import Sender, VisitorLimits
from collector.contract import MAX_EVENTS, REPLAY_HEADER, Batch, RejectedEvent, SpoolRow, normalise_batch
from collector.http_errors import ApiError, error_response, json_response
from collector.metrics import COMMIT_SECONDS, EVENTS_ACCEPTED, EVENTS_REJECTED, REQUESTS
from collector.routes.fields import Name, SentModel
from collector.routes.query import build_time_schemas
from collector.routes.route import BODY_STATUSES, JsonSchema, Operation, Route, RouteGroup
from collector.senders.session_senders import ReceiptMaker
from collector.services import Services
from collector.spool.quota import Owner, QuotaFull
from collector.transport.body import Body, Doorway, validate_body
from core.errors import TransientError

KEYLESS_BYTES: Final = 64 << 10
"""Largest body without a key in its header: the limit of browsers for `navigator.sendBeacon`."""
_KEYLESS_SECONDS: Final = 3.0
_KEYLESS_PART: Final = 4  # one of so many bodies at once may come without a key in its header
OPERATOR_HEADER: Final = "x-operator-key"
"""Header with an operator key beside the ingest key: each session of the request counts as a source of its own."""


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
        self._keys = services.keys
        self._gate = services.gate
        self._spool = services.spool
        self._letters = services.letters
        self._salt = services.salt
        self._receipts = ReceiptMaker(config)
        self._rates = Rates(
            services.keys, config.requests_per_second, config.source_part, config.source_bytes_per_second
        )
        self._visitors = VisitorLimits(config)
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
        if origin is not None and self._may_origin_send(origin, request, None):
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = "retry-after"
        response.headers["vary"] = "origin"
        return response

    async def post_session_events(self, request: Request) -> Response:
        """Accept the events of one session from a system with an operator key."""
        return await self._answer_and_count(self._doorway, request, self._receive_session)

    async def answer_preflight(self, request: Request) -> Response:
        """Answer a CORS preflight. It has no key, so that the origins of all projects are allowed."""
        origin = request.headers.get("origin")
        if origin is None or not self._may_origin_send(origin, request, None):
            return error_response(_origin_refused_error())
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
        REQUESTS.labels(str(response.status_code)).inc()
        return response

    async def _receive_batch(self, request: Request) -> Response:
        # The key, the origin and the rates are checked before the body is read.
        sender = self._require_sender(read_header_key(request), request)
        body = await self._doorway.read_body(request)
        return await self._accept_batch(request, self._doorway, body, sender)

    async def _receive_keyless(self, request: Request) -> Response:
        # navigator.sendBeacon cannot set headers: the key is in the body.
        self._rates.check_byte_rate(self._gate.find_request_source(request))
        body = await self._small_door.read_body(request)
        key = body.content.get("apiKey")
        sender = self._require_sender(key if isinstance(key, str) else None, request)
        return await self._accept_batch(request, self._small_door, body, sender)

    async def _accept_batch(self, request: Request, doorway: Doorway, body: Body, sender: Sender) -> Response:
        grant, source, vouched = sender.grant, sender.source, sender.trusted
        self._rates.count_body_bytes(source, body.size)
        replayed = request.headers.get(REPLAY_HEADER)
        if replayed not in (None, grant.project):
            raise ApiError(403, "wrong_project", "these dead letters are of another project than the key")
        result = await self._normalise_body(request, doorway, body, grant.project)
        self._visitors.admit_events(sender, result.rows, len(result.rows) + len(result.rejects))
        # Replayed dead letters are kept already, in the file that is replayed.
        letters = (
            b""
            if replayed is not None
            else self._letters.select_kept_letters(result, grant.project, grant.key_hash, source, body.sent)
        )
        receipts = self._receipts.make_receipt_lines(request, result.rows, trusted=vouched)
        await self._make_durable(result, letters, receipts, self._visitors.find_owner(sender))
        answer: Accepted = {"accepted": len(result.rows), "rejected": _rejects_to_json(result)}
        return json_response(answer, 202)

    async def _receive_session(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        source = self._gate.find_request_source(request)
        self._rates.check_byte_rate(source)
        body = await self._doorway.read_body(request)
        sent = validate_body(SessionEventsRequest, body.content)
        project = require_named_project(grant, sent.project_id)
        self._rates.check_request_rate(grant, project, source)
        self._rates.count_body_bytes(source, body.size)
        result = await self._normalise_body(request, self._doorway, body, project, sent.session_id)
        letters = self._letters.select_kept_letters(result, project, grant.key_hash, source, body.sent)
        receipts = self._receipts.make_receipt_lines(request, result.rows, trusted=True)
        await self._make_durable(result, letters, receipts, Owner(project, ""))
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

    async def _make_durable(self, result: Batch, letters: bytes, receipts: bytes, owner: Owner) -> None:
        began = time.monotonic()
        try:
            # Events stay accepted when the sender closes the connection.
            await self._spool.append_on_loop(result.encode_rows(), len(result.rows), letters, receipts, owner)
        except QuotaFull as error:
            raise rate_limit_error("spool", str(error), error.retry_after or 5) from None
        except TransientError as error:
            raise ApiError(503, "not_durable", str(error), retry_after=error.retry_after or 5) from None
        COMMIT_SECONDS.observe(time.monotonic() - began)
        EVENTS_ACCEPTED.inc(len(result.rows))
        for reject in result.rejects:
            EVENTS_REJECTED.labels(reject.field.partition(".")[0]).inc()

    def _require_sender(self, key: str | None, request: Request) -> Sender:
        """Who sends the request. Raises ApiError (401, 403, 429)."""
        grant = self._require_ingest_grant(key, request)
        trusted = self._is_vouched_for(request, grant.project) or self._receipts.is_local_client(request)
        sender = Sender(grant, self._gate.find_request_source(request), trusted)
        self._visitors.check_event_rate(sender)
        return sender

    def _require_ingest_grant(self, key: str | None, request: Request) -> Grant:
        grant = self._gate.require_grant(request, key, "ingest")
        origin = request.headers.get("origin")
        if origin is not None and not self._may_origin_send(origin, request, grant.project):
            raise _origin_refused_error()
        self._rates.check_request_rate(grant, grant.project, self._gate.find_request_source(request))
        return grant

    def _is_vouched_for(self, request: Request, project: str) -> bool:
        """Whether the request has an operator key beside the ingest key. Raises ApiError (401, 403) for an invalid one."""
        key = request.headers.get(OPERATOR_HEADER)
        if key is None:
            return False
        require_named_project(self._gate.require_grant(request, key.strip(), "operator"), project)
        return True

    def _may_origin_send(self, origin: str, request: Request, project: str | None) -> bool:
        scheme, _, host = origin.partition("://")
        if host and host == request.headers.get("host") and scheme in ("http", "https"):
            return True  # a page from the collector's own address
        return (
            self._keys.allows_origin_somewhere(origin) if project is None else self._keys.allows_origin(origin, project)
        )


def _rejects_to_json(result: Batch) -> list[RejectedEvent]:
    return [reject.to_json() for reject in result.rejects]


def _origin_refused_error() -> ApiError:
    return ApiError(403, "origin_not_allowed", "this origin is not in the project's list")


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
