"""The control that a click of Datadog's hit: the nearest one on the path from the element to the root of the page.

``composed_path_selector`` (since 6.15) names the elements from the one that was hit outwards, each ended by ``;``:
``SPAN;BUTTON#pay[data-testid="pay"][disabled=""].btn:nth-child(2);FORM…``. Older SDKs send the ``selector`` alone, from the
root inwards (``#main>DIV>BUTTON#pay>SPAN``). Values are escaped as in CSS.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_PATH: Final = 16_384
"""Characters of a path that are read."""
MAX_PARTS: Final = 32
_OUTER: Final = re.compile(r'(?:\\.|"(?:\\.|[^"\\])*"|[^;"\\])+', re.DOTALL)
_INNER: Final = re.compile(r'(?:\\.|"(?:\\.|[^"\\])*"|[^>"\\])+', re.DOTALL)
_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]*")
_PLACE: Final = re.compile(r":nth-of-type\(\d{1,6}\)")
MAX_STEPS: Final = 12
MAX_SELECTOR: Final = 480
"""Characters; the contract cuts longer ones at their end, where the control stands."""
_ID: Final = re.compile(r"#((?:\\[0-9a-fA-F]{1,6}\s?|\\.|[\w-])+)")
_ATTRIBUTE: Final = re.compile(r'\[([A-Za-z-]+)="((?:\\.|[^"\\])*)"\]', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
_TEST_IDS: Final = ("data-testid", "data-test", "data-qa", "data-cy", "data-test-id", "data-qa-id", "data-testing")
"""Stable attributes that Datadog's selectors use (``STABLE_ATTRIBUTES``), without those whose value is a text for people."""
_CONTROL_TAGS: Final = frozenset({"button", "a", "input", "select", "textarea", "option", "summary", "label"})
_CONTROL_ROLES: Final = frozenset(
    """
    button link menuitem menuitemcheckbox menuitemradio tab checkbox radio switch option combobox textbox searchbox slider
    spinbutton treeitem
    """.split()  # noqa: SIM905
)
_BUTTON_TYPES: Final = frozenset({"submit", "button", "reset", "image"})
_FIELDS: Final = frozenset({"textarea", "select", "textbox", "searchbox", "combobox"})


@dataclass(frozen=True, slots=True)
class Control:
    """``is_control``: a control, and no other element that has a text of its own.

    ``kind``: its role, or what its tag and type amount to. ``name``: its id, else its test id. ``field``: it takes typed text.
    """

    kind: str
    tag: str
    name: str
    selector: str
    disabled: bool
    is_control: bool
    field: bool


@dataclass(frozen=True, slots=True)
class _Element:
    tag: str
    id: str
    attributes: dict[str, str]

    @property
    def role(self) -> str:
        return self.attributes.get("role", "").lower()

    @property
    def is_control(self) -> bool:
        return self.tag in _CONTROL_TAGS or self.role in _CONTROL_ROLES

    @property
    def test_id(self) -> str:
        return next((self.attributes[name] for name in _TEST_IDS if name in self.attributes), "")


def find_control(composed_path: str | None, selector: str | None) -> Control | None:
    """The nearest control, else the element that was hit; None where neither text names an element."""
    whole = selector or ""
    parts = _INNER.findall(whole[:MAX_PATH]) if len(whole) <= MAX_PATH else []
    path = [_read_element(part) for part in _OUTER.findall((composed_path or "")[:MAX_PATH])[:MAX_PARTS]]
    path = path or [_read_element(part) for part in reversed(parts[-MAX_PARTS:])]
    if not path:
        return None
    depth = next((i for i, element in enumerate(path) if element.is_control), 0)
    element = path[depth]
    field = (
        element.tag in _FIELDS or element.role in _FIELDS or (element.tag == "input" and _kind_of(element) == "input")
    )
    return Control(
        kind=_kind_of(element),
        tag=element.tag,
        name=element.id or element.test_id,
        selector=_cut_selector(parts, depth, element),
        disabled="disabled" in element.attributes or element.attributes.get("aria-disabled") == "true",
        is_control=element.is_control,
        field=field,
    )


def _read_element(part: str) -> _Element:
    tag = _TAG.match(part)
    names: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(part):
        names.setdefault(name.lower(), _unescape(value))
    bare = _ATTRIBUTE.sub("", part)
    own = _ID.search(bare)
    return _Element(tag[0].lower() if tag else "", _unescape(own[1]) if own else "", names)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(_read_escape, text) if "\\" in text else text


def _read_escape(found: re.Match[str]) -> str:
    if found[1]:
        code = int(found[1], 16)
        return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
    return found[2]


def _kind_of(element: _Element) -> str:
    if element.role:
        return element.role
    if element.tag == "a":
        return "link"
    if element.tag == "input":
        sort = element.attributes.get("type", "").lower()
        return "button" if sort in _BUTTON_TYPES else sort if sort in ("checkbox", "radio", "range") else "input"
    return element.tag


def _cut_selector(parts: list[str], depth: int, element: _Element) -> str:
    """The selector of the control: without the ``depth`` elements inside of it; '' where it names another element there.

    A path from the root of the page keeps its tags and places alone: its classes are the look of the elements around.
    """
    kept = parts[: len(parts) - depth]
    if not kept or (_TAG.match(kept[-1]) and _read_element(kept[-1]).tag != element.tag):
        return ""
    if "#" not in kept[0] and "[" not in kept[0] and len(kept) > 1:
        kept = [_BARE.match(part)[0] + "".join(_PLACE.findall(part)) for part in kept[-MAX_STEPS:]]  # type: ignore[index]
    while len(kept) > 1 and sum(map(len, kept)) + len(kept) > MAX_SELECTOR:
        kept = kept[1:]
    return ">".join(kept)
