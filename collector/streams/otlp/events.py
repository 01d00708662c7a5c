"""Spans and log records into events of the contract."""

import re
from dataclasses import dataclass, field, replace
from typing import Final

from collector.contract.limits import MAX_SESSION_ID, MAX_TIMESTAMP_MS, MAX_USER_ID
from collector.streams.otlp.addresses import are_of_one_site, cut_to_path, find_host
from collector.streams.otlp.gestures import BUCKET_MS, Gesture, fold_gestures, make_key
from collector.streams.otlp.targets import read_target
from collector.streams.otlp.telemetry import (
    CLIENT,
    FAILED,
    PAGE_KEYS,
    SESSION_KEYS,
    USER_KEYS,
    Attributes,
    LogRecord,
    Span,
    SpanEvent,
    Telemetry,
    add_reject,
    find_number,
    find_text,
)
from collector.streams.stream import Reading, RejectedItem, WireEvent

GESTURES: Final = {"click": "click", "submit": "form_submit"}
KNOWN_SPANS: Final = frozenset({"documentLoad", "documentFetch", "resourceFetch", "routeChange", "longtask"})
_KEYED_BY_TIME: Final = frozenset({"click", "form_submit", "navigation"})
NAVIGATION: Final = "Navigation:"
_NAVIGATION_TYPES: Final = {
    "push": "push",
    "replace": "replace",
    "reload": "reload",
    "traverse": "back_forward",
    "back_forward": "back_forward",
}
UNCAUGHT: Final = {
    "exception": "javascript",  # Honeycomb, browser-instrumentation
    "browser.exception": "javascript",
    "onerror": "javascript",  # Splunk, HyperDX
    "unhandledrejection": "promise",
}
_METHOD: Final = re.compile(r"[A-Za-z]{1,20}")
_FRAME: Final = re.compile(
    r"((?:https?|file|webpack|app|capacitor)://[^\s()?#]{1,400})(?:[?#][^\s():]*)?(:\d{1,9}:\d{1,9})"
)
_VERSION: Final = re.compile(r"[0-9A-Za-z.+_-]{1,40}")
_CAUSE_NS: Final = 1_000_000_000
"""A request that begins later in the context of a click was begun by a timer that the click started (zone.js)."""
PAGE_NS: Final = 1_000_000_000
"""Pages of one session and route that were shown in one stretch of this length have one key. The two reports of a page load are
some milliseconds apart, those of a pushed page at most 50: few of them lie in two stretches."""
MAX_MESSAGE: Final = 1_000
MIN_TIME_MS: Final = 10**10
"""April 1970: smaller numbers are times in other units."""
_OWN_PATHS: Final = ("/v1/traces", "/v1/logs", "/v1/metrics")


@dataclass(slots=True)
class _Work:
    """One request while it is read. ``hosts``: of the pages that a session of this request showed."""

    reading: Reading
    gestures: list[Gesture] = field(default_factory=list)
    hosts: dict[str, str] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    document_status: dict[tuple[str, str], int] = field(default_factory=dict)


def make_events(found: Telemetry) -> Reading:
    """The events of one request: gestures first, then what is no gesture, in its order."""
    reading = Reading(rejects=found.rejects, ignored=found.ignored, sdk_version=_find_sdk_version(found))
    work = _Work(reading)
    spans = [span for span in found.spans if _is_of_browser(span.resource, reading)]
    logs = [log for log in found.logs if _is_of_browser(log.resource, reading)]
    for span in spans:
        _note(span, work)
    requests: list[Span] = []
    for span in spans:
        if span.kind == CLIENT and _find_method(span.attributes):
            requests.append(span)
        else:
            _read_span(span, work)
    for log in logs:
        _read_log(log, work)
    folded = fold_gestures(work.gestures)
    if folded.repeated:
        reading.ignored["repeated_listener"] += folded.repeated
    reading.events[:0] = folded.events
    for span in requests:
        _add_request(span, folded.event_ids, work)
    return reading


def _is_of_browser(resource: Attributes, reading: Reading) -> bool:
    """A Collector may send the spans of servers, too, and a server's span may carry the visitor's session."""
    if find_text(resource, "telemetry.sdk.language") in ("", "webjs"):
        return True
    reading.ignored["not_browser"] += 1
    return False


def _find_sdk_version(found: Telemetry) -> str:
    items: list[Span] | list[LogRecord] = found.spans or found.logs
    version = find_text(items[0].resource, "telemetry.sdk.version") if items else ""
    return f"opentelemetry/{version}" if _VERSION.fullmatch(version) else ""


