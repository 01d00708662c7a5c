"""One event as sent → one row."""

from collections.abc import Mapping
from typing import Any, Final

from collector.contract.columns import (
    FILL,
    IMPLIED,
    fill_reference_columns,
    fill_target_columns,
    normalise_name,
    normalise_version,
)
from collector.contract.fields import (
    read_metadata,
    validate_idempotency_key,
    validate_route,
    validate_sequence,
    validate_target,
    validate_user_id,
)
from collector.contract.identity import Identity
from collector.contract.limits import MAX_FUTURE_MS
from collector.contract.rows import ENCODER, Rejected, Row, Source
from collector.contract.times import validate_timestamp

TYPES: Final[Mapping[str, str]] = {
    "click": "click",
    "input": "input",
    "input_focus": "input",
    "input_blur": "input",
    "scroll": "scroll",
    "hover": "hover",
    "form_submit": "form_submit",
    "navigation": "navigation",
    "route_change": "navigation",
    "error": "error",
    "unhandled_rejection": "error",
    "network": "network",
    "network_error": "network",
    "network_success": "network",
    "performance": "performance",
    "slow_response": "performance",
    "long_task": "performance",
    "loading": "loading",
    "visibility": "visibility",
    "session_end": "session_end",
    "verdict": "verdict",
}
"""Accepted `eventType` → stored event type (docs/contracts/events.md, Event types)."""


def event_to_row(event: object, source: Source, identity: Identity) -> Row:
    """The row of one event as sent, masked. Raises Rejected, which names the field, for an event that breaks a rule."""
    if not isinstance(event, dict):
        raise Rejected("", "an event must be an object")
    get = event.get
    sent_type = get("eventType")
    if not isinstance(sent_type, str) or (event_type := TYPES.get(sent_type)) is None:
        raise Rejected("eventType", "is required" if sent_type is None else "unknown event type")
    row: Row = source.blank.__copy__()  # type: ignore[attr-defined]  # msgspec's types lack it
    row.event_type = event_type
    row.client_ts = client_ts = validate_timestamp(get("timestamp"), "timestamp")
    row.ts = ts = client_ts + source.skew_ms
    if not 0 <= ts <= source.latest_ms or source.received_ms < 0:
        row.received_ms = _find_receipt_time(ts, source)
    session_id = get("sessionId")
    known = identity.sessions.get(session_id) if type(session_id) is str else None
    # A session that this batch had before is valid.
    row.session_id = identity.find_stored_session(session_id) if known is None else known
    row.route = validate_route(get("route"))
    metadata, masked = read_metadata(get("metadata"))
    if (value := get("seq")) is not None:
        row.seq = validate_sequence(value)
    if (value := get("userId")) is not None and (user_id := validate_user_id(value)):
        row.user_hash = identity.user_hashes[user_id]
    key = "" if (value := get("idempotencyKey")) is None else validate_idempotency_key(value)
    if (value := get("target")) is not None and (target := validate_target(value)):
        fill_target_columns(row, target)
    row.event_id = identity.identify_by_key(str(session_id), key) if key else identity.identify_by_content(event)
    if "userAgent" in event or "appVersion" in event or "environment" in event or "sdkVersion" in event:
        _fill_batch_columns(row, event)
    fill_reference_columns(row, event, metadata)
    if metadata:
        fill = FILL.get(event_type)
        if fill:
            fill(row, metadata, sent_type)
        row.metadata = ENCODER.encode(masked).decode()
    elif sent_type in IMPLIED:
        FILL[event_type](row, metadata, sent_type)
    return row


def _fill_batch_columns(row: Row, event: Mapping[str, Any]) -> None:
    """Fill the columns whose defaults the batch names."""
    get = event.get
    if (value := get("appVersion")) is not None:
        row.app_version = normalise_version(value)
    if (value := get("environment")) is not None:
        row.environment = normalise_name(value)
    if (value := get("sdkVersion")) is not None:
        row.sdk_version = normalise_version(value)
    if (value := get("userAgent")) is not None:
        row.user_agent = normalise_name(value)


def _find_receipt_time(ts: int, source: Source) -> int:
    """Receipt time of an event that happened at ``ts``; both in epoch milliseconds. Raises Rejected for a time before
    1970, or more than an hour after receipt."""
    received_ms = source.received_ms
    if received_ms < 0:  # history in a file
        received_ms = ts
    elif ts > received_ms + MAX_FUTURE_MS:
        raise Rejected("timestamp", "more than 1 h in the future")
    if ts < 0:
        raise Rejected("timestamp", "is before 1970")
    return received_ms
