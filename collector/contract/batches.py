"""A request body → rows, rejects and dead letters."""

from collections.abc import Callable, Mapping
from typing import Any

from collector.contract.bodies import DamagedEvent
from collector.contract.columns import normalise_name, normalise_version
from collector.contract.dead_letters import encode_dead_letter
from collector.contract.events import event_to_row
from collector.contract.identity import Identity
from collector.contract.limits import MAX_EVENTS, SKEW_TOLERANCE_MS
from collector.contract.rows import Batch, InvalidBatch, Reject, Rejected, Row, Source
from collector.contract.times import validate_timestamp


def normalise_batch(
    batch: Mapping[str, Any],
    *,
    project: str,
    received_ms: int,
    salt: bytes,
    http_user_agent: str = "",
    session_id: str | None = None,
    row_type: type[Row] = Row,
) -> Batch:
    """The rows and rejects of a decoded request body; ``received_ms`` is the receipt time in epoch milliseconds.

    ``http_user_agent`` is the last default of ``userAgent``, if it is a browser's: a program that only delivers events (curl,
    a server) says nothing about the visitor. With ``session_id``, all events belong to that session: events without a session
    get it, events of another session are rejected. ``row_type``: `Row` or `SpoolRow`.
    Raises InvalidBatch when the batch itself breaks the contract.
    """
    events = batch.get("events")
    if not isinstance(events, list) or not events:
        raise InvalidBatch(400, "invalid_batch", f"`events` must be a list of 1 to {MAX_EVENTS} events")
    if len(events) > MAX_EVENTS:
        raise InvalidBatch(413, "too_many_events", f"{len(events)} events; a batch holds at most {MAX_EVENTS}")
    browser = http_user_agent if http_user_agent.startswith("Mozilla/") else ""
    sent_ms = _read_sent_time(batch.get("sentAt"))
    source = Source(
        project=project,
        received_ms=received_ms,
        salt=salt,
        skew_ms=_clock_skew_ms(sent_ms, received_ms),
        sent_ms=-1 if sent_ms is None else max(sent_ms, -1),
        app_version=_read_batch_default(batch, "appVersion", normalise_version),
        environment=_read_batch_default(batch, "environment"),
        sdk_version=_read_batch_default(batch, "sdkVersion", normalise_version),
        user_agent=_read_batch_default(batch, "userAgent") or normalise_name(browser),
        row_type=row_type,
    )
    result = Batch()
    identity = Identity(project, salt)
    event: object
    for index, event in enumerate(events):
        try:
            if session_id is not None:
                event = _assign_session(event, session_id)
            result.rows.append(event_to_row(event, source, identity))
        except Rejected as caught:
            rejected = caught
            if isinstance(event, DamagedEvent):
                rejected = Rejected(event.field, event.reason)
                event = _keep_damaged(event.kept, session_id)
            result.rejects.append(Reject(index, rejected.field, rejected.reason))
            result.dead_letters.append(encode_dead_letter(event, source, identity, rejected))
    return result


def _assign_session(event: object, session_id: str) -> object:
    if not isinstance(event, dict):
        return event
    named = event.get("sessionId")
    if named not in (None, "", session_id):
        raise Rejected("sessionId", "is not the session that the body names")
    return {**event, "sessionId": session_id}


def _keep_damaged(kept: object, session_id: str | None) -> object:
    """A damaged event as it is kept: with the session of its body, so that it can be sent again."""
    if session_id is None or not isinstance(kept, dict) or kept.get("sessionId"):
        return kept
    return {**kept, "sessionId": session_id}


def _read_sent_time(sent_at: object) -> int | None:
    """The client's time of sending, epoch milliseconds; None where the batch names none. Raises InvalidBatch."""
    if sent_at is None:
        return None
    try:
        return validate_timestamp(sent_at, "sentAt")
    except Rejected as rejected:
        raise InvalidBatch(400, "invalid_batch", f"`sentAt` {rejected.reason}") from None


def _clock_skew_ms(sent_ms: int | None, received_ms: int) -> int:
    """The correction that one request alone supports; the engine derives that of the session (``ufse/clocks.py``)."""
    skew = 0 if sent_ms is None else received_ms - sent_ms
    return skew if abs(skew) > SKEW_TOLERANCE_MS else 0


def _read_batch_default(batch: Mapping[str, Any], key: str, stored: Callable[[str], str] = normalise_name) -> str:
    value = batch.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidBatch(400, "invalid_batch", f"`{key}` must be text")
    return stored(value)