def _note(span: Span, work: _Work) -> None:
    session = _find_session(span.attributes, span.resource)
    page = find_text(span.attributes, *PAGE_KEYS)
    if not page and span.kind != CLIENT:
        page = find_text(span.attributes, "url.full", "http.url")
    if host := find_host(page):
        work.hosts.setdefault(session, host)
    if span.span_id:
        work.starts[span.span_id] = span.start_ns
    if span.name == "documentFetch" and span.parent_id:
        status = find_number(span.attributes, "http.response.status_code", "http.status_code")
        if status is not None and 100 <= status <= 599:
            work.document_status[span.trace_id, span.parent_id] = status


def _find_session(attributes: Attributes, resource: Attributes) -> str:
    return find_text(attributes, *SESSION_KEYS) or find_text(resource, *SESSION_KEYS)


def _begin(event_type: str, time_ns: int, attributes: Attributes, resource: Attributes) -> WireEvent:
    """The fields that all events have. Its time and session may be none: `_add` looks at them."""
    event: WireEvent = {
        "eventType": event_type,
        "timestamp": time_ns // 1_000_000,
        "sessionId": _find_session(attributes, resource),
    }
    page = find_text(attributes, *PAGE_KEYS)
    if route := cut_to_path(page):
        event["route"] = route
    for name, keys, size in (
        ("userId", USER_KEYS, MAX_USER_ID),
        ("userAgent", ("user_agent.original",), MAX_USER_ID),
        ("appVersion", ("service.version",), 128),
        ("environment", ("deployment.environment.name", "deployment.environment"), 128),
    ):
        value = find_text(attributes, *keys) or find_text(resource, *keys)
        if value and len(value) <= size:
            event[name] = value
    return event


def _add(event: WireEvent, time_ns: int, work: _Work) -> None:
    """Add an event, or, without a time or session, reject it as it is: it can be sent again. ``time_ns``: as it was sent."""
    if _is_sound(event, time_ns, work):
        work.reading.events.append(event)


def _is_sound(event: WireEvent, time_ns: int, work: _Work) -> bool:
    time_ms, session = time_ns // 1_000_000, str(event["sessionId"])
    kept = {name: value for name, value in event.items() if value != ""}
    if not MIN_TIME_MS <= time_ms <= MAX_TIMESTAMP_MS:
        field_name, reason = "timeUnixNano", "is missing, or not in nanoseconds since 1970"
        del kept["timestamp"]
        kept["timeUnixNano"] = divmod(
            time_ns, 1_000_000
        )  # sixteen digits in one piece may be taken for a card's number
        if event["eventType"] in _KEYED_BY_TIME:
            kept.pop("idempotencyKey", None)  # then the item's content identifies it
    elif not session:
        field_name, reason = "session.id", "is required; a session processor of the SDK adds it"
    elif len(session) > MAX_SESSION_ID or not session.isprintable():
        field_name, reason = "session.id", f"must be 1 to {MAX_SESSION_ID} printable characters"
    else:
        return True
    add_reject(work.reading.rejects, work.reading.ignored, RejectedItem(field_name, reason, kept))
    return False


def _read_span(span: Span, work: _Work) -> None:
    event_type = find_text(span.attributes, "event_type") or (span.name if span.name in GESTURES else "")
    if event_type in GESTURES:
        _add_gesture(GESTURES[event_type], span, work)
    elif span.name == "documentLoad":
        _add_document(span, work)
    elif span.name == "routeChange":
        _add_route_change(span, work)
    elif span.name == "longtask":
        _add_long_task(span, work)
    elif span.name in UNCAUGHT:
        _add_error(UNCAUGHT[span.name], span.start_ns, span.attributes, span, work)
    elif not any(event.name == "exception" for event in span.events):
        work.reading.ignored[_name_ignored(span.name, event_type)] += 1
    if span.name not in UNCAUGHT:
        for at, event in enumerate(span.events):
            _read_span_event(at, event, span, work)


def _name_ignored(name: str, event_type: str) -> str:
    if event_type:
        return "other_user_interaction"
    return {"documentFetch": "document_fetch", "resourceFetch": "resource_fetch"}.get(name, "other_span")


def _read_span_event(at: int, event: SpanEvent, span: Span, work: _Work) -> None:
    """An exception that ended its span was not handled; others were recorded by a `catch`."""
    if event.name != "exception":
        return
    if span.status != FAILED or span.kind == CLIENT:
        work.reading.ignored["handled_exception"] += 1
        return
    attributes = {**span.attributes, **event.attributes}
    _add_error("javascript", event.time_ns or span.end_ns, attributes, span, work, f":{at}")


