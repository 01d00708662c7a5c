"""Errors that nobody handled, from Sentry's ``event`` items."""

from typing import Final

from collector.streams.lenient import digest_parts, read_number, read_route, read_session, read_text, read_time
from collector.streams.rrweb.wire import read_shape
from collector.streams.sentry import shapes
from collector.streams.sentry.values import find_replay, find_trace, read_page, read_seconds, read_user
from collector.streams.stream import Reading, RejectedItem, WireEvent

_PROMISE: Final = "onunhandledrejection"


def read_error(payload: bytes, replay: str, trace: str, reading: Reading) -> None:
    """Adds the error of an item to ``reading``. ``replay`` and ``trace``: of the envelope, where the item names none."""
    event = read_shape(shapes.ERROR_EVENT, payload)
    if event is None:
        reading.rejects.append(RejectedItem("event", "has a wrong shape", {}))
        return
    held = event.exception
    chain = held if isinstance(held, list) else held.values if held is not None else None
    thrown = chain[-1] if chain else None
    if thrown is None or thrown.mechanism is None or thrown.mechanism.handled is not False:
        reading.ignored["handled exception or message"] += 1
        return
    session = find_replay(event.tags, event.contexts) or replay or find_trace(event.contexts) or trace
    seconds = read_seconds(event.timestamp)
    at_ms = round(seconds) if seconds is not None else None
    if isinstance(event.timestamp, str):
        at_ms = read_time(event.timestamp)
    made = _make_error(event, thrown, session, at_ms or 0)
    if at_ms is None or not session:
        # In the shape of an event: it can be sent again when a person has added what is missing.
        kept = {name: value for name, value in made.items() if value or name == "metadata"}
        reading.rejects.append(RejectedItem("timestamp" if at_ms is None else "replayId", "is missing or wrong", kept))
        return
    reading.events.append(made)


def _make_error(event: shapes.ErrorEvent, thrown: shapes.Thrown, session: str, at_ms: int) -> WireEvent:
    name, text = read_text(thrown.type, 128), read_text(thrown.value)
    kind = read_text(thrown.mechanism.type if thrown.mechanism is not None else "", 128)
    metadata: dict[str, object] = {
        "errorType": "promise" if kind.endswith(_PROMISE) else "javascript",
        "message": f"{name}: {text}" if name and text else name or text or "Error",
    }
    frame = _find_frame(thrown)
    if frame:
        metadata["frame"] = frame
    number = read_session(event.event_id) or digest_parts(session, at_ms, metadata["message"])
    made: WireEvent = {
        "eventType": "error",
        "timestamp": at_ms,
        "sessionId": session,
        "idempotencyKey": f"error:{number}",
        "metadata": metadata,
    }
    optional = {
        "route": read_route(read_page(event.request)),
        "userId": read_user(event.user),
        "appVersion": read_text(event.release, 128),
        "environment": read_text(event.environment, 64),
    }
    return made | {name: value for name, value in optional.items() if value}


def _find_frame(thrown: shapes.Thrown) -> str:
    """``file:line:column`` of the place that threw, without query; '' where it is unknown."""
    frames = thrown.stacktrace.frames if thrown.stacktrace is not None else None
    if not frames:
        return ""
    frame = frames[-1]
    file = read_text(frame.filename).partition("?")[0].partition("#")[0]
    line, column = read_number(frame.line), read_number(frame.column)
    return f"{file}:{int(line)}:{int(column or 0)}" if file and line is not None else ""
