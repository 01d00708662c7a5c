"""One event as sent → one row."""

from collections.abc import Mapping
from typing import Any, Final

from collector.contract.fields import (
    validate_idempotency_key,
    validate_metadata,
    validate_route,
    validate_sequence,
    validate_session_id,
    validate_target,
    validate_user_id,
)
from collector.contract.limits import MAX_FUTURE_MS
from collector.contract.rows import ENCODER, Rejected, Row, Source
from collector.contract.times import validate_timestamp
from tests.unit.collector.reference.columns import (
    FILL,
    fill_reference_columns,
    fill_target_columns,
    normalise_name,
    normalise_version,
)
from tests.unit.collector.reference.identity import Identity
from tests.unit.collector.reference.metadata import mask_metadata

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
    if not isinstance(sent_type, str) or sent_type not in TYPES:
        raise Rejected("eventType", "is required" if sent_type is None else "unknown event type")
    event_type = TYPES[sent_type]
    client_ts = validate_timestamp(get("timestamp"), "timestamp")
    ts = client_ts + source.skew_ms
    received_ms = _find_receipt_time(ts, source)
    session_id = validate_session_id(get("sessionId"))
    route = validate_route(get("route"))
    metadata = validate_metadata(get("metadata"))
    seq = -1 if (value := get("seq")) is None else validate_sequence(value)
    user_id = "" if (value := get("userId")) is None else validate_user_id(value)
    key = "" if (value := get("idempotencyKey")) is None else validate_idempotency_key(value)
    target = None if (value := get("target")) is None else validate_target(value)
    row = Row(
        source.project,
        identity.sessions[session_id],
        identity.identify_by_key(session_id, key) if key else identity.identify_by_content(event),
        event_type,
        ts,
        seq,
        received_ms,
        identity.user_hashes[user_id] if user_id else "",
        route,
    )
    if target:
        fill_target_columns(row, target)
    row.client_ts, row.sent_ms = client_ts, source.sent_ms
    _fill_batch_columns(row, event, source)
    fill_reference_columns(row, event, metadata)
    fill = FILL.get(event_type)
    if fill:
        fill(row, metadata, sent_type)
    if metadata:
        row.metadata = ENCODER.encode(mask_metadata(metadata)).decode()
    return row


def _fill_batch_columns(row: Row, event: Mapping[str, Any], source: Source) -> None:
    """Fill the columns whose defaults the batch names."""
    get = event.get
    row.app_version = source.app_version if (value := get("appVersion")) is None else normalise_version(value)
    row.environment = source.environment if (value := get("environment")) is None else normalise_name(value)
    row.sdk_version = source.sdk_version if (value := get("sdkVersion")) is None else normalise_version(value)
    row.user_agent = source.user_agent if (value := get("userAgent")) is None else normalise_name(value)


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
