"""Tickets as signed events over HTTP: CloudEvents 1.0 in structured mode, signed as Standard Webhooks say.

The id of an event is made before the first call, from what the outbox stores. It is the same in every attempt, so a receiver
that keeps ids does each thing once. A webhook answers no questions: what became of a ticket there, Furrow does not know.
"""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from pydantic import SecretStr

from core.errors import PermanentError
from trackers import http_errors
from trackers.document import Document
from trackers.forge.text import render_for_forge
from trackers.protocol import Filed, Shown, TicketState
from trackers.rest import MissingResource, RefusedAccess, RestClient
from trackers.ticket import Ticket, recurrence_comment
from trackers.transport import Reach
from trackers.webhook.signing import Signer

SOURCE: Final = "/furrow"
CREATED: Final = "dev.furrow.incident.created"
UPDATED: Final = "dev.furrow.incident.updated"
REOPENED: Final = "dev.furrow.incident.reopened"
GROWN: Final = "dev.furrow.incident.grown"
FIX_CONFIRMED: Final = "dev.furrow.incident.fix_confirmed"
COMMENTED: Final = "dev.furrow.incident.commented"
_NOTES: Final = {"growth": GROWN, "proof": FIX_CONFIRMED}
_CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:#/-]{0,99}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_ODD: Final = re.compile(r"[\s<>()\[\]|\\\"'`]")


class Receipt(msgspec.Struct):
    """What a receiver may answer: how people know the ticket there."""

    key: str | None = None
    url: str | None = None


class WebhookTracker:
    """One receiver. Not to be shared between threads. Raises as ``Tracker`` says."""

    def __init__(
        self, secret: SecretStr | None, url: str, topic: str, topics: Mapping[str, str], reach: Reach | None = None
    ) -> None:
        """``topic`` is in each event; ``topics`` names others by Furrow project."""
        self._signer = Signer(secret)
        self._topic, self._topics = topic.strip(), dict(topics)
        if urlsplit(url.strip()).query:
            raise PermanentError("the address of the webhook has a query; addresses are shown, so they hold no secrets")
        headers = {"Content-Type": _CONTENT_TYPE}
        self._client = RestClient("the webhook", url, headers, [self._signer.text], reach or Reach())
        self._url = url.strip()

    @property
    def name(self) -> str:
        """``webhook``"""
        return "webhook"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def file_ticket(self, ticket: Ticket, client_id: UUID) -> Filed:
        """Send the event that the incident needs a ticket. The same ``client_id`` is the same event."""
        answer = self._send(CREATED, str(client_id), ticket.incident_id, self._describe_ticket(ticket))
        receipt = _read_receipt(answer)
        key = receipt.key if receipt.key and _KEY.fullmatch(receipt.key) else str(client_id)
        return Filed(key, _web_address(receipt.url) or ticket.url or self._url, _wanted(ticket))

    def find_ticket(self, ticket: Ticket, client_id: UUID, patient: bool = True) -> Filed | None:
        """None: a webhook cannot be asked. The event is sent again with the same id."""
        return None

    def report_recurrence(self, key: str, ticket: Ticket) -> Filed:
        """Send the event that the incident came back, once for each time."""
        report = {"ticket": key, "reason": ticket.came_back, "comment": render_for_forge(recurrence_comment(ticket))}
        id_ = _make_id(key, REOPENED, ticket.recurrence_id)
        self._send(REOPENED, id_, ticket.incident_id, self._describe_ticket(ticket) | report)
        return Filed(key, ticket.url or self._url, is_open=True)

    def fetch_ticket_state(self, key: str) -> TicketState:
        """Open, as far as Furrow knows."""
        return TicketState("open")

    def update_facts(self, key: str, ticket: Ticket, shown: Shown) -> Shown:
        """Send title, priority, counts and text as they are now, if they changed. What a person changed is not known."""
        wanted = _wanted(ticket)
        if wanted == shown:
            return shown
        # The event holds the whole state: one that is sent twice does no harm, and one that is dropped would.
        hour = datetime.now(UTC).strftime("%Y-%m-%dT%H")
        id_ = _make_id(key, UPDATED, hour, str(wanted.title), str(wanted.priority), str(wanted.digest))
        self._send(UPDATED, id_, ticket.incident_id, self._describe_ticket(ticket) | {"ticket": key})
        return wanted

    def add_note(self, key: str, note_id: str, text: Document) -> None:
        """Send a comment: that the incident grew, or that its fix is confirmed. Once for each ``note_id``."""
        kind, *more = note_id.split("\0")
        type_ = _NOTES.get(kind, COMMENTED)
        data = {"ticket": key, "comment": render_for_forge(text)}
        self._send(type_, _make_id(key, type_, note_id), more[0] if more else key, data)

    def check_access(self) -> str:
        """Ask the receiver which requests it takes; see `trackers.protocol.RemoteTracker`. No event is sent."""
        for topic in (self._topic, *self._topics.values()):
            _check_topic(topic)
        self._client.ask_options("say which requests it takes", **{"WebHook-Request-Origin": "furrow"})
        return f"signed events{f', topic {self._topic}' if self._topic else ''}"

    def _describe_ticket(self, ticket: Ticket) -> dict[str, object]:
        topic = self._topics.get(ticket.project, self._topic)
        _check_topic(topic)
        return {
            "incident": {
                "id": ticket.incident_id,
                "project": ticket.project,
                "url": ticket.url,
                "title": ticket.title,
                "severity": ticket.severity,
                "priority": ticket.priority,
                "affectedSessions": ticket.sessions,
                "generation": ticket.generation,
            },
            "labels": list(ticket.labels),
            "text": render_for_forge(ticket.text or ticket.body),
            "topic": topic,
            "replaces": ticket.replaces,
        }

    def _send(self, type_: str, id_: str, subject: str, data: Mapping[str, object]) -> bytes:
        event = {
            "specversion": "1.0",
            "id": id_,
            "source": SOURCE,
            "type": type_,
            "subject": subject,
            "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": data,
        }
        content = json.dumps(event, ensure_ascii=False).encode()
        try:
            return self._client.post(
                f"take the event {type_}", content, lambda: self._signer.sign(id_, int(time.time()), content)
            )
        except MissingResource as refusal:
            raise RefusedAccess(str(refusal)) from None


def _wanted(ticket: Ticket) -> Shown:
    text = json.dumps([ticket.sessions, render_for_forge(ticket.text or ticket.body)])
    return Shown(ticket.title, ticket.priority, sha256(text.encode()).hexdigest())


def _make_id(*parts: str) -> str:
    """A UUID that is the same for the same parts."""
    return str(UUID(bytes=sha256("\0".join(("furrow", *parts)).encode()).digest()[:16], version=4))


def _read_receipt(answer: bytes) -> Receipt:
    """What the receiver answered, if it has the form of a receipt; receivers need not answer anything."""
    try:
        return msgspec.json.decode(answer, type=Receipt)
    except msgspec.MsgspecError:
        return Receipt()


def _web_address(url: str | None) -> str:
    """``url`` if it is a plain web address, else ''."""
    try:
        parts = urlsplit(url or "")
        plain = parts.scheme in ("http", "https") and parts.hostname and not parts.username
    except ValueError:
        return ""
    return url if url and plain and len(url) <= 1_000 and not _ODD.search(url) and url.isprintable() else ""


def _check_topic(topic: str) -> None:
    if topic and not _TOPIC.fullmatch(topic):
        raise PermanentError(f"{http_errors.to_safe_line(topic, limit=100)!r} is no topic of the webhook")
