"""CSS selectors of controls without what changes while the control stays the same: states, hashes of a build, generated ids."""

import re
from dataclasses import dataclass
from typing import Final

from ufse.generated import find_own_id, split_vocabulary, strip_class_hash

_LONGEST: Final = 1_024
"""Characters of a selector that is read; the contract cuts selectors at 512."""
_RENDERED_ID = re.compile(r"(?:\\:|(?<=[#\-\"'=]):)[rR][0-9a-zA-Z]+(?:\\:|:)|«[rR][0-9a-zA-Z]*»")
_STEP = re.compile(r"((?:\[[^\]]*\]|\([^)]*\)|\\.|[^\s>+~\[(\\])+)|\s*([>+~])\s*|\s+")
_SIMPLE = re.compile(
    r"(?P<tag>^[A-Za-z*][\w-]*)|#(?P<id>(?:\\.|[\w«»-])+)|\.(?P<cls>(?:\\.|[\w-])+)|"
    r"(?P<attr>\[[^\]]*\])|(?P<pseudo>::?[\w-]+(?:\([^)]*\))?)"
)
_ATTRIBUTE = re.compile(r"\[\s*(?P<name>[\w-]+)\s*(?:[~|^$*]?=\s*[\"']?(?P<value>[^\"'\]]*)[\"']?)?[^\]]*\]")
_TEST_ID = re.compile(r"(?:data-)?(?:test|testid|test-id|cy|qa|e2e|automation-id|track|track-id|action|name-id)", re.I)
_KEPT_ATTRIBUTES: Final = frozenset(
    {"name", "type", "role", "href", "for", "title", "alt", "aria-label", "value", "placeholder"}
)
_PLACES = re.compile(r":(?:nth-|first-|last-|only-)")
_STATES: Final = split_vocabulary("""
    active inactive disabled enabled loading loaded busy pending waiting processing submitting saving sending working
    focus focused focusvisible hover hovered pressed selected unselected checked unchecked indeterminate opened closed
    open expanded collapsed shown hidden visible invisible invalid valid error errored success succeeded failed
    warning touched untouched dirty pristine current animating animated transitioning entering entered leaving enter
    leave appear dragging ripple rippling highlighted clicked filled empty readonly required done complete completed
    state in show on off spinning shake pulse
""")
"""Words that a class name adds for a while: participles and states of forms, as CSS frameworks use them."""
_ALONE_ONLY: Final = frozenset(
    {
        "open",
        "in",
        "show",
        "on",
        "off",
        "enter",
        "leave",
        "done",
        "complete",
        "required",
        "empty",
        "state",
        "current",
        "shake",
        "pulse",
        "error",
        "success",
        "warning",
        "filled",
        "hidden",
        "visible",
    }
)
"""States as whole class names only: ``menu-open`` may be the control that opens the menu."""
_STATE_FORM = re.compile(r"(?:is|has|was|state|status|Mui|ng|v-enter|v-leave|cdk|js)-[\w-]+|[\w-]*--?state-?\w*", re.A)
_UTILITY = re.compile(
    r"-?(?:bg|text|border|ring|shadow|opacity|cursor|animate|transition|duration|ease|delay|[pm][xytrbl]?|w|h|min-w|min-h|max-w|max-h|size|"
    r"rounded|flex|grid|gap|items|justify|self|content|font|leading|tracking|z|top|left|right|bottom|inset|translate|scale|rotate|"
    r"origin|overflow|whitespace|align|outline|fill|stroke|space|divide|order|col|row|basis|grow|shrink|pointer-events|select|"
    r"underline|decoration|from|via|to|blur|backdrop|brightness|object|aspect|list|float|clear|break|line|hover|focus|group|peer)"
    r"-(?:\[.*\]|[a-z0-9./]+(?:-[a-z0-9./]+)*)"
)
_UTILITY_WORDS: Final = split_vocabulary("""
    flex block inline inline-block inline-flex grid hidden relative absolute fixed sticky static truncate uppercase
    lowercase capitalize italic underline rounded border shadow transition container visible invisible group peer grow
    shrink
""")
CHILD_TAGS: Final = split_vocabulary("""
    span svg path i img image b em strong small g use rect circle polygon polyline line ellipse defs picture font icon
    mark u s sup sub canvas-icon mat-icon ion-icon fa-icon sl-icon md-icon p div
""")
"""Elements that are part of a control when they stand inside it."""
_CONTROL_TAGS: Final = frozenset({"button", "a", "summary"})
_CONTROL_ROLES: Final = frozenset({"button", "link", "tab", "menuitem", "option", "switch", "checkbox", "radio"})


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector as the rules compare it."""

    text: str
    """Without states, hashes and generated ids; it begins at the last id of the application. '' if nothing is left."""
    bones: str
    """``text`` without classes: what stays whatever a framework does to the look of the control."""
    own_id: str
    """Id or test id of the control itself; '' without one."""
    role: str
    """Tag or role of the control, if the selector leads into a button, link or another control; else ''."""
    above: str
    """Id of an element around, from which only parts such as ``span`` and ``svg`` follow; '' without one."""
    bare: bool
    """Only tags and places are left: it names no control."""


NO_SELECTOR: Final = Selector("", "", "", "", "", True)


@dataclass(slots=True)
class _Compound:
    """One element of a selector: ``button#pay.primary[type=submit]``."""

    combinator: str
    text: str
    bones: str = ""
    tag: str = ""
    own_id: str = ""
    role: str = ""
    named: bool = False
    """Whether a class or attribute of its own is left."""


