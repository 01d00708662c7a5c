"""The endpoints for the streams of SDKs that people already have: `/intake/<format>/<key>/…` (docs/streams.md).

A request of a vendor's SDK becomes durable events, and gets the answer that this SDK expects. What differs between the
formats is in `collector.streams`.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from fastapi import Request, Response

from collector.access.visitor_limits import Sender
from collector.admission import origin_refused_error
from collector.contract import MAX_EVENTS, Batch, Reject, Source, SpoolRow, normalise_batch
from collector.contract.dead_letters import encode_dead_letter
from collector.contract.identity import Identity
from collector.contract.rows import Rejected
from collector.http_errors import ApiError, error_response
from collector.metrics import STREAM_REQUESTS
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from collector.streams.conversion import find_sdk_version, make_answer, make_batches, read_content
from collector.streams.kept import bound_texts, is_kept_item
from collector.streams.registry import STREAMS
from collector.streams.stream import Reading, RejectedItem, SentBody, Stream, StreamAnswer, UnreadableBody, WireEvent
from collector.transport.body import Doorway

LARGEST_BYTES: Final = 10 << 20
"""Limit of a body of any stream, also after inflating."""
LARGE_PLACES: Final = 4
"""Bodies above 1 MiB in memory at once."""
PART_OF_BODIES: Final = 4  # one of so many bodies at once may be of a stream
MAX_ITEMS: Final = 20_000
"""Limit of the items of one body; a replay of an hour has fewer events than that."""
UNREADABLE: Final = "body"
"""The field that a dead letter names when the whole body is unreadable."""
_MAX_FIELD: Final = 64
_MAX_REASON: Final = 200
_HEADERS: Final = ("authorization", "content-encoding", "content-type", "x-api-key")


class StreamIntake:
    """The endpoints of all streams. Bodies above 1 MiB have few places of their own: memory is bounded, and other senders
    keep theirs."""

    def __init__(self, services: Services, streams: tuple[Stream, ...]) -> None:
        config = services.config
        self._streams = {stream.name: stream for stream in streams}
        self._admission = services.admission
        self._salt = services.salt
        self._counts = services.stream_counts
        self._counts.streams = streams
        self._doorway = services.make_doorway(max(1, config.max_in_flight // PART_OF_BODIES))
        self._large = Doorway(
            min(LARGE_PLACES, config.max_in_flight),
            config.body_seconds,
            services.sources,
            services.turns,
            max_bytes=LARGEST_BYTES,
        )

    async def post_content(self, request: Request) -> Response:
        """Accept a request of a vendor's SDK."""
        return await self._answer_request(request, self._receive_content)

    async def show_configuration(self, request: Request) -> Response:
        """Answer a vendor's SDK that asks for its configuration."""
        return await self._answer_request(request, self._find_configuration)

    async def answer_preflight(self, request: Request) -> Response:
        """Answer a CORS preflight of any project's origins; its key is not looked up."""
        stream, origin = self._streams.get(request.path_params["format"]), request.headers.get("origin")
        if stream is None:
            return error_response(_unknown_stream_error())
        if origin is None or not self._admission.may_origin_send(origin, request, None):
            return error_response(origin_refused_error())
        response = Response(status_code=204)
        self._allow_origin(request, stream, response)
        response.headers["access-control-allow-methods"] = "GET, POST"
        response.headers["access-control-allow-headers"] = ", ".join((*_HEADERS, *stream.request_headers))
        response.headers["access-control-max-age"] = "600"
        return response

    async def _answer_request(
        self, request: Request, receive: Callable[[Stream, Request], Awaitable[Response]]
    ) -> Response:
        stream = self._streams.get(request.path_params["format"])
        if stream is None:
            response = error_response(_unknown_stream_error())
        else:
            try:
                response = await self._doorway.answer_request(request, partial(receive, stream))
            finally:
                self._large.release_place(request)
            self._allow_origin(request, stream, response)
        STREAM_REQUESTS.labels(stream.name if stream else "other", str(response.status_code)).inc()
        return response

    def _allow_origin(self, request: Request, stream: Stream, response: Response) -> None:
        origin = request.headers.get("origin")
        if origin is not None and self._admission.may_origin_send(origin, request, None):
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = "retry-after"
            if stream.allows_credentials:
                response.headers["access-control-allow-credentials"] = "true"
        response.headers["vary"] = "origin"

    async def _find_configuration(self, stream: Stream, request: Request) -> Response:
        self._admission.require_sender(request.path_params["key"], request)
        find = stream.configuration
        answer = None if find is None else find(request.path_params.get("anything", ""))
        if answer is None:
            raise ApiError(404, "not_found", "this format has no configuration at this path: send events with POST")
        return _to_response(answer)

    async def _receive_content(self, stream: Stream, request: Request) -> Response:
        # The key, the origin and the rates are checked before the body is read.
        sender = self._admission.require_sender(request.path_params["key"], request)
        body = await self._doorway.read_content(request, min(stream.max_bytes, LARGEST_BYTES), self._large)
        self._admission.rates.count_body_bytes(sender.source, len(body.content))
        arrived = _Arrived(stream, sender, request, body.sent, _describe_request(request, body.content))
        read = partial(read_content, stream, arrived.content)
        try:
            reading = await self._doorway.compute_in_turn(request, read, len(body.content))
        except UnreadableBody as error:
            return await self._refuse_body(arrived, str(error))
        batch = await self._normalise_reading(arrived, reading)
        by_contract = batch.rejects[: len(batch.rejects) - len(reading.rejects)]
        await self._admission.store_batch(request, sender, batch, body.sent)
        wrong = [reject.field for reject in by_contract] + [item.field for item in reading.rejects]
        self._counts.count_request(stream.name, reading, len(batch.rows), wrong, arrived.content.received_ms)
        # The answer of some formats says how many items were refused, for whatever reason.
        reading.rejects += [RejectedItem(reject.field, reject.reason, {}) for reject in by_contract]
        return _to_response(make_answer(stream, arrived.content, reading))

    async def _normalise_reading(self, arrived: "_Arrived", reading: Reading) -> Batch:
        """The events of a reading as one batch. Each thousand events has a turn of its own: others do not wait for all."""
        events, whole = reading.events, Batch()
        if len(events) + len(reading.rejects) > MAX_ITEMS:
            raise ApiError(413, "too_many_events", f"a body of this format holds at most {MAX_ITEMS} items")
        size = len(arrived.content.content) // (len(events) // MAX_EVENTS + 1)
        for first, content in make_batches(arrived.stream, reading):
            normalise = partial(self._normalise_events, arrived, reading, content, first)
            part = await self._doorway.compute_in_turn(arrived.request, normalise, size)
            whole.rows += part.rows
            whole.rejects += [Reject(first + reject.index, reject.field, reject.reason) for reject in part.rejects]
            whole.dead_letters += part.dead_letters
        for first in range(0, len(reading.rejects), MAX_EVENTS):
            items = reading.rejects[first : first + MAX_EVENTS]
            keep = partial(self._keep_rejects, arrived, reading, items, len(events) + first)
            part = await self._doorway.compute_in_turn(arrived.request, keep, size)
            whole.rejects += part.rejects
            whole.dead_letters += part.dead_letters
        return whole

    def _normalise_events(self, arrived: "_Arrived", reading: Reading, content: WireEvent, first: int) -> Batch:
        """The events of ``content``, which begin at ``first`` of the reading."""
        part = normalise_batch(
            content,
            project=arrived.sender.grant.project,
            received_ms=arrived.content.received_ms,
            salt=self._salt,
            http_user_agent=arrived.request.headers.get("user-agent", ""),
            row_type=SpoolRow,
        )
        # Kept anew: with the sender's names, so that a replay gives what the event would have given.
        events = [reading.events[first + reject.index] for reject in part.rejects]
        part.dead_letters = self._encode_letters(arrived, reading, part.rejects, events)
        return part

    def _keep_rejects(self, arrived: "_Arrived", reading: Reading, items: list[RejectedItem], first: int) -> Batch:
        """Items that became no event, as dead letters. Their field is named with the stream: ``sentry.timestamp``."""
        kept = Batch()
        kept.rejects = [
            Reject(index, f"{arrived.stream.name}.{item.field[:_MAX_FIELD]}", item.reason[:_MAX_REASON])
            for index, item in enumerate(items, first)
        ]
        kept.dead_letters = self._encode_letters(arrived, reading, kept.rejects, [item.kept for item in items])
        return kept

    def _encode_letters(
        self, arrived: "_Arrived", reading: Reading, rejects: list[Reject], events: list[WireEvent]
    ) -> list[bytes]:
        """The letters of ``events``, each bounded and with what the request says of its sender."""
        source = Source(arrived.sender.grant.project, arrived.content.received_ms, self._salt)
        identity = Identity(source.project, self._salt)
        agent = arrived.request.headers.get("user-agent", "")
        sender: WireEvent = {"sdkVersion": find_sdk_version(arrived.stream, reading)}
        if agent.startswith("Mozilla/"):
            sender["userAgent"] = agent
        return [
            encode_dead_letter(
                bound_texts({**sender, **event} if "eventType" in event or is_kept_item(event) else event),
                source,
                identity,
                Rejected(reject.field, reject.reason),
            )
            for reject, event in zip(rejects, events, strict=True)
        ]

    async def _refuse_body(self, arrived: "_Arrived", reason: str) -> Response:
        """Keep the reason of an unreadable body as a dead letter, without the body; then answer as its SDK expects."""
        stream, sent = arrived.stream, arrived.content
        kept: WireEvent = {"stream": stream.name, "bytes": len(sent.content)}
        batch = self._keep_rejects(arrived, Reading(), [RejectedItem(UNREADABLE, reason, kept)], 0)
        await self._admission.store_batch(arrived.request, arrived.sender, batch, arrived.sent_bytes)
        self._counts.count_request(stream.name, Reading(), 0, [UNREADABLE], sent.received_ms)
        if stream.unreadable_status < 400:
            return _to_response(replace(make_answer(stream, sent, Reading()), status=stream.unreadable_status))
        raise ApiError(stream.unreadable_status, "unreadable_body", f"this is no body of {stream.title}: {reason}")


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A request whose body has arrived. ``sent_bytes``: its size before inflating."""

    stream: Stream
    sender: Sender
    request: Request
    sent_bytes: int
    content: SentBody


def _describe_request(request: Request, content: bytes) -> SentBody:
    return SentBody(
        content,
        request.path_params.get("anything", ""),
        dict(request.query_params),
        request.headers.get("content-type", "").partition(";")[0].strip().lower(),
        time.time_ns() // 1_000_000,
    )


def _to_response(answer: StreamAnswer) -> Response:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(answer.content, answer.status, headers, answer.media_type)


def _unknown_stream_error() -> ApiError:
    return ApiError(404, "not_found", "there is no stream of this name: /intake/<format>/<key>/, see docs/streams.md")


def make_group(streams: tuple[Stream, ...]) -> RouteGroup[StreamIntake]:
    """The routes of ``streams``. SDKs ask below the address that they are configured with, and at the address itself.

    The OpenAPI document leaves them out: bodies and answers are the vendors'.
    """
    paths = ("/intake/{format}/{key}/{anything:path}", "/intake/{format}/{key}")
    return RouteGroup(
        partial(StreamIntake, streams=streams),
        (
            *(Route("post", path, StreamIntake.post_content, intake=True) for path in paths),
            *(Route("get", path, StreamIntake.show_configuration, intake=True) for path in paths),
            *(Route("options", path, StreamIntake.answer_preflight, intake=True) for path in paths),
        ),
    )


GROUP: Final = make_group(STREAMS)
