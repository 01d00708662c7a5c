"""What kind of control a target is, by its type, tag, id, selector and label."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ufse.generated import split_vocabulary
from ufse.grouping.controls import group_control
from ufse.identity import Identity, identify_control
from ufse.memo import memoize_texts
from ufse.patterns import clean_text
from ufse.selectors import CHILD_TAGS

TEXT_FIELDS: Final = split_vocabulary("""
    input text textarea textbox email password search searchbox tel phone number url field textfield
    text-field text_field date time datetime datetime-local contenteditable editor richtext combobox
""")
_TOGGLES = split_vocabulary("""
    checkbox radio switch toggle togglebutton accordion disclosure summary tab menuitemcheckbox
""")
_TOGGLE_WORDS = split_vocabulary("toggle switch checkbox radio accordion collapse expand disclosure")
_REPEATED_TYPES = split_vocabulary("""
    stepper spinbutton spinner slider range carousel pagination pager pagination-link canvas map player video
    audio game calendar datepicker date-picker gallery slideshow keypad scrollbar rating
""")
_LONG_TEXT = split_vocabulary("textarea contenteditable editor richtext")
_PLAYED = split_vocabulary("canvas map player video audio game keypad slider range scrollbar")
_REPEATED_WORDS = split_vocabulary("""
    stepper spinbutton plus minus increment decrement increase decrease incrementer decrementer incr decr
    inc dec qty quantity counter next prev previous nextpage prevpage pagination paginator pager carousel
    slide slider
    slideshow swiper gallery lightbox calendar datepicker monthpicker yearpicker player play pause seek rewind
    volume mute unmute playback canvas game map zoom zoomin zoomout pan undo redo rotate keypad numpad dialpad
    arrow chevron rating
""")
_REPEATED_PAIRS = frozenset(
    {
        *(("load", "more"), ("show", "more"), ("view", "more"), ("see", "more")),
        *(("step", "up"), ("step", "down"), ("page", "up"), ("page", "down")),
        *(("fast", "forward"), ("skip", "forward"), ("skip", "back"), ("date", "picker")),
    }
)
_REPEATED_LABELS = split_vocabulary(
    "+ - − – ＋ ± ++ -- ‹ › < > « » << >> → ← ↑ ↓ ▲ ▼ ◀ ▶ ⏮ ⏭ ⏯ ⏸ ⏪ ⏩ … ↺ ↻ ⟲ ⟳ older newer"
)
_TEXT_TYPES = split_vocabulary("""
    text-block paragraph heading cell word content document page body html p span h1 h2 h3 h4 h5 h6 pre code
    blockquote td th li dd dt em strong b i article section main
""")
_CONTAINER_TYPES = split_vocabulary("div container region figure picture ul ol table tbody tr header footer aside nav")
_BARE_STEP = re.compile(r"[a-z][a-z0-9]*(?::(?:nth|first|last|only)-[a-z-]+(?:\([^()]*\))?)?")
"""A tag, perhaps with its position: no id, class or attribute."""
_COMBINATORS = re.compile(r"[\s>+~]+")
_ASIDE_WORDS = split_vocabulary("print share download export copy pdf")
_EXIT_WORDS = split_vocabulary("""
    cancel close dismiss logout signout help support feedback contact back home chat leave exit