def _add_gesture(event_type: str, span: Span, work: _Work) -> None:
    attributes = span.attributes
    event = _begin(event_type, span.start_ns, attributes, span.resource)
    page = find_text(attributes, *PAGE_KEYS, "url.full", "http.url")
    if route := cut_to_path(page):
        event["route"] = route
    end_ns = max(span.start_ns, span.end_ns)
    _add_folded(Gesture(event_type, "", span.start_ns, end_ns, span.span_id, read_target(attributes), event), work)
    if span.name.startswith(NAVIGATION):
        # The instrumentation renames the span of a click whose handler pushed a page.
        shown_ns = min(end_ns, span.start_ns + 50_000_000)
        moved = _begin("navigation", shown_ns, attributes, span.resource)
        if to := cut_to_path(span.name.removeprefix(NAVIGATION).strip()):
            metadata: WireEvent = {"navigationType": "push"}
            if route:
                metadata["from"] = route
            moved.update(route=to, metadata=metadata, idempotencyKey=_identify_page(to, span.start_ns, _identify(span)))
            _add(moved, shown_ns, work)


def _add_folded(gesture: Gesture, work: _Work) -> None:
    """Add a gesture, which others of its request may be part of. One without a time or session is rejected alone: strangers
    would be taken for one."""
    event = gesture.event
    key = f"{gesture.event_type}:{gesture.start_ns // 1_000_000 // BUCKET_MS}"
    whole: WireEvent = {**event, "idempotencyKey": key}
    if target := gesture.target.to_wire():
        whole["target"] = target
    if gesture.span_id:
        whole["eventId"] = gesture.span_id
    if _is_sound(whole, gesture.start_ns, work):
        work.gestures.append(replace(gesture, session_id=str(event["sessionId"])))


def _add_document(span: Span, work: _Work) -> None:
    """A page that was loaded. It is shown when its document can be used, long before all of its files came."""
    reached = {event.name: event.time_ns for event in span.events if event.time_ns}
    shown_ns = min(max(reached.get("domInteractive", span.end_ns), span.start_ns), max(span.end_ns, span.start_ns))
    event = _begin("navigation", shown_ns, span.attributes, span.resource)
    if route := cut_to_path(find_text(span.attributes, *PAGE_KEYS, "url.full", "http.url")):
        event["route"] = route
    status = work.document_status.get((span.trace_id, span.span_id))
    kind = _NAVIGATION_TYPES.get(find_text(span.attributes, "browser.navigation.type"))
    metadata: WireEvent = {} if status is None else {"status": status}
    if kind:
        metadata["navigationType"] = kind
    if metadata:
        event["metadata"] = metadata
    loaded_ns = reached.get("domContentLoadedEventStart", shown_ns)
    event["idempotencyKey"] = _identify_page(route, loaded_ns, _identify(span))
    _add(event, shown_ns, work)


def _add_route_change(span: Span, work: _Work) -> None:
    event = _begin("navigation", span.start_ns, span.attributes, span.resource)
    metadata: WireEvent = {"navigationType": "push"}
    if before := cut_to_path(find_text(span.attributes, "prev.href")):
        metadata["from"] = before
    event.update(metadata=metadata, idempotencyKey=f"nav:{_identify(span)}")
    _add(event, span.start_ns, work)


def _add_long_task(span: Span, work: _Work) -> None:
    end_ns = max(span.start_ns, span.end_ns)
    event = _begin("performance", end_ns, span.attributes, span.resource)
    took_ms = (end_ns - span.start_ns) // 1_000_000
    event.update(metadata={"kind": "long_task", "durationMs": took_ms}, idempotencyKey=f"task:{_identify(span)}")
    _add(event, end_ns, work)


def _add_error(
    error_type: str, time_ns: int, attributes: Attributes, span: Span, work: _Work, suffix: str = ""
) -> None:
    event = _begin("error", time_ns, attributes, span.resource)
    event.update(metadata=_describe_error(error_type, attributes), idempotencyKey=f"error:{_identify(span)}{suffix}")
    _add(event, time_ns, work)


def _describe_error(error_type: str, attributes: Attributes) -> WireEvent:
    metadata: WireEvent = {"errorType": error_type}
    kind = find_text(attributes, "exception.type")
    message = find_text(attributes, "exception.message", "error.message")
    text = f"{kind}: {message}" if kind and message and not message.startswith(kind) else message or kind
    if text:
        metadata["message"] = text[:MAX_MESSAGE]
    if frame := find_frame(find_text(attributes, "exception.stacktrace", "error.stack")):
        metadata["frame"] = frame
    return metadata


def find_frame(stack: str) -> str:
    """`file:line:column` of the first frame of ``stack`` that has an address; without query string."""
    found = _FRAME.search(stack[:8_192])
    return f"{found.group(1)}{found.group(2)}" if found else ""