def read_selector(selector: str) -> Selector:
    """The parts of a selector that stay. What is no CSS selector (an XPath, a very long text) comes back as it is."""
    if not selector:
        return NO_SELECTOR
    if len(selector) > _LONGEST:
        return Selector(selector, selector, "", "", "", False)
    text = _RENDERED_ID.sub("", selector)
    if text.startswith(("/", "(")) or "//" in text:
        return Selector(selector, selector, "", "", "", False)
    elements = [_read_compound(combinator, part) for combinator, part in _split_steps(text)]
    last = next(
        (
            n
            for n in range(len(elements) - 1, -1, -1)
            if elements[n].tag.lower() in _CONTROL_TAGS or elements[n].role in _CONTROL_ROLES
        ),
        -1,
    )
    inner = last >= 0 and all(e.tag.lower() in CHILD_TAGS for e in elements[last + 1 :])
    kept = elements[: last + 1] if inner else elements
    if not kept:
        return NO_SELECTOR
    head = max((n for n, e in enumerate(kept) if e.own_id), default=0)
    around = kept[head]
    parts = kept[head + 1 :]
    above = around.own_id if parts and around.own_id and all(e.tag.lower() in CHILD_TAGS for e in parts) else ""
    shown = "".join([kept[head].text, *(e.combinator + e.text for e in parts)])
    bones = "".join([kept[head].bones, *(e.combinator + e.bones for e in parts)])
    final = kept[-1]
    role = (final.role or final.tag.lower()) if inner else ""
    bare = not any(e.own_id or e.named for e in kept[head:])
    return Selector(shown, bones, final.own_id, "link" if role == "a" else role, above, bare)


def _split_steps(text: str) -> list[tuple[str, str]]:
    """(Combinator before it, text) of each element."""
    found: list[tuple[str, str]] = []
    combinator = ""
    for match in _STEP.finditer(text.strip()):
        if match[1]:
            found.append((combinator or (" " if found else ""), match[1]))
            combinator = ""
        else:
            combinator = f" {match[2]} " if match[2] else combinator or " "
    return found


def _read_compound(combinator: str, text: str) -> _Compound:
    simple, at = [], 0
    for match in _SIMPLE.finditer(text):
        if match.start() != at:
            break
        simple.append(match)
        at = match.end()
    if at != len(text.rstrip("#")):
        return _Compound(combinator, text, text, named=True)
    element = _Compound(combinator, "")
    classes: list[str] = []
    stems: list[str] = []
    places: list[str] = []
    for match in simple:
        value = re.sub(r"\\(.)", r"\1", match[0])
        if match["tag"]:
            element.tag = value
        elif match["id"]:
            element.own_id = element.own_id or find_own_id(value[1:])
        elif match["cls"]:
            own, is_state = _find_own_class(match["cls"])
            (stems if is_state else classes).append(own)
        elif match["attr"]:
            _read_attribute(element, match["attr"], places)
        elif _PLACES.match(value):
            places.append(value)
    # "pay--loading" names the control only where "pay" does not.
    classes = [c for c in dict.fromkeys(classes) if c] or [c for c in dict.fromkeys(stems) if c]
    if element.own_id:
        test = next((p for p in places if p.startswith("[") and element.own_id in p), "")
        element.text = element.bones = element.tag + (test or f"#{element.own_id}")
    else:
        element.named = bool(classes) or any(p.startswith("[") for p in places)
        element.text = (element.tag + "".join(f".{c}" for c in classes) + "".join(places)) or "*"
        element.bones = element.tag + "".join(p for p in places if not p.startswith("["))
    return element


def _read_attribute(element: _Compound, text: str, places: list[str]) -> None:
    """Adds to ``element`` what the attribute selector ``text`` names, and to ``places`` its shown text."""
    match = _ATTRIBUTE.fullmatch(text)
    if match is None:
        return
    name, value = match["name"].lower(), (match["value"] or "").strip()
    if name == "role":
        element.role = value.lower()
    if _TEST_ID.fullmatch(name) and value:
        own = "-".join(p for p in (strip_class_hash(find_own_id(value)),) if p)
        if own:
            element.own_id = element.own_id or own
            places.append(f'[{name}="{own}"]')
    elif name == "id":
        element.own_id = element.own_id or find_own_id(value)
    elif name in _KEPT_ATTRIBUTES:
        places.append(text)


def _find_own_class(name: str) -> tuple[str, bool]:
    """(The class without state and hash, '' for states, utilities and hashes; whether a state was cut off)."""
    plain = re.sub(r"\\(.)", r"\1", name)
    if ":" in plain or _UTILITY.fullmatch(plain) or plain in _UTILITY_WORDS or _STATE_FORM.fullmatch(plain):
        return "", True
    plain = strip_class_hash(plain)
    if plain.lower().replace("-", "") in _STATES:
        return "", True
    for mark in ("--", "-", "_"):
        stem, found, state = plain.rpartition(mark)
        word = state.lower()
        if found and word in _STATES and (mark == "--" or word not in _ALONE_ONLY):
            return stem.rstrip("-_"), True
    return plain, False
