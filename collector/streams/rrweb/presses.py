"""Presses of the pointer: clicks, and presses that no click followed (a disabled control; rrweb hears pointer events).

A press without a click is a mouse down and up on one node, at one place, with no click within 500 ms and nothing to say that it
was a right click. It counts only where the recording goes on for 500 ms, so that a click of the next part is not missed.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.streams.lenient import read_time
from collector.streams.rrweb import wire

_CLICK_FOLLOWS_MS: Final = 500
_LONGEST_PRESS_MS: Final = 1_000
"""A longer press is a hold: a text is selected, or a thing dragged."""
_SAME_PLACE_PX: Final = 10.0
_FARTHEST_PX: Final = 100_000
_INPUT_METHODS: Final = {0: "mouse", 1: "mouse", 2: "touch"}


@dataclass(frozen=True, slots=True)
class Press:
    """``at_ms``: epoch milliseconds. ``swallowed``: pressed, and no click came of it. ``place``: in the list."""

    at_ms: int
    node: int
    metadata: dict[str, object]
    swallowed: bool
    place: int


@dataclass(frozen=True, slots=True)
class _Contact:
    at_ms: int
    mouse: wire.Mouse
    place: int


def find_presses(events: Sequence[wire.Head], ends_ms: int = 0) -> list[Press]:
    """All presses in ``events``, by time. ``ends_ms``: until when the part was recorded, if later than its last event."""
    contacts = sorted(_read_contacts(events), key=lambda c: (c.at_ms, c.place))
    last_ms = max([ends_ms, *(t for e in events if e.type != wire.CUSTOM and (t := read_ms(e.timestamp)))], default=0)
    presses = [_make_press(c, swallowed=False) for c in contacts if c.mouse.type == wire.CLICK]
    for i, contact in enumerate(contacts):
        if contact.mouse.type == wire.MOUSE_UP and _is_swallowed(contacts, i, last_ms):
            presses.append(_make_press(contact, swallowed=True))
    return sorted(presses, key=lambda press: (press.at_ms, press.place))


def read_ms(timestamp: float) -> int:
    """``timestamp`` as whole epoch milliseconds; 0 if it is no time."""
    return (read_time(int(timestamp)) or 0) if math.isfinite(timestamp) and timestamp > 0 else 0


def _read_contacts(events: Sequence[wire.Head]) -> Iterable[_Contact]:
    for place, head in enumerate(events):
        if wire.read_source(head) != wire.MOUSE_INTERACTION or not (at_ms := read_ms(head.timestamp)):
            continue
        mouse = wire.read_shape(wire.MOUSE, head.data)
        if mouse is not None and mouse.type in (wire.MOUSE_UP, wire.MOUSE_DOWN, wire.CLICK, wire.CONTEXT_MENU):
            yield _Contact(at_ms, mouse, place)


def _is_swallowed(contacts: Sequence[_Contact], up: int, last_ms: int) -> bool:
    """Whether the release ``contacts[up]`` ends a press that no click followed."""
    released, pressed = contacts[up], contacts[up - 1] if up else None
    if pressed is None or pressed.mouse.type != wire.MOUSE_DOWN or pressed.mouse.id != released.mouse.id:
        return False
    if released.at_ms - pressed.at_ms > _LONGEST_PRESS_MS or _measure(pressed.mouse, released.mouse) > _SAME_PLACE_PX:
        return False
    following = contacts[up + 1] if up + 1 < len(contacts) else None
    if following is not None and following.mouse.type == wire.MOUSE_DOWN:
        return True
    ends_ms = following.at_ms if following is not None else last_ms
    return ends_ms > released.at_ms + _CLICK_FOLLOWS_MS


def _measure(a: wire.Mouse, b: wire.Mouse) -> float:
    if a.x is None or a.y is None or b.x is None or b.y is None:
        return 0.0
    return math.hypot(a.x - b.x, a.y - b.y)


def _make_press(contact: _Contact, swallowed: bool) -> Press:
    mouse = contact.mouse
    metadata: dict[str, object] = {}
    for name, value in (("x", mouse.x), ("y", mouse.y)):
        if value is not None and math.isfinite(value) and abs(value) <= _FARTHEST_PX:
            metadata[name] = round(value)
    if mouse.pointer_type in _INPUT_METHODS:
        metadata["inputMethod"] = _INPUT_METHODS[mouse.pointer_type]
    if swallowed:
        metadata["disabled"] = True
    return Press(contact.at_ms, mouse.id, metadata, swallowed, contact.place)
