"""Which control a click of OpenTelemetry meant: its instrumentations name the innermost element, by XPath or CSS selector."""

import re
from dataclasses import dataclass
from typing import Final

from collector.streams.otlp.telemetry import Attributes, find_text

CONTROLS: Final = frozenset(("a", "button", "input", "option", "select", "summary", "textarea"))
"""Elements that act when they are clicked: an element inside of one belongs to it."""

INLINE: Final = frozenset(
    ("b", "circle", "em", "g", "i", "img", "line", "path", "polygon", "rect", "small", "span", "strong", "svg", "use")
)
"""What a control holds for show. Other elements below an id (`#main > div > p`) are content of a container."""

_ANCHORS: Final = frozenset(("dialog", "form"))

MAX_STEPS: Final = 64
"""Steps of a selector that are read, from the innermost outwards."""

_XPATH_STEP: Final = re.compile(r"/+((?:[^/\[\]]|\[[^\]]*\])+)")
_XPATH_ID: Final = re.compile(r"""\[@id=(["'])([^"']{1,200})\1\]""")
_XPATH_NTH: Final = re.compile(r"\[(\d{1,6})\]")
_CSS_SPLIT: Final = re.compile(r"\s*>\s*|\s+")
_CSS_ATTRIBUTE: Final = re.compile(r"\[[^\]]*\]?")
_CSS_ID: Final = re.compile(r"#((?:[\w-]|[^\x00-\x7f]|\\.){1,200})")
_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9:-]{0,40}")


@dataclass(frozen=True, slots=True)
class Step:
    """One element of a path. ``text``: as a part of a CSS selector, without attributes, whose values may be page text."""

    tag: str
    element_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """``tag`` is empty where the control is known by its id and the tag is that of something inside it."""

    element_id: str = ""
    selector: str = ""
    tag: str = ""

    @property
    def rank(self) -> int:
        """2 for a control, 1 for an element with an id, 0 for others."""
        return 2 if self.tag in CONTROLS else int(bool(self.element_id))

    def to_wire(self) -> dict[str, str]:
        parts = {"id": self.element_id, "selector": self.selector, "tagName": self.tag}
        return {name: value for name, value in parts.items() if value}


def read_target(attributes: Attributes) -> Target:
    """The target of a span (`target_xpath`, `target_element`) or log record (`browser.css_selector`, `browser.tag_name`)."""
    css = find_text(attributes, "browser.css_selector")
    steps = split_css(css) if css else split_xpath(find_text(attributes, "target_xpath"))
    sent = _TAG.fullmatch(find_text(attributes, "browser.tag_name", "target_element"))
    tag = sent.group().lower() if sent else steps[-1].tag if steps else ""
    if not steps:
        return Target(tag=tag)
    last = steps[-1]
    return _choose([*steps[:-1], Step(tag, last.element_id, last.text)])


def _choose(steps: list[Step]) -> Target:
    control = next((at for at in reversed(range(len(steps))) if steps[at].tag in CONTROLS), None)
    if control is not None:
        return Target(steps[control].element_id, _join(steps[: control + 1]), steps[control].tag)
    named = next((at for at in reversed(range(len(steps))) if steps[at].element_id), None)
    if named is not None and named < len(steps) - 1 and all(step.tag in INLINE for step in steps[named + 1 :]):
        return Target(steps[named].element_id, _join(steps[: named + 1]))
    return Target(steps[-1].element_id, _join(steps), steps[-1].tag)


def _join(steps: list[Step]) -> str:
    """The path from the innermost id, form or dialog above the element, else from below `body`: shorter, and as good a name on
    one page."""
    anchors = (at for at in reversed(range(len(steps) - 1)) if steps[at].element_id or steps[at].tag in _ANCHORS)
    first = next(anchors, 0)
    return " > ".join(step.text for step in steps[first:] if step.text not in ("html", "body")) or steps[-1].text


def split_xpath(path: str) -> list[Step]:
    """The steps of an XPath as `getElementXPath` of @opentelemetry/sdk-trace-web writes it; an id begins a new path."""
    steps: list[Step] = []
    for part in _XPATH_STEP.findall(path[-4_096:])[-MAX_STEPS:]:
        found, named, nth = _TAG.match(part), _XPATH_ID.search(part), _XPATH_NTH.search(part)
        tag = found.group().lower() if found else ""
        element_id = named.group(2) if named else ""
        text = f"{tag}#{element_id}" if element_id else f"{tag}:nth-of-type({nth.group(1)})" if nth else tag
        steps.append(Step(tag, element_id, text or "*"))
    return steps


def split_css(selector: str) -> list[Step]:
    """The steps of a CSS selector, without attributes."""
    steps: list[Step] = []
    for part in _CSS_SPLIT.split(_CSS_ATTRIBUTE.sub("", selector[-4_096:]).strip())[-MAX_STEPS:]:
        if part:
            found, named = _TAG.match(part), _CSS_ID.search(part)
            element_id = named.group(1).replace("\\", "") if named else ""
            steps.append(Step(found.group().lower() if found else "", element_id, part))
    return steps
