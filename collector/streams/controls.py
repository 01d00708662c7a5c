"""The control that was acted on, from the elements that a foreign SDK lists: the one that was hit, then those around it.

Privacy: of a control its accessible name passes, of a field never its value, of other elements no text at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from collector.streams.lenient import read_text

_CONTROL_TAGS: Final = frozenset({"a", "button", "input", "select", "textarea", "summary", "option"})
_CONTROL_ROLES: Final = frozenset(
    {
        *(
            "button",
            "link",
            "tab",
            "menuitem",
            "menuitemcheckbox",
            "menuitemradio",
            "checkbox",
            "radio",
            "switch",
            "option",
        ),
        *("combobox", "textbox", "searchbox", "slider", "spinbutton", "treeitem"),
    }
)
_FIELD_ROLES: Final = frozenset({"combobox", "textbox", "searchbox", "slider", "spinbutton"})
_FIELD_TAGS: Final = frozenset({"input", "select", "textarea"})
_PRESSED_TYPES: Final = frozenset({"submit", "button", "reset", "image"})
FIELD_TYPES: Final = frozenset(
    {
        *(
            "text",
            "email",
            "password",
            "search",
            "tel",
            "url",
            "number",
            "date",
            "time",
            "datetime-local",
            "month",
            "week",
        ),
        *("color", "range", "file", "checkbox", "radio", "submit", "button", "reset", "image", "hidden"),
    }
)
_ID_ATTRIBUTES: Final = ("id", "data-testid", "data-test-id", "data-test", "data-cy", "data-attr", "name")
_LABEL_LENGTH: Final = 80
_SELECTOR_STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Element:
    """One element: ``text`` is its own visible text, ``position`` its place (from 1) among its siblings of the same tag."""

    tag: str
    attributes: Mapping[str, object] = field(default_factory=dict)
    text: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Control:
    """What was acted on; ``target`` in the form of the contract. ``is_control``: it is made to be pressed or filled in."""

    target: dict[str, object]
    is_control: bool
    is_field: bool
    disabled: bool
    field_type: str


def find_control(elements: Sequence[Element]) -> Control | None:
    """The nearest control among ``elements`` (innermost first); without one, the innermost element; None for no elements."""
    if not elements:
        return None
    place = next((i for i, element in enumerate(elements) if _is_control(element)), -1)
    return _describe(elements, max(place, 0), place >= 0)


def find_form(elements: Sequence[Element]) -> Control | None:
    """The form among ``elements``; None without one."""
    place = next((i for i, element in enumerate(elements) if element.tag == "form"), -1)
    return _describe(elements, place, False) if place >= 0 else None


def _is_control(element: Element) -> bool:
    return element.tag in _CONTROL_TAGS or _read_role(element) in _CONTROL_ROLES


def _read_role(element: Element) -> str:
    return read_text(element.attributes.get("role"), 32).lower()


def _describe(elements: Sequence[Element], place: int, is_control: bool) -> Control:
    element = elements[place]
    role, input_type = _read_role(element), read_text(element.attributes.get("type"), 32).lower()
    field_type = input_type if element.tag == "input" and input_type in FIELD_TYPES else ""
    pressed = element.tag == "input" and field_type in _PRESSED_TYPES
    is_field = (element.tag in _FIELD_TAGS and not pressed) or role in _FIELD_ROLES
    kind = role if role in _CONTROL_ROLES else "button" if pressed else field_type
    kind = kind or {"a": "link"}.get(element.tag, element.tag)
    target: dict[str, object] = {"type": kind, "tagName": element.tag}
    label = _find_label(elements[: place + 1], pressed, is_field) if is_control else ""
    own_id = next((text for name in _ID_ATTRIBUTES if (text := read_text(element.attributes.get(name), 256))), "")
    if own_id:
        target["id"] = own_id
    if label:
        target["label"] = label
    if not own_id and not label:
        target["selector"] = _make_selector(elements[place:])
    disabled = any(_is_disabled(e) for e in elements[: place + 1])
    return Control(target, is_control, is_field, disabled, field_type or (element.tag if is_field else ""))


def _find_label(inside: Sequence[Element], pressed: bool, is_field: bool) -> str:
    """The accessible name of the last of ``inside``, which holds the others; never what a field contains."""
    control = inside[-1]
    if named := read_text(control.attributes.get("aria-label"), _LABEL_LENGTH):
        return named
    if pressed:
        return read_text(control.attributes.get("value"), _LABEL_LENGTH)
    if is_field:
        return ""
    texts = (" ".join(read_text(e.text, _LABEL_LENGTH).split()) for e in reversed(inside))
    return next((text for text in texts if text), read_text(control.attributes.get("title"), _LABEL_LENGTH))


def _is_disabled(element: Element) -> bool:
    value = element.attributes.get("disabled")
    marked = read_text(element.attributes.get("aria-disabled"), 8).lower() == "true"
    return marked or (value is not None and value is not False and value != "false")


def _make_selector(around: Sequence[Element]) -> str:
    """A selector of the first of ``around`` from its nearest ancestor with an id, in at most four steps."""
    steps: list[str] = []
    for element in around[:_SELECTOR_STEPS]:
        own_id = read_text(element.attributes.get("id"), 128)
        if own_id and steps and " " not in own_id:
            steps.append(f"#{own_id}")
            break
        steps.append(f"{element.tag}:nth-of-type({element.position})" if element.position > 0 else element.tag)
    return " > ".join(reversed(steps))
