"""Masking at the door: what may identify a person is gone before anything is stored (events.md, Privacy).

Query strings and fragments are cut; addresses, numbers and secrets are replaced by marks; user ids, and session ids and
keys that hold such a thing, by a keyed hash per project. In paths the marks are ``:email``, ``:id``, ``:card``,
``:token``, … (the form of a folded path segment); in text they are ``[email]``, ``[number]``, ``[card]``, ``[token]``, ….
docs/privacy.md lists what is masked and what is not.

A text is judged as a person would read it (``plain``), by patterns that are linear in their input (``patterns``), after it
has been cut to the length that is stored (``cut``).
"""

import hmac
import re
from typing import Final

from collector.privacy.plain import cut
from collector.privacy.texts import (
    cut_query,
    holds_secret,
    mask_name,
    mask_path,
    mask_source,
    mask_text,
    mask_version,
)
from collector.privacy.values import mask_json, mask_metadata

__all__ = [
    "HASHED_USER",
    "cut",
    "cut_query",
    "hash_user",
    "mask_json",
    "mask_metadata",
    "mask_name",
    "mask_path",
    "mask_source",
    "mask_text",
    "mask_version",
    "stored_key",
    "stored_session",
]

HASHED_USER: Final = re.compile(r"uh:[0-9a-f]{32}")
"""A user id that was hashed already (a replayed dead letter); it is taken as it is."""


def hash_user(project: str, user_id: str, salt: bytes) -> str:
    """Keyed hash of a user id, 32 hex digits; the same person has unrelated hashes in two projects."""
    if HASHED_USER.fullmatch(user_id):
        return user_id[3:]
    return _compute_keyed_hash(salt, project, user_id)


def stored_session(project: str, session_id: str, salt: bytes) -> str:
    """A session id as it is stored: itself, or ``sh:`` and a keyed hash where it holds something to be masked.

    A hash keeps two sessions two.
    """
    return (
        "sh:" + _compute_keyed_hash(salt, project, "session\0" + session_id) if holds_secret(session_id) else session_id
    )


def stored_key(project: str, key: str, salt: bytes) -> str:
    """An idempotency key as a dead letter keeps it: itself, or ``kh:`` and a keyed hash of it."""
    return "kh:" + _compute_keyed_hash(salt, project, "key\0" + key) if holds_secret(key) else key


def _compute_keyed_hash(salt: bytes, project: str, value: str) -> str:
    message = project.encode("utf-8", "replace") + b"\0" + value.encode("utf-8", "replace")
    return hmac.digest(salt, message, "sha256").hex()[:32]
