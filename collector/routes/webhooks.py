"""The endpoint for webhooks of trackers: the tickets that they name are read soon."""

import time
from functools import partial
from typing import Final, Literal, NamedTuple

from fastapi import Request, Response
from typing_extensions import TypedDict

from collector.contract.decoding import decode_json
from collector.http_errors import ApiError, json_response
from collector.metrics import WEBHOOKS
from collector.routes.route import Operation, Parameter, Route, RouteGroup
from collector.services import Services
from trackers.ticket_webhooks import WEBHOOK_KINDS, NamedTickets, WebhookKind, find_webhook_kind

_MAX_BODIES: Final = 32
_TRACKER: Final[Parameter] = {
    "name": "tracker",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "enum": [kind.tracker for kind in WEBHOOK_KINDS]},
}


class WebhookTaken(TypedDict):
    """`tickets`: how many of Furrow's tickets the webhook names; their states are read soon."""

    success: bool
    tickets: int


class _Reading(NamedTuple):
    problem: Literal["", "refused", "late", "unreadable"]
    tickets: NamedTickets = NamedTickets()


class WebhookEndpoints:
    """Takes webhooks that are signed with the tracker's secret. Nothing of them is stored but that a ticket is to be read."""

    def __init__(self, services: Services) -> None:
        self._secrets = services.config.webhook_secrets
        self._store = services.store
        self._doorway = services.make_doorway(_MAX_BODIES)

    async def take_webhook(self, request: Request) -> Response:
        """Have the tickets that a webhook names read soon."""
        return await self._doorway.answer_request(request, self._take_webhook)

    async def _take_webhook(self, request: Request) -> Response:
        kind = find_webhook_kind(request.path_params["tracker"])
        if kind is None:
            raise ApiError(404, "not_found", f"webhooks are taken of {', '.join(k.tracker for k in WEBHOOK_KINDS)}")
        secret = self._secrets.get(kind.tracker)
        if secret is None:
            name = f"FURROW_{kind.tracker.upper()}_WEBHOOK_SECRET"
            raise ApiError(404, "webhook_not_configured", f"no webhooks of {kind.title} are taken: {name} is not set")
        sent = _read_header(kind, request)
        body = await self._doorway.read_signed_body(request)
        work = partial(_read_webhook, kind, sent, body, secret.get_secret_value())
        reading = await self._doorway.compute_in_turn(request, work, len(body))
        if reading.problem:
            raise _build_refusal(kind, reading.problem)
        known = await self._note_tickets(kind, reading.tickets)
        WEBHOOKS.labels(kind.tracker, "noted" if known else "unknown").inc()
        answer: WebhookTaken = {"success": True, "tickets": known}
        return json_response(answer)

    async def _note_tickets(self, kind: WebhookKind, tickets: NamedTickets) -> int:
        if not (tickets.keys or tickets.client_ids):
            return 0
        try:
            return await self._store.ask_store(
                lambda store: store.hints.note_tickets(kind.tracker, tickets.keys, tickets.client_ids)
            )
        except ApiError:
            # The tracker sends it again after a 503; if not, the next regular reading finds the change.
            WEBHOOKS.labels(kind.tracker, "unavailable").inc()
            raise


def _read_header(kind: WebhookKind, request: Request) -> bytes:
    """What proves the sender, as sent. Raises ApiError (401) if it cannot be that: then no body is read."""
    sent = request.headers.getlist(kind.header)
    if len(sent) != 1 or not kind.has_form(sent[0]):
        raise _build_refusal(kind, "refused")
    return sent[0].encode("latin-1")


def _read_webhook(kind: WebhookKind, sent: bytes, body: bytes, secret: str) -> _Reading:
    if not kind.is_genuine(sent, body, secret):
        return _Reading("refused")
    try:
        content = decode_json(body)
    except ValueError:
        return _Reading("unreadable")
    if not isinstance(content, dict):
        return _Reading("unreadable")
    if not kind.is_fresh(content, time.time_ns() // 1_000_000):
        return _Reading("late")
    return _Reading("", kind.find_tickets(content))


def _build_refusal(kind: WebhookKind, problem: Literal["refused", "late", "unreadable"]) -> ApiError:
    WEBHOOKS.labels(kind.tracker, problem).inc()
    if problem == "unreadable":
        return ApiError(400, "invalid_body", "the body is no JSON object: the webhook's content type must be JSON")
    if problem == "late":
        return ApiError(401, "webhook_too_old", f"`{kind.sent_at}` is more than a minute from now")
    proof = "is missing or not that of the body and the secret"
    return ApiError(401, "invalid_signature", f"the header {kind.header} {proof}")


GROUP: Final = RouteGroup(
    WebhookEndpoints,
    (
        Route(
            "post",
            "/v1/webhooks/{tracker}",
            WebhookEndpoints.take_webhook,
            Operation(
                tag="Events",
                summary="Take a tracker's webhook",
                text="For the webhooks of Jira, Linear, GitHub and GitLab; it needs no key, but the tracker's signature. The "
                "tickets that it names are read soon. 401: the signature is missing or wrong, or the webhook is too old. "
                "404: no secret of this tracker is set.",
                answer=WebhookTaken,
                errors=(400, 401, 404, 408, 413, 415, 503),
                body={"type": "object"},
                example={"webhookEvent": "jira:issue_updated", "issue": {"key": "OPS-12"}},
                parameters=(_TRACKER,),
                needs_key=False,
            ),
            intake=True,
        ),
    ),
)
