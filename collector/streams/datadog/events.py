"""One event of Datadog's → events of the contract."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from collector.streams.datadog.controls import Control, find_control
from collector.streams.datadog.wire import Action, Inner, Number, RumEvent, View
from collector.streams.stream import WireEvent

MAX_TIME_MS: Final = 253_402_300_799_999
"""9999-12-31, the contract's last time."""
MAX_ID: Final = 128
MAX_USER: Final = 512
MAX_ROUTE: Final = 512
MAX_STATES: Final = 100
"""Page states of a view that are read: its first ones."""
MAX_RUNNING: Final = 100
"""Ids of running clicks that one request or error names: its newest ones."""
MAX_RUNNING_TEXT: Final = 4_096
RAGE_CLICKS: Final = 3
"""The fewest clicks that Datadog joins (``MIN_CLICKS_PER_SECOND_TO_CONSIDER_RAGE``)."""
RAGE_END_MS: Final = 1_000
"""After the last click the joined one waits for another (``MAX_DURATION_BETWEEN_CLICKS``)."""
_NANOSECONDS: Final = 1_000_000
_MASKED: Final = frozenset({"Masked Element", "***"})
_VERDICTS: Final = ("rage_click", "error_click", "dead_click")
"""The strongest first; an action may have several."""
_STATES: Final = {
    "active": "visible",
    "passive": "visible",
    "hidden": "hidden",
    "frozen": "hidden",
    "terminated": "hidden",
}
_LOADINGS: Final = {"route_change": "push", "bf_cache": "back_forward"}
_FRAME: Final = re.compile(r"@ ([^\s?#]{1,400})[^\s]{0,400}?:(\d{1,9}):(\d{1,9})\s*$")
_STATIC_TYPES: Final = frozenset(["beacon", "css", "js", "image", "font", "media", "other"])


class WrongField(ValueError):
    """A value breaks a rule. ``field``: Datadog's name of it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def make_events(event: RumEvent, digest: Callable[[], str]) -> tuple[list[WireEvent], str]:
    """The events that ``event`` stands for, and, where there are none, the name under which it is counted as ignored.

    ``digest``: of the item as sent; identifies an item without an id. Raises WrongField.
    """
    if event.source not in ("browser", "electron", ""):
        return [], "not from a browser"
    if event.session is not None and event.session.type in ("synthetics", "ci_test"):
        return [], "synthetic session"
    common = _read_common(event)
    if event.type == "view":
        return _read_view(event, common)
    made, own, ignored = _READERS[event.type](event)
    if made is None:
        return [], ignored
    key = f"datadog:{event.type}:{own}" if 0 < len(own) <= MAX_ID else f"datadog:item:{digest()}"
    return [{"timestamp": int(event.date), **common, **made, "idempotencyKey": key}], ""


def _read_common(event: RumEvent) -> WireEvent:
    """What every event has: session, page, user, release."""
    session = event.session.id if event.session is not None else ""
    if not session or len(session) > MAX_ID or not session.isprintable():
        raise WrongField("session.id", "must be 1 to 128 printable characters")
    found: WireEvent = {"sessionId": session}
    route = _find_route(event.view.url if event.view is not None else "")
    if len(route) > MAX_ROUTE:
        raise WrongField("view.url", f"has a path of more than {MAX_ROUTE} characters")
    if route:
        found["route"] = route
    user = event.usr.id if event.usr is not None else None
    if user not in (None, ""):
        if len(str(user)) > MAX_USER:
            raise WrongField("usr.id", f"is longer than {MAX_USER} characters")
        found["userId"] = str(user)
    if event.version:
        found["appVersion"] = event.version[:MAX_ROUTE]
    environment = read_tag(event.ddtags or "", "env:")
    if environment:
        found["environment"] = environment
    return found


def read_tag(tags: str, name: str) -> str:
    """The value of the tag that begins with ``name``, or ''."""
    return next((tag[len(name) :][:MAX_ID] for tag in tags[:4_096].split(",") if tag.startswith(name)), "")


def _find_route(url: str) -> str:
    """The path of an address, with the fragment of a hash router; '' where it has none. Raises WrongField."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise WrongField("view.url", "is no address") from error
    if not parts.path and not parts.netloc:
        return ""
    fragment = parts.fragment.split("?", 1)[0]
    return (parts.path or "/") + (f"#{fragment}" if fragment.startswith(("/", "!/")) else "")


