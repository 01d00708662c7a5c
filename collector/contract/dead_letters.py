"""Rejected events, masked, as lines of the dead-letter file."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from collector.contract.identity import Identity
from collector.contract.limits import MAX_DEAD_LETTER_BYTES, MAX_TIMESTAMP
from collector.contract.rows import ENCODER, Rejected, Source
from collector.contract.times import parse_time
from collector.privacy import cut, hash_user, mask_json, mask_text, stored_key, stored_session

_KEPT_OF_LARGE: Final = ("eventType", "timestamp", "sessionId", "route", "userId", "seq", "idempotencyKey")
_NAMED_AS_CUT: Final = ("metadata", "target", *_KEPT_OF_LARGE)
"""Other names are the sender's own words."""
_MAX_KEPT: Final = 1_024  # characters of a field of a large event


def encode_dead_letter(event: object, source: Source, identity: Identity, rejected: Rejected) -> bytes:
    """One line of the dead-letter file: the masked event, with a key so that a replay does not store it twice."""
    masked: object
    is_large = len(_encode_event(event)) > MAX_DEAD_LETTER_BYTES  # before masking: masking costs more than measuring
    if isinstance(event, dict):
        masked = _truncate_event(event, source) if is_large else mask_event(event, source.project, source.salt)
        key = event.get("idempotencyKey")
        is_key = isinstance(key, str) and key
        masked["idempotencyKey"] = (
            stored_key(source.project, key, source.salt) if is_key else identity.identify_by_content(event)  # type: ignore[arg-type]
        )
    else:
        masked = "[truncated]" if is_large else mask_json(event)
    at = datetime.fromtimestamp(source.received_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    letter = {
        "at": at.replace("+00:00", "Z"),
        "project": source.project,
        "field": rejected.field,
        "reason": rejected.reason,
        "event": masked,
    }
    return ENCODER.encode(letter) + b"\n"


def mask_event(event: Mapping[str, Any], project: str, salt: bytes) -> dict[str, object]:
    """Mask an event as sent, valid or not. The user id becomes ``uh:<hash>``; a session id that contains personal data
    becomes ``sh:<hash>``."""
    kept = ("userId", "sessionId", "timestamp", "idempotencyKey")
    masked = mask_json({name: value for name, value in event.items() if name not in kept})
    assert isinstance(masked, dict)
    if "sessionId" in event:
        value = event["sessionId"]
        masked["sessionId"] = stored_session(project, value, salt) if isinstance(value, str) else mask_json(value)
    if "timestamp" in event:
        masked["timestamp"] = _mask_timestamp(event["timestamp"])
    user = event.get("userId")
    if user is not None:
        known = isinstance(user, str | int) and not isinstance(user, bool)
        masked["userId"] = "uh:" + hash_user(project, str(user), salt) if known else None
    return masked


def _mask_timestamp(value: object) -> object:
    if not isinstance(value, str) or parse_time(value) is not None:
        return mask_json(value)
    return mask_text(cut(value, MAX_TIMESTAMP))


def _truncate_event(event: Mapping[str, Any], source: Source) -> dict[str, object]:
    """The identity of an event that is too large, without its content; ``cut`` names what was left out and its size."""
    short = {name: event[name] for name in _KEPT_OF_LARGE if _is_short_value(event.get(name))}
    left_out = {name: value for name, value in event.items() if name not in short}
    cut = [f"{len(_encode_event(left_out.pop(name)))} bytes of {name}" for name in _NAMED_AS_CUT if name in left_out]
    if left_out:
        cut.append(f"{len(_encode_event(left_out))} bytes of other fields")
    return {"truncated": True, "cut": cut} | mask_event(short, source.project, source.salt)


def _is_short_value(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= _MAX_KEPT


def _encode_event(event: object) -> bytes:
    try:
        return ENCODER.encode(event)
    except (OverflowError, ValueError):
        return json.dumps(event).encode()
