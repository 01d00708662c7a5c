"""Elements as PostHog sends them: `$elements_chain` (a text) or `$elements` (a list), innermost first.

``button.btn.primary:attr__id="pay"attr_id="pay"nth-child="2"nth-of-type="1"text="Pay";form:…`` — classes have no quotes, and a
quote within a value is ``\\"``; a backslash alone is not escaped. Source: posthog-js 1.449.2, `elementsToString`.
"""

import re
from typing import Final

from collector.streams.controls import Element
from collector.streams.lenient import read_number, read_text

_MAX_CHAIN: Final = 256 << 10
_MAX_ELEMENTS: Final = 100
_PART: Final = re.compile(r'([^\s"=;:]+)="((?:\\"|[^"])*)"|;')
"""An attribute, or the end of an element. A semicolon within quotes belongs to the attribute."""
_TAG: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")


def read_elements(chain: object, listed: object) -> list[Element]:
    """The elements of `$elements_chain`, else of `$elements`; what cannot be read is left out."""
    if isinstance(chain, str) and chain:
        return parse_chain(chain)
    if not isinstance(listed, list):
        return []
    found = (_read_listed(item) for item in listed[:_MAX_ELEMENTS] if isinstance(item, dict))
    return [element for element in found if element.tag]


def parse_chain(chain: str) -> list[Element]:
    """The elements of a chain; at most 100, and none of a chain that is longer than 256 Ki characters."""
    if len(chain) > _MAX_CHAIN:
        return []
    elements: list[Element] = []
    begin, attributes = 0, dict[str, str]()
    for part in _PART.finditer(chain):
        if part[1] is not None:
            attributes.setdefault(part[1], part[2].replace('\\"', '"'))
        else:
            _append(elements, chain, begin, attributes)
            begin, attributes = part.end(), {}
            if len(elements) >= _MAX_ELEMENTS:
                return elements
    _append(elements, chain, begin, attributes)
    return elements


def _append(elements: list[Element], chain: str, begin: int, attributes: dict[str, str]) -> None:
    tag = _TAG.match(chain, begin)
    if tag is None:
        return
    position = attributes.get("nth-of-type", "")
    own = {name.removeprefix("attr__"): value for name, value in attributes.items() if name.startswith("attr__")}
    if "attr_id" in attributes:
        own.setdefault("id", attributes["attr_id"])
    place = int(position) if position.isdecimal() and position.isascii() and len(position) < 6 else 0
    elements.append(Element(tag[0], own, attributes.get("text", ""), place))


def _read_listed(item: dict[object, object]) -> Element:
    tag = read_text(item.get("tag_name"), 40).lower()
    own: dict[str, object] = {
        name.removeprefix("attr__"): value
        for name, value in item.items()
        if isinstance(name, str) and name.startswith("attr__")
    }
    if "attr_id" in item:
        own.setdefault("id", item["attr_id"])
    text = read_text(item.get("$el_text") or item.get("text"), 400)
    place = read_number(item.get("nth_of_type")) or 0
    return Element(tag if _TAG.fullmatch(tag) else "", own, text, int(place) if place < 100_000 else 0)
