"""Values that several of Sentry's items share: times in seconds, the page, the user, the session."""

import re
from dataclasses import replace
from typing import Final

import msgspec

from collector.streams.controls import Control, Element, find_control
from collector.streams.lenient import read_number, read_session, read_text, read_time
from collector.streams.rrweb.wire import read_shape
from collector.streams.sentry import shapes

_ATTRIBUTE: Final = re.compile(r"""\[(?!type=|data-testid=)[\w-]+=(?:"[^"]*"|'[^']*'|[^\]]*)(?:\]|$)""")
"""An attribute in a selector: its value may be text of the page."""
_LONGEST_SELECTOR: Final = 256


def read_seconds(value: object) -> float | None:
    """Epoch milliseconds of a number of epoch seconds; else None."""
    number = read_number(value)
    return number * 1_000 if number is not None and read_time(int(number * 1_000)) is not None else None


def read_page(request: msgspec.Raw) -> str:
    """The address of the page that an item names; '' without one. Only for routes and origins: it has its query."""
    held = read_shape(shapes.REQUEST, request)
    return held.url if held is not None and isinstance(held.url, str) else ""


def read_user(user: msgspec.Raw) -> str:
    """The user's id; '' without one."""
    held = read_shape(shapes.USER, user)
    if held is None or isinstance(held.id, bool):
        return ""
    return read_text(str(held.id) if isinstance(held.id, int) else held.id, 128)


def find_replay(tags: msgspec.Raw, contexts: msgspec.Raw) -> str:
    """The replay that an error or transaction names; '' without one."""
    held = read_shape(shapes.TAGS, tags)
    named = read_session(held.replay_id) if held is not None else ""
    around = read_shape(shapes.CONTEXTS, contexts)
    inner = read_shape(shapes.REPLAY_CONTEXT, around.replay) if around is not None else None
    return named or (read_session(inner.replay_id) if inner is not None else "")


def find_trace(contexts: msgspec.Raw) -> str:
    """The trace that an error or transaction names; '' without one."""
    around = read_shape(shapes.CONTEXTS, contexts)
    inner = read_shape(shapes.TRACE_CONTEXT, around.trace) if around is not None else None
    return read_session(inner.trace_id) if inner is not None else ""


def read_target(node: shapes.Node, message: object) -> Control | None:
    """The clicked control; None for a node without a tag.

    ``message``: Sentry's selector of the node. Masked texts are no names.
    """
    attributes = read_shape(shapes.ATTRIBUTES, node.attributes) or shapes.Attributes()
    known = {
        "id": attributes.id,
        "data-testid": attributes.test_id,
        "role": attributes.role,
        "name": attributes.name,
        "type": attributes.type,
        "disabled": attributes.disabled,
        "aria-disabled": attributes.aria_disabled,
        "aria-label": _drop_masked(attributes.aria_label),
    }
    element = Element(read_text(node.tag, 64).lower(), known, _drop_masked(node.text))
    control = find_control([element])
    if control is None or not element.tag:
        return None
    target = dict(control.target)
    selector = _clean_selector(message)
    if selector and "id" not in target:
        target["selector"] = selector
    return replace(control, target=target)


def _drop_masked(value: object) -> str:
    text = read_text(value)
    return text if "**" not in text and any(c.isalnum() for c in text) else ""


def _clean_selector(message: object) -> str:
    """The last step of Sentry's selector in full, those before it without classes, no attribute that may hold a text."""
    steps = _ATTRIBUTE.sub("", read_text(message, 1_024)).split(" > ")
    around = [step.partition(".")[0] for step in steps[-3:-1]]
    return " > ".join([*around, steps[-1]])[:_LONGEST_SELECTOR]