def _find_method(attributes: Attributes) -> str:
    return find_text(attributes, "http.request.method", "http.method")


def _add_request(span: Span, event_ids: dict[str, str], work: _Work) -> None:
    address = find_text(span.attributes, "url.full", "http.url")
    path = cut_to_path(address)
    if path.endswith(_OWN_PATHS):
        work.reading.ignored["own_export"] += 1
        return
    end_ns = max(span.start_ns, span.end_ns)
    event = _begin("network", end_ns, span.attributes, span.resource)
    metadata: WireEvent = {}
    if span.start_ns > 0:
        metadata["durationMs"] = (end_ns - span.start_ns) // 1_000_000
    method = _METHOD.fullmatch(_find_method(span.attributes))
    if method:
        metadata["method"] = method.group().upper()
    if path:
        metadata["url"] = path
    metadata.update(_find_outcome(span))
    page, host = work.hosts.get(str(event["sessionId"]), ""), find_host(address)
    if page and host and not are_of_one_site(page, host):
        metadata["thirdParty"] = True
    began = work.starts.get(span.parent_id)
    if span.parent_id in event_ids and began is not None and 0 <= span.start_ns - began <= _CAUSE_NS:
        event["cause"] = event_ids[span.parent_id]
    event.update(metadata=metadata, idempotencyKey=f"request:{_identify(span)}")
    _add(event, end_ns, work)


def _find_outcome(span: Span) -> WireEvent:
    """`status` and `aborted`. fetch reports status 0 where no answer came; XMLHttpRequest leaves it out, and names `error`,
    `timeout` or `abort`: in `error.type`, formerly as an event of the span."""
    status = find_number(span.attributes, "http.response.status_code", "http.status_code")
    kind = find_text(span.attributes, "error.type").lower()
    ended_by = {event.name for event in span.events} & {"abort", "error", "timeout"}
    if "abort" in ended_by or kind in ("abort", "aborterror"):
        return {"status": 0, "aborted": True}
    if status is not None and 0 <= status <= 599:
        return {"status": status}
    if ended_by or span.status == FAILED or (kind and not kind.isdigit()):
        return {"status": 0}
    return {"status": int(kind)} if kind.isdigit() and len(kind) == 3 and 100 <= int(kind) <= 599 else {}


def _identify(span: Span) -> str:
    if span.span_id:
        return f"{span.trace_id[:64]}:{span.span_id[:64]}"
    return make_key(span.name, span.start_ns, span.end_ns, sorted(map(str, span.attributes.items())))


def _identify_page(route: str, time_ns: int, own: str) -> str:
    """The idempotency key of a page that was shown: the same for all that report it. ``own``: of an item without a route.

    A page load is a span ``documentLoad`` and, with another instrumentation, a log record ``browser.navigation``; a pushed page
    is a log record and the renamed span of its click. They arrive in different requests: only their key can join them.
    """
    return f"nav:{make_key(route, time_ns // PAGE_NS) if route else own}"


def _read_log(log: LogRecord, work: _Work) -> None:
    if log.name == "browser.user_action.click":
        _add_clicked(log, work)
    elif log.name == "browser.navigation":
        _add_navigated(log, work)
    elif log.name in UNCAUGHT:
        event = _begin("error", log.time_ns, log.attributes, log.resource)
        metadata = _describe_error(UNCAUGHT[log.name], log.attributes)
        event.update(metadata=metadata, idempotencyKey=f"error:{_identify_log(log)}")
        _add(event, log.time_ns, work)
    else:
        work.reading.ignored["other_log"] += 1


def _add_clicked(log: LogRecord, work: _Work) -> None:
    event = _begin("click", log.time_ns, log.attributes, log.resource)
    x, y = (find_number(log.attributes, f"browser.page.{axis}") for axis in "xy")
    if x is not None and y is not None and max(abs(x), abs(y)) < 10**7:
        event["metadata"] = {"x": x, "y": y}
    _add_folded(Gesture("click", "", log.time_ns, log.time_ns, "", read_target(log.attributes), event), work)


def _add_navigated(log: LogRecord, work: _Work) -> None:
    event = _begin("navigation", log.time_ns, log.attributes, log.resource)
    if route := cut_to_path(find_text(log.attributes, "url.full", *PAGE_KEYS)):
        event["route"] = route
    kind = _NAVIGATION_TYPES.get(find_text(log.attributes, "browser.navigation.type", "type"))
    if kind:
        event["metadata"] = {"navigationType": kind}
    event["idempotencyKey"] = _identify_page(route, log.time_ns, _identify_log(log))
    _add(event, log.time_ns, work)


def _identify_log(log: LogRecord) -> str:
    return make_key(log.name, log.time_ns, sorted(map(str, log.attributes.items())))
