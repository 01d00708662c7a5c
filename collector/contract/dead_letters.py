"""Events that broke a rule, masked, as lines of the dead-letter file."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from collector.contract.identity import Identity
from collector.contract.limits import MAX_DEAD_LETTER_BYTES
from collector.contract.rows import ENCODER, Rejected, Source
from collector.privacy import hash_user, mask_json


def dead_letter(event: object, source: Source, identity: Identity, rejected: Rejected) -> bytes:
    """One line of the dead-letter file: the event masked, with a key that makes its replay harmless."""
    masked: object
    if isinstance(event, dict):
        key = event.get("idempotencyKey")
        masked = mask_event(event, source.project, source.salt)
        masked["idempotencyKey"] = key if isinstance(key, str) and key else identity.of_content(event)
        if len(ENCODER.encode(masked)) > MAX_DEAD_LETTER_BYTES:
            masked = {"truncated": True} | {
                name: masked[name] for name in _KEPT_OF_LARGE if _is_short(masked.get(name))
            }
    else:
        masked = mask_json(event)
        if len(ENCODER.encode(masked)) > MAX_DEAD_LETTER_BYTES:
            masked = "[truncated]"
    at = datetime.fromtimestamp(source.received_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    letter = {
        "at": at.replace("+00:00", "Z"),
        "project": source.project,
        "field": rejected.field,
        "reason": rejected.reason,
        "event": masked,
    }
    return ENCODER.encode(letter) + b"\n"


_KEPT_OF_LARGE: Final = ("eventType", "timestamp", "sessionId", "route", "userId", "seq", "idempotencyKey")


def _is_short(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= 1_024


def mask_event(event: Mapping[str, Any], project: str, salt: bytes) -> dict[str, Any]:
    """An event as sent, valid or not, without what may identify a person; the user id becomes
    ``uh:<hash>``."""
    kept = ("userId", "sessionId", "timestamp", "idempotencyKey")
    masked = mask_json({name: value for name, value in event.items() if name not in kept})
    assert isinstance(masked, dict)
    for name in ("sessionId", "timestamp"):
        if name in event:
            value = event[name]
            masked[name] = value if _is_short(value) else mask_json(value)
    user = event.get("userId")
    if user is not None:
        known = isinstance(user, str | int) and not isinstance(user, bool)
        masked["userId"] = "uh:" + hash_user(project, str(user), salt) if known else None
    return masked