def _find_host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _milliseconds(duration: Number) -> int | None:
    """Nanoseconds as milliseconds; None where unknown, negative or beyond all reason."""
    if duration is None or not 0 <= duration <= MAX_TIME_MS * _NANOSECONDS:
        return None
    return int(duration // _NANOSECONDS)


def _read_view(event: RumEvent, common: WireEvent) -> tuple[list[WireEvent], str]:
    """The navigation, with the same key for all updates of the view; and the changes of visibility."""
    view = event.view or View()
    if not view.id or len(view.id) > MAX_ID:
        raise WrongField("view.id", f"must be 1 to {MAX_ID} characters")
    changes = _read_states(event.inner or Inner(), view.id, int(event.date), common)
    if view.loading_type == "session_renewal":
        return changes, "" if changes else "session renewal"
    metadata: WireEvent = {}
    if view.loading_type in _LOADINGS:
        metadata["navigationType"] = _LOADINGS[view.loading_type]
    if view.referrer and _find_host(view.referrer) == _find_host(view.url) != "":
        came = _find_route(view.referrer)
        if len(came) <= MAX_ROUTE:
            metadata["from"] = came
    move: WireEvent = {"eventType": "navigation", "timestamp": int(event.date), **common, "metadata": metadata}
    return [{**move, "eventId": view.id, "idempotencyKey": f"datadog:view:{view.id}"}, *changes], ""


def _read_states(inner: Inner, view_id: str, date: int, common: WireEvent) -> list[WireEvent]:
    """The changes between a page that is shown and one that is not."""
    found: list[WireEvent] = []
    before = "visible"
    for page in (inner.page_states or [])[:MAX_STATES]:
        state, start = _STATES.get(page.state, ""), page.start
        if not state or start is None or not abs(start) <= MAX_TIME_MS * _NANOSECONDS or state == before:
            continue
        before = state
        at = date + int(start / _NANOSECONDS)
        if start > 0 and at <= MAX_TIME_MS:
            change: WireEvent = {"eventType": "visibility", "timestamp": at, **common, "metadata": {"state": state}}
            found.append({**change, "idempotencyKey": f"datadog:view:{view_id}:{state}:{int(start)}"})
    return found


_Made = tuple[WireEvent | None, str, str]
"""An event without what all have; the vendor's id; and why there is none."""


def _read_action(event: RumEvent) -> _Made:
    action = event.action or Action()
    if action.type != "click":
        return None, "", "action that is no click"
    own = action.id if isinstance(action.id, str) else ""
    inner = event.inner.action if event.inner is not None else None
    metadata: WireEvent = {}
    verdicts = action.frustration.type if action.frustration is not None else []
    verdict = next((name for name in _VERDICTS if name in verdicts), "")
    if verdict:
        metadata["verdict"] = verdict
    if verdict == "rage_click":
        metadata |= _describe_rage(action.loading_time)
    target: WireEvent = {}
    where = inner.target if inner is not None else None
    control = find_control(where.composed_path_selector, where.selector) if where is not None else None
    if control is not None:
        label = action.target.name if action.target is not None else ""
        named = is_taken_label(control, label, inner.name_source if inner is not None else "")
        texts = (control.kind, control.name, control.selector, control.tag, label if named else "")
        target = {
            k: v[:MAX_ROUTE] for k, v in zip(("type", "id", "selector", "tagName", "label"), texts, strict=True) if v
        }
        if control.disabled:
            metadata["disabled"] = True
    if inner is not None and inner.position is not None:
        spot = (inner.position.x, inner.position.y)
        if all(n is not None and abs(n) < 1e6 for n in spot) and spot != (0, 0):
            metadata |= {"x": int(spot[0] or 0), "y": int(spot[1] or 0)}
    made: WireEvent = {"eventType": "click", "target": target, "metadata": metadata}
    return ({**made, "eventId": own} if 0 < len(own) <= MAX_ID else made), own, ""


def is_taken_label(control: Control, label: str, source: str) -> bool:
    """Whether the text of an element names a control. ``source``: where the text comes from; in a field it may be typed."""
    return control.is_control and label not in _MASKED and not (control.field and source in ("", "text_content"))


def _describe_rage(loading_time: Number) -> WireEvent:
    """Rage stands for at least three clicks. It ends 1 s after the last one, or when what the clicks started has ended.

    So a duration that is too long for three clicks, each within 1 s of the one before, says nothing of their time.
    """
    span = (_milliseconds(loading_time) or 0) - RAGE_END_MS
    return (
        {"count": RAGE_CLICKS, "spanMs": span}
        if 0 < span <= (RAGE_CLICKS - 1) * RAGE_END_MS
        else {"count": RAGE_CLICKS}
    )


def _list_running(action: Action | None) -> WireEvent:
    """The clicks in whose time a request or error began, newest first."""
    sent = [] if action is None else [action.id] if isinstance(action.id, str) else action.id
    kept = [name for name in sent[:MAX_RUNNING] if 0 < len(name) <= MAX_ID and name.isprintable() and " " not in name]
    while kept and len(" ".join(kept)) > MAX_RUNNING_TEXT:
        kept.pop()
    return {"during": " ".join(kept)} if kept else {}


def _read_resource(event: RumEvent) -> _Made:
    resource = event.resource
    if resource is None:
        raise WrongField("resource", "is missing")
    if resource.type == "document":
        return _read_document(event)
    if resource.type not in ("xhr", "fetch"):
        return None, "", "static resource" if resource.type in _STATIC_TYPES else "unknown resource"
    metadata: WireEvent = _list_running(event.action)
    status = resource.status_code
    if status is not None and 0 <= status <= 999:
        metadata["status"] = int(status)
    if resource.method and resource.method.isalpha() and len(resource.method) <= 16:
        metadata["method"] = resource.method
    try:
        path = urlsplit(resource.url).path
    except ValueError:
        path = ""
    metadata["url"] = path[:2_048]
    hosts = (_find_host(resource.url), _find_host(event.view.url if event.view is not None else ""))
    if all(hosts) and not _is_same_site(*hosts):
        metadata["thirdParty"] = True
    lasted = _milliseconds(resource.duration)
    if lasted is not None:
        metadata["durationMs"] = lasted
    end = int(event.date) + (lasted or 0)
    if end > MAX_TIME_MS:
        raise WrongField("resource.duration", "ends after the year 9999")
    return {"eventType": "network", "timestamp": end, "metadata": metadata}, resource.id, ""


def _is_same_site(host: str, page: str) -> bool:
    """Whether two hosts share their last two labels; addresses must be equal."""
    if host == page:
        return True
    if host.replace(".", "").isdigit() or ":" in host:
        return False
    return host.split(".")[-2:] == page.split(".")[-2:]


def _read_document(event: RumEvent) -> _Made:
    """A page that failed: its navigation once more, with its status. The engine keeps one of both (same ``eventId``)."""
    resource, view = event.resource, event.view
    status = resource.status_code if resource is not None else None
    if resource is None or view is None or status is None or not 400 <= status <= 599:
        return None, "", "page that came"
    made: WireEvent = {"eventType": "navigation", "metadata": {"status": int(status)}}
    return ({**made, "eventId": view.id} if 0 < len(view.id) <= MAX_ID else made), resource.id, ""


def _read_error(event: RumEvent) -> _Made:
    error = event.error
    if error is None:
        raise WrongField("error", "is missing")
    if not is_taken_error(error.source, error.handling):
        return None, "", "handled or reported error"
    metadata: WireEvent = {**_list_running(event.action), "errorType": "javascript", "message": error.message[:2_048]}
    frame = _find_frame(error.stack or "")
    if frame is not None:
        metadata |= {"frame": f"{frame[1]}:{frame[2]}:{frame[3]}", "source": frame[1]}
    return {"eventType": "error", "metadata": metadata}, error.id, ""


def is_taken_error(source: object, handling: object) -> bool:
    """Whether nobody handled an error: neither the console nor the application reported it."""
    return source == "source" and handling in ("unhandled", "")


def _find_frame(stack: str) -> re.Match[str] | None:
    return next((found for line in stack[:16_384].split("\n") if (found := _FRAME.search(line))), None)


def find_frame_text(stack: str) -> str:
    """The line of a stack that names the place that threw, without query; '' without one."""
    frame = _find_frame(stack)
    return f"@ {frame[1]}:{frame[2]}:{frame[3]}" if frame is not None else ""


def _read_long_task(event: RumEvent) -> _Made:
    task = event.long_task
    lasted = _milliseconds(task.duration) if task is not None else None
    if task is None or lasted is None:
        raise WrongField("long_task.duration", "is no duration in nanoseconds")
    return {"eventType": "performance", "metadata": {"kind": "long_task", "durationMs": lasted}}, task.id, ""


_READERS: Final[dict[str, Callable[[RumEvent], _Made]]] = {
    "action": _read_action,
    "resource": _read_resource,
    "error": _read_error,
    "long_task": _read_long_task,
}
