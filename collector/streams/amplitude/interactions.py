"""What Amplitude's autocapture tracked → type, target and metadata of events. Others are counted by kind."""

from collections.abc import Callable, Mapping
from typing import Final

from collector.streams.amplitude.shapes import TrackedProperties
from collector.streams.controls import Control, Element, find_control, find_form
from collector.streams.event_parts import Unneeded, make_action, make_error, make_frame, make_page_view
from collector.streams.lenient import is_own_intake, read_number, read_route, read_status, read_text, read_time
from collector.streams.stream import WireEvent

_MAX_ELEMENTS: Final = 50
_UNCAUGHT: Final[Mapping[str, bool]] = {"error": False, "unhandledrejection": True}


def read_interaction(name: str, properties: TrackedProperties) -> WireEvent:
    """Type, target and metadata of the event ``name``, and a ``timestamp`` if it is not the event's own. Raises Unneeded."""
    reader = _READERS.get(name)
    if reader is None:
        raise Unneeded("other Amplitude event" if name.startswith(("[Amplitude]", "$")) else "event of the application")
    return reader(properties)


def _find_control(properties: TrackedProperties) -> Control | None:
    return find_control(_read_elements(properties))


def _read_elements(properties: TrackedProperties) -> list[Element]:
    """The hierarchy, innermost first. The first element is the one that Amplitude tracks: its text stands beside the list."""
    listed = properties.element_hierarchy
    items = listed[:_MAX_ELEMENTS] if isinstance(listed, list) else []
    found = [_read_element(item) for item in items if isinstance(item, dict)]
    if not found and (tag := read_text(properties.element_tag, 40).lower()):
        found = [Element(tag)]
    if not found:
        return []
    first = dict(found[0].attributes)
    for name, value in (("id", properties.element_id), ("aria-label", properties.element_aria_label)):
        if value is not None:
            first.setdefault(name, value)
    found[0] = Element(found[0].tag, first, read_text(properties.element_text, 400), found[0].position)
    return [element for element in found if element.tag]


def _read_element(item: dict[object, object]) -> Element:
    sent = item.get("attrs")
    attributes = (
        {name: value for name, value in sent.items() if isinstance(name, str)} if isinstance(sent, dict) else {}
    )
    if "id" in item:
        attributes.setdefault("id", item["id"])
    place = read_number(item.get("indexOfType"))
    tag = read_text(item.get("tag"), 40).lower()
    return Element(tag, attributes, "", int(place) + 1 if place is not None and place < 100_000 else 0)


def _read_click(properties: TrackedProperties) -> WireEvent:
    control = _find_control(properties)
    return make_action("click", control, {"disabled": True} if control is not None and control.disabled else {})


def _read_change(properties: TrackedProperties) -> WireEvent:
    control = _find_control(properties)
    kind = control.field_type if control is not None else ""
    return make_action("input", control, {"action": "change", **({"fieldType": kind} if kind else {})})


def _read_dead_click(properties: TrackedProperties) -> WireEvent:
    """Amplitude calls a click dead if the page does not change in 3 s. A click into a field need not change anything.

    The report has the control and the time of its click: the engine finds the click (docs/contracts/events.md, Shapes).
    """
    control = _find_control(properties)
    if control is None or control.is_field:
        raise Unneeded("dead click into a field")
    if not control.is_control:
        raise Unneeded("dead click beside controls")
    return make_action("verdict", control, {"verdict": "dead"})


def _read_submit(properties: TrackedProperties) -> WireEvent:
    names = {"id": properties.form_id, "name": properties.form_name}
    return make_action("form_submit", find_form([Element("form", names)]), {})


def _read_page(properties: TrackedProperties) -> WireEvent:
    return make_page_view(properties.page_title, properties.previous_page_location)


def _read_request(properties: TrackedProperties) -> WireEvent:
    """A request. Without a status it was aborted or never answered, and Amplitude does not say which."""
    status, url = read_status(properties.status_code), read_route(properties.url)
    if not status or not url:
        raise Unneeded("request without a status")
    if is_own_intake(url):
        raise Unneeded("request to Furrow")
    metadata: WireEvent = {"status": status, "url": url}
    if method := read_text(properties.request_method, 16).upper():
        metadata["method"] = method
    if (duration := read_number(properties.duration)) is not None:
        metadata["durationMs"] = round(duration)
    ended = read_time(properties.completion_time)
    return {"eventType": "network", "metadata": metadata} | ({"timestamp": ended} if ended is not None else {})


def _read_error_click(properties: TrackedProperties) -> WireEvent:
    """An uncaught error within 2 s after a press; the press itself is there as a click."""
    promise = _UNCAUGHT.get(read_text(properties.kind, 40).lower())
    message = read_text(properties.message, 1_024)
    if promise is None or not message:
        raise Unneeded("handled error")
    line, column = read_number(properties.line_number), read_number(properties.column_number)
    return make_error("", message, make_frame(properties.filename, line, column), promise=promise)


def _skip_rage_click(properties: TrackedProperties) -> WireEvent:
    """Its clicks are there, each as an event of its own."""
    del properties
    raise Unneeded("rage click")


_READERS: Final[Mapping[str, Callable[[TrackedProperties], WireEvent]]] = {
    "[Amplitude] Element Clicked": _read_click,
    "[Amplitude] Element Changed": _read_change,
    "[Amplitude] Dead Click": _read_dead_click,
    "[Amplitude] Rage Click": _skip_rage_click,
    "[Amplitude] Error Click": _read_error_click,
    "[Amplitude] Form Submitted": _read_submit,
    "[Amplitude] Page Viewed": _read_page,
    "[Amplitude] Network Request": _read_request,
}
