"""Generated parts of ids and class names: what a framework writes anew at each render or build.

The forms are those of React, Radix, Headless UI, Angular Material, Ember, MUI, Downshift, react-select, styled-components,
emotion, JSS, CSS modules, Vue and Svelte, as their documentation and sources write them. Other hashes are recognised by their
form, as Playwright's selector generator (``isGuidLike``) and @medv/finder (``wordLike``) do.
"""

import re
from itertools import pairwise
from typing import Final

from ufse.patterns import ID


def split_vocabulary(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_LONGEST: Final = 512
"""Characters of an id that is read, as the contract cuts ids."""
_RENDERED = re.compile(
    r":[rR](?=[0-9a-zA-Z]*[0-9a-zA-Z]:)[0-9a-zA-Z]{1,12}:(?:[A-Z][0-9a-z]{1,6}:)?|«[rR][0-9a-zA-Z]*»|"
    r"(?<![A-Za-z0-9])_[rR]_[0-9a-zA-Z]+_"
)
"""React's ``useId``: ``:r1:``, ``«r1»``, ``_r_1_``, on a server ``:R1alm:``."""
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.I)
_COUNTED = re.compile(
    r"(?<![a-z0-9])(?:"
    r"(?:mat|mdc|cdk|ion|fluent|headlessui|chakra|mantine|radix|reach|downshift|rc|ant|vs|pn|pr|ui|gwt|ext|tippy|dx|lightning|mui)"
    r"(?:[-_][a-z]+)*[-_]{0,2}(?:p-)?\d+(?:[-_]\d+)*"
    r"|react[-_](?:select|aria|tabs|autowhatever|datepicker|tooltip)[-_]?[0-9a-z]*\d[0-9a-z]*(?:[-_]\d+)*"
    r"|ember\d+|ext-?(?:gen|comp)-?\d+|yui_[\d_]+|__bvid__\d+|j_idt\d+|ctl\d+|jss\d+|jsx-\d+|id__\d+|u?uid[-_]?\d+"
    r"|v-\d+(?:-\d+)*|ng-tns-c\d+(?:-\d+)*|select2-[a-z0-9]{2,}(?=-[a-z0-9]{2}-)"
    r")(?![0-9a-z])",
    re.I,
)
"""A library's name, perhaps a kind of element, and a counter."""
_LIBRARY_WORDS: Final = split_vocabulary("""
    mat mdc cdk ion fluent headlessui chakra mantine radix reach downshift rc ant react select aria mui t ui ext gwt
    tippy dx vs ember yui bvid idt ctl jss jsx v ng tns pn pr p id uid uuid r bits melt ark zag base button btn input
    field textfield text textarea checkbox radio switch toggle slider menu menubar menuitem item items option options
    list listbox listitem combobox dialog modal popover popper tooltip trigger content panel tab tabs tabpanel label
    labelledby description describedby title header heading form control group accordion collapse disclosure dropdown
    overlay container wrapper root el element component cmp widget icon inner outer link anchor placeholder value
    indicator state error helper message messages autocomplete picker datepicker box
""")
"""Words that name a library or a kind of element: an id of these words and a counter names no control."""
_ELEMENT_WORDS: Final = split_vocabulary("""
    button btn input field textfield textarea checkbox radio select combobox menu link anchor control element el comp
    component widget id uid uuid view react ext gen cmp node
""")
"""Words of ids that need no library's name: ``button-1023`` and ``input-45`` are counted elements."""
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_PIECE = re.compile(r"[A-Za-z0-9]+")
_HASH_TURN = re.compile(r"[a-z](?=[A-Z])")
_PART = re.compile(r"[A-Z]?[a-z]*")


def find_own_id(identity: str) -> str:
    """The id with generated parts replaced by ``:id``; '' if nothing of it is the application's own."""
    if len(identity) > _LONGEST:
        return identity
    replaced = _RENDERED.sub(ID, identity)
    replaced = _COUNTED.sub(ID, replaced)
    if ID in replaced:
        own = _WORD.findall(replaced.replace(ID, " "))
        return replaced if any(w.lower() not in _LIBRARY_WORDS for w in own) else ""
    if is_hash(identity) or (not _WORD.search(UUID.sub(" ", identity)) and UUID.search(identity)):
        return ""
    if sum(c.isdigit() for c in identity) >= 2:
        words = [w.lower() for w in _WORD.findall(identity)]
        if words and all(w in _ELEMENT_WORDS for w in words):
            return ""
    return identity


def is_hash(piece: str, least_turns: int = 3) -> bool:
    """Whether a word is a hash by its form: 5 to 40 letters and digits that change their kind too often for a word.

    Words with digits at the end only (``step2``, ``address12``) and numbers are none.
    """
    if not 5 <= len(piece) <= 40 or not piece.isalnum() or not piece.isascii() or piece.isdigit():
        return False
    if any(c.isdigit() for c in piece):
        if piece.rstrip("0123456789").isalpha():
            return False
        return _count_turns(piece) >= max(least_turns, len(piece) // 4)
    parts = [p for p in _PART.findall(piece) if p]
    return len(_HASH_TURN.findall(piece)) >= 2 and len(piece) <= 8 and len(piece) <= 2 * len(parts) + 1


def _count_turns(text: str) -> int:
    """How often the kind of character (digit, lower, upper) changes; a capital before small letters is no change."""
    kinds = ["d" if c.isdigit() else "l" if c.islower() else "u" for c in text]
    return sum(a != b and not (a == "u" and b == "l") for a, b in pairwise(kinds))


_BUILT = re.compile(
    r"sc-[A-Za-z0-9]+(?:-\d+)?|css-[a-z0-9]{4,}|svelte-[a-z0-9]{5,}|jsx-\d+|jss\d+|emotion-\d+|ng-[\w-]+|_ng\w+-[\w-]+"
)
"""Classes of styled-components, emotion, Svelte, styled-jsx, JSS and Angular without a word of the application."""
_EMOTION_LABEL = re.compile(r"css-[a-z0-9]{4,}-(?P<label>[A-Za-z][\w-]*)")
_SUFFIX = re.compile(
    r"(?:-sc-[A-Za-z0-9]+(?:-\d+)?|(?<=[A-Za-z0-9])(?:__|--|_|-)(?P<hash>[A-Za-z0-9]{5,10})(?:_\d+)?)$"
)
_COUNTED_STYLE = re.compile(r"((?:makeStyles|tss|WithStyles|Private[A-Z]\w*|Mui[A-Z]\w*)[\w()-]*?)-\d+")


def strip_class_hash(name: str) -> str:
    """A class name without the hash of its build: ``Button_pay__3kJdx`` gives ``Button_pay``; '' if nothing else is left."""
    if _BUILT.fullmatch(name) or is_hash(name):
        return ""
    labelled = _EMOTION_LABEL.fullmatch(name)
    if labelled:
        return labelled["label"]
    counted = _COUNTED_STYLE.fullmatch(name)
    if counted:
        return counted[1]
    found = _SUFFIX.search(name)
    if found and (found["hash"] is None or is_hash(found["hash"], least_turns=2)):
        return name[: found.start()]
    return name
