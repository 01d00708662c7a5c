"""What PostHog captured of a person's actions and of the page → events of the contract. Others are counted by kind."""

from collections.abc import Callable, Mapping
from typing import Final

from collector.streams.controls import find_control, find_form
from collector.streams.event_parts import Unneeded, make_action, make_page_view
from collector.streams.posthog.elements import read_elements
from collector.streams.posthog.failures import read_exception
from collector.streams.posthog.shapes import CapturedProperties
from collector.streams.stream import WireEvent

_HISTORY: Final[Mapping[object, str]] = {"pushState": "push", "replaceState": "replace", "popstate": "back_forward"}


def read_interaction(name: str, properties: CapturedProperties) -> WireEvent:
    """Type, target and metadata of the event ``name``. Raises Unneeded."""
    reader = _READERS.get(name)
    if reader is None:
        raise Unneeded("other PostHog event" if name.startswith("$") else "event of the application")
    return reader(properties)


def _read_autocapture(properties: CapturedProperties) -> WireEvent:
    elements = read_elements(properties.chain, properties.elements)
    if properties.event_type == "submit":
        return make_action("form_submit", find_form(elements) or find_control(elements), {})
    control = find_control(elements)
    if properties.event_type == "click":
        return make_action("click", control, {"disabled": True} if control is not None and control.disabled else {})
    if properties.event_type == "change":
        kind = control.field_type if control is not None else ""
        return make_action("input", control, {"action": "change", **({"fieldType": kind} if kind else {})})
    raise Unneeded("autocapture of another kind")


def _read_dead_click(properties: CapturedProperties) -> WireEvent:
    """PostHog calls a click dead whose page shows nothing new in 2.5 s, or which selects or focuses something only.

    A click into a field, or on nothing that is made to be pressed, cannot be dead: nothing was due. The report has the control
    and the time of its click, and comes in a later body: the engine finds the click (docs/contracts/events.md, Shapes).
    """
    control = find_control(read_elements(properties.chain, properties.elements))
    if control is None or control.is_field:
        raise Unneeded("dead click into a field")
    if not control.is_control:
        raise Unneeded("dead click beside controls")
    return make_action("verdict", control, {"verdict": "dead"})


def _read_page_view(properties: CapturedProperties) -> WireEvent:
    kind = _HISTORY.get(properties.navigation_type, "") if isinstance(properties.navigation_type, str) else ""
    return make_page_view(properties.title, properties.previous_path, kind)


def _read_page_leave(properties: CapturedProperties) -> WireEvent:
    del properties
    return {"eventType": "visibility", "metadata": {"state": "hidden"}}


def _read_exception(properties: CapturedProperties) -> WireEvent:
    event = read_exception(properties)
    if event is None:
        raise Unneeded("handled exception")
    return event


def _skip_rage_click(properties: CapturedProperties) -> WireEvent:
    """Its clicks are there, each as an event of its own."""
    del properties
    raise Unneeded("rage click")


_READERS: Final[Mapping[str, Callable[[CapturedProperties], WireEvent]]] = {
    "$autocapture": _read_autocapture,
    "$dead_click": _read_dead_click,
    "$pageview": _read_page_view,
    "$pageleave": _read_page_leave,
    "$exception": _read_exception,
    "$rageclick": _skip_rage_click,
}
