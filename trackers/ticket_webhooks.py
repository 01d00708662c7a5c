"""Webhooks of trackers: whether a request is the tracker's, and which tickets it names. Pure functions.

A webhook is a hint alone: nothing that it says of a ticket is used, as the ticket is then read from its tracker. So one that is
sent again, late or in another order costs one reading at most.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

LONGEST_AGE_MS: Final = 60_000
"""A webhook that says when it was sent is taken so long after that, and before (as Linear advises)."""
_LONGEST_HEADER: Final = 300
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_ISSUE_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}-[0-9]{1,12}")
_PATH: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}(/[A-Za-z0-9_.-]{1,255}){1,21}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class NamedTickets:
    """Tickets by their keys, and by the ids that were made for them before they were filed."""

    keys: tuple[str, ...] = ()
    client_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class WebhookKind:
    """How a tracker sends webhooks.

    ``header``: holds the HMAC-SHA256 of the body in hex after ``prefix``, or, if ``prefix`` is None, the secret itself.
    ``sent_at``: field with the time of sending in epoch ms, '' if there is none. ``find_tickets``: what a body names.
    """

    tracker: str
    title: str
    header: str
    prefix: str | None
    find_tickets: Callable[[Mapping[str, object]], NamedTickets]
    sent_at: str = ""

    def has_form(self, sent: str) -> bool:
        """Whether this may be the value of the header: before a body is read."""
        if self.prefix is None:
            return 0 < len(sent) <= _LONGEST_HEADER
        return sent.startswith(self.prefix) and _DIGEST.fullmatch(sent.removeprefix(self.prefix)) is not None

    def is_genuine(self, sent: bytes, body: bytes, secret: str) -> bool:
        """Whether who sent ``body`` with this value of the header knows the secret. Wrong values take the same time."""
        if self.prefix is None:
            return hmac.compare_digest(sent, secret.encode())
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(sent.lower(), (self.prefix + digest).encode())

    def is_fresh(self, content: Mapping[str, object], now_ms: int) -> bool:
        """Whether it was sent within `LONGEST_AGE_MS` of now, if the tracker says so."""
        if not self.sent_at:
            return True
        at = content.get(self.sent_at)
        is_number = isinstance(at, int | float) and not isinstance(at, bool)
        return is_number and abs(now_ms - at) <= LONGEST_AGE_MS  # type: ignore[operator]


def _find_jira_tickets(content: Mapping[str, object]) -> NamedTickets:
    """The issue; one that was moved also by its former key."""
    keys = [_read_text(content, "issue", "key")]
    items = _read_value(content, "changelog", "items")
    for item in items[:100] if isinstance(items, list) else ():
        if _read_text(item, "field") == "Key":
            keys.append(_read_text(item, "fromString"))
    return NamedTickets(_select_keys(keys))


def _find_linear_tickets(content: Mapping[str, object]) -> NamedTickets:
    """The issue, or that of a comment, relation or attachment."""
    names = ("issue", "relatedIssue")
    keys = [_read_text(content, "data", name, "identifier") for name in names]
    ids = [_read_text(content, "data", f"{name}Id") for name in names]
    if content.get("type") == "Issue":
        keys.append(_read_text(content, "data", "identifier"))
        ids.append(_read_text(content, "data", "id"))
    return NamedTickets(_select_keys(keys), tuple(UUID(text) for text in ids if _UUID.fullmatch(text)))


def _find_github_tickets(content: Mapping[str, object]) -> NamedTickets:
    path, number = _read_text(content, "repository", "full_name"), _read_value(content, "issue", "number")
    return NamedTickets(_build_forge_keys(path, number))


def _find_gitlab_tickets(content: Mapping[str, object]) -> NamedTickets:
    """An issue, or the issue of a comment."""
    path = _read_text(content, "project", "path_with_namespace")
    owner = "object_attributes" if content.get("object_kind") in ("issue", "work_item") else "issue"
    return NamedTickets(_build_forge_keys(path, _read_value(content, owner, "iid")))


def _read_value(content: object, *path: str) -> object:
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def _read_text(content: object, *path: str) -> str:
    value = _read_value(content, *path)
    return value if isinstance(value, str) else ""


def _select_keys(texts: list[str]) -> tuple[str, ...]:
    keys = dict.fromkeys(text.upper() for text in texts if _ISSUE_KEY.fullmatch(text))
    return tuple(keys)[:4]


def _build_forge_keys(path: str, number: object) -> tuple[str, ...]:
    is_number = isinstance(number, int) and not isinstance(number, bool) and 0 < number < 10**12
    return (f"{path}#{number}",) if is_number and _PATH.fullmatch(path) else ()


WEBHOOK_KINDS: Final = (
    WebhookKind("jira", "Jira", "x-hub-signature", "sha256=", _find_jira_tickets),
    WebhookKind("linear", "Linear", "linear-signature", "", _find_linear_tickets, "webhookTimestamp"),
    WebhookKind("github", "GitHub", "x-hub-signature-256", "sha256=", _find_github_tickets),
    WebhookKind("gitlab", "GitLab", "x-gitlab-token", None, _find_gitlab_tickets),
)
"""Every tracker whose webhooks are taken."""


def find_webhook_kind(tracker: str) -> WebhookKind | None:
    """How this tracker sends webhooks; None if no webhooks of it are taken."""
    return next((kind for kind in WEBHOOK_KINDS if kind.tracker == tracker), None)
