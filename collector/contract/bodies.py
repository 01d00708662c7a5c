"""Request bodies as JSON objects; damaged events of a batch are taken apart from the others.

A client writes NaN for a division by zero, or cuts a text in the middle of a character. That is one event's fault: it is
rejected alone and kept, and the rest of the batch is accepted. Bodies are read event by event only if the usual decoders
refuse them.
"""

import codecs
import json
import math
from dataclasses import dataclass
from typing import Any, Final

from collector.contract.decoding import decode_json, parse_bounded_int, parse_finite_float
from collector.contract.limits import MAX_FIELD_SHOWN
from collector.contract.rows import InvalidBatch
from collector.privacy import cut, mask_text

_NO_TEXT: Final = "\ufdd0"
"""Stands for bytes that are no text while the body is read: a code point that no text uses."""
_MARK_BYTES: Final = "furrow.mark"
_NOT_JSON: Final = "holds NaN or Infinity, which JSON does not have"
_NOT_UTF8: Final = "holds bytes that are no text (UTF-8)"
_FIELDS: Final = frozenset(
    [
        "eventType",
        "timestamp",
        "sessionId",
        "route",
        "target",
        "metadata",
        "seq",
        "userId",
        "idempotencyKey",
        "userAgent",
    ]
)
_PARTS: Final = frozenset(["target", "metadata"])


def _mark_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _NO_TEXT, error.end


codecs.register_error(_MARK_BYTES, _mark_bytes)


@dataclass(frozen=True, slots=True)
class DamagedEvent:
    """An event that cannot be read as sent: the first damaged field, the reason, and the event as it can be kept: ``null``
    instead of the number, U+FFFD instead of the bytes.
    """

    field: str
    reason: str
    kept: object


def decode_body(body: bytes) -> dict[str, Any]:
    """A request body as a JSON object; in ``events``, damaged events are ``DamagedEvent``. Raises InvalidBatch (400)."""
    try:
        batch = decode_json(body)
    except ValueError as error:
        try:
            return _isolate_damaged_events(body)
        except (ValueError, RecursionError):
            raise InvalidBatch(400, "invalid_json", f"the body is not JSON: {error}") from None
    if not isinstance(batch, dict):
        raise InvalidBatch(400, "invalid_batch", 'the body must be an object: {"events": [...]}')
    return batch


def _isolate_damaged_events(body: bytes) -> dict[str, Any]:
    """The batch of a body that is not JSON. Raises ValueError when it is no batch, or damaged outside of its events, too."""
    batch = json.loads(
        body.decode("utf-8-sig", _MARK_BYTES), parse_float=parse_finite_float, parse_int=parse_bounded_int
    )
    if not isinstance(batch, dict) or not isinstance(batch.get("events"), list):
        raise ValueError("it holds no list of events")
    if _find_damage({**batch, "events": None}) is not None:
        raise ValueError("it is damaged outside of its events")
    events = [_repair_value(event) for event in batch["events"]]
    whole = json.dumps({**batch, "events": events}, ensure_ascii=False).encode("utf-8", "replace")
    found: dict[str, Any] = decode_json(whole)
    for index, event in enumerate(batch["events"]):
        if (damage := _find_damage(event)) is not None:
            found["events"][index] = DamagedEvent(*damage, kept=found["events"][index])
    return found


def _find_damage(value: object) -> tuple[str, str] | None:
    """Field and reason of the first damaged part of an event, None if it is whole. Only fields of the contract are named."""
    parts = list(value.items()) if isinstance(value, dict) else [("", value)]
    for name, part in parts:
        if (reason := _describe_damage({name: part})) is None:
            continue
        if name not in _FIELDS:
            return "", reason
        inner = part.items() if name in _PARTS and isinstance(part, dict) else ()
        where = next((key for key, own in inner if _describe_damage({key: own}) is not None), "")
        shown = mask_text(cut(where.replace(_NO_TEXT, "\ufffd"), MAX_FIELD_SHOWN))[:MAX_FIELD_SHOWN]
        return f"{name}.{shown}" if shown else name, reason
    return None


def _describe_damage(value: object) -> str | None:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return _NOT_JSON
    return _NOT_UTF8 if _NO_TEXT in text else None


def _repair_value(value: object) -> object:
    """``value`` with ``null`` for numbers that are not finite, and U+FFFD for bytes that are no text."""
    if isinstance(value, dict):
        return {name.replace(_NO_TEXT, "\ufffd"): _repair_value(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_repair_value(part) for part in value]
    if isinstance(value, str):
        return value.replace(_NO_TEXT, "\ufffd")
    return None if isinstance(value, float) and not math.isfinite(value) else value
