"""Masks personal data before anything is stored (docs/contracts/events.md, Privacy).

Query strings are removed, and fragments that are no page of a hash router. Addresses, numbers and secrets are replaced by
marks. User ids, and session ids and keys that contain personal data, are replaced by a keyed hash per project. In paths the
marks are ``:email``, ``:id``, ``:card``, ``:token``, … (the form of a folded path segment); in text they are ``[email]``,
``[number]``, ``[card]``, ``[token]``, …. docs/privacy.md lists what is masked and what is not.

A text is first cut to its stored length (``cut``), then decoded to the form that a person reads (``plain``), then searched
with patterns whose time is linear in their input (``patterns``).
"""

import hmac
import re
from typing import Final

from collector.privacy.plain import cut
from collector.privacy.routes import cut_route, mask_route
from collector.privacy.texts import (
    cut_query,
    holds_secret,
    mask_name,
    mask_path,
    mask_source,
    mask_text,
    mask_version,
)
from collector.privacy.values import mask_json, mask_metadata, mask_small_metadata

__all__ = [
    "HASHED_USER",
    "cut",
    "cut_query",
    "cut_route",
    "hash_user",
    "mask_json",
    "mask_metadata",
    "mask_name",
    "mask_path",
    "mask_route",
    "mask_small_metadata",
    "mask_source",
    "mask_text",
    "mask_version",
    "stored_key",
    "stored_session",
]

HASHED_USER: Final = re.compile(r"uh:[0-9a-f]{32}")
"""A user id that is hashed already (a replayed dead letter); it stays as it is."""


def hash_user(project: str, user_id: str, salt: bytes) -> str:
    """The keyed hash of a user id, 32 hex digits; it differs between projects."""
    if HASHED_USER.fullmatch(user_id):
        return user_id[3:]
    return _compute_keyed_hash(salt, project, user_id)


def stored_session(project: str, session_id: str, salt: bytes) -> str:
    """The stored form of a session id: unchanged, or ``sh:`` and a keyed hash when it contains personal data.

    Unlike a mark, a hash keeps different sessions different.
    """
    return (
        "sh:" + _compute_keyed_hash(salt, project, "session\0" + session_id) if holds_secret(session_id) else session_id
    )


def stored_key(project: str, key: str, salt: bytes) -> str:
    """The form of an idempotency key in a dead letter: unchanged, or ``kh:`` and a keyed hash, as for session ids."""
    return "kh:" + _compute_keyed_hash(salt, project, "key\0" + key) if holds_secret(key) else key


def _compute_keyed_hash(salt: bytes, project: str, value: str) -> str:
    message = project.encode("utf-8", "replace") + b"\0" + value.encode("utf-8", "replace")
    return hmac.digest(salt, message, "sha256").hex()[:32]