""")
_CONTROL_TYPES = split_vocabulary("button submit link a menuitem menu option icon image imagebutton form card")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@dataclass(frozen=True, slots=True)
class Target:
    """A target as the rules see it. ``name`` is its readable name with generated ids replaced."""

    name: str
    label: str
    text_field: bool
    static_text: bool
    repeated: bool
    long_text: bool
    """A field for long text: filling it in takes as much effort as a form."""
    played: bool
    """Made for many clicks: a game, a map, a player, a keypad, a slider."""
    paging: bool
    """``repeated`` only because of a word such as "next" or an arrow; if it sends a form or fails at each try, it is a step."""
    toggle: bool
    aside: bool
    """Prints, shares or downloads: a navigation after it is not leaving."""
    leaves: bool
    """Cancels, closes or asks for help: its success completes nothing."""
    link: bool
    nameless: bool
    """Only a type or tag is known: different controls look the same."""
    bare: bool = False
    """A container that only its place among tags names, such as ``main > div``: a part of the page, not a control."""
    placed: bool = False
    """Its id is generated and no other id names it, so that two of its name may stand in two places."""
    group: str = ""
    """What it is called in a fingerprint (``ufse.grouping``)."""

    @property
    def meaningful(self) -> bool:
        """Whether an action on it can be blocked: not a field, a text or a control for repeated clicks."""
        return not (self.text_field or self.static_text or self.repeated)


NO_TARGET: Final = Target("", "", False, False, False, False, False, False, False, False, False, False, True)


def _split_name_words(text: str) -> list[str]:
    return [w.lower() for w in _WORD.findall(text)]


_PAGING_WORDS = frozenset(
    {"next", "prev", "previous", "nextpage", "prevpage", "pagination", "paginator", "pager", "more"}
)
_PAGING_LABELS = split_vocabulary("‹ › < > « » << >> → ← older newer")


def _is_repeated_control(kind: str, tag: str, words: list[str], label: str) -> bool:
    if kind in _REPEATED_TYPES or tag in {"canvas", "video", "audio"} or label in _REPEATED_LABELS or label.isdigit():
        return True
    return any(w in _REPEATED_WORDS for w in words) or any(p in _REPEATED_PAIRS for p in pairwise(words))


@dataclass(frozen=True, slots=True)
class Described:
    """What five texts, as sent, describe."""

    target: Target
    identity: Identity
    part: bool
    """The type of an element that stands inside controls (``span``, ``svg``): what was hit may be a part of one."""


@memoize_texts
def describe_target(kind: str, identity: str, selector: str, tag: str, label: str) -> Described:
    """What these five texts, as sent, describe."""
    if not (kind or identity or selector or tag or label):
        return Described(NO_TARGET, identify_control("control", "", "", "", "", ""), False)
    part = _find_part(kind.lower(), tag.lower())
    found = identify_control(part, kind, identity, selector, tag, label)
    kind_word, tag_word, shown = found.role or kind.lower(), tag.lower(), clean_text(label)
    words = [*_split_name_words(identity), "", *_split_name_words(selector), "", *_split_name_words(label)]
    role = kind_word or tag_word
    field = _is_text_field(kind_word, tag_word)
    toggle = role in _TOGGLES or any(w in _TOGGLE_WORDS for w in words)
    static = not field and role in _TEXT_TYPES and not toggle and not {"button", "btn", "link", "submit"} & set(words)
    target = Target(
        name=found.name,
        label=shown,
        text_field=field,
        static_text=static,
        repeated=_is_repeated_control(kind_word, tag_word, words, shown.lower()),
        long_text=field and bool({kind_word, tag_word} & _LONG_TEXT),
        played=kind_word in _PLAYED or tag_word in _PLAYED,
        paging=not _is_repeated_control(
            kind_word,
            tag_word,
            [w for w in words if w not in _PAGING_WORDS],
            "" if shown.lower() in _PAGING_LABELS else shown.lower(),
        ),
        toggle=toggle,
        aside=any(w in _ASIDE_WORDS for w in words),
        leaves=any(w in _EXIT_WORDS for w in words) or ("sign", "out") in set(pairwise(words)),
        link=role in {"link", "a", "menuitem", "tab"},
        nameless=not (identity or selector or label),
        bare=not (identity or label) and role in _CONTAINER_TYPES and _is_bare(selector),
        placed=found.generated,
        group=group_control(part, identity, selector, label),
    )
    return Described(target, found, not found.role and (role in CHILD_TAGS) and not found.exact.startswith("control#"))


def _is_bare(selector: str) -> bool:
    steps = _COMBINATORS.split(selector.strip().lower())
    return bool(selector) and all(_BARE_STEP.fullmatch(step) for step in steps)


def _is_text_field(kind: str, tag: str) -> bool:
    if (kind or tag) in TEXT_FIELDS:
        return True
    return tag in TEXT_FIELDS and kind not in _CONTROL_TYPES | _TOGGLES | _REPEATED_TYPES


def _find_part(kind: str, tag: str) -> str:
    """Kinds of elements that are never the same, whatever they are called."""
    return "field" if _is_text_field(kind, tag) else "form" if kind == "form" else "control"
