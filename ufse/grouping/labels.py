"""Labels of controls as grouping compares them: without counts, amounts, dates, names, case, fillers, in one language."""

import re
import unicodedata
from typing import Final

from ufse.grouping.texts import ADDRESS, AMOUNT, DATE, EMAIL, TIME, UUID, is_opaque
from ufse.grouping.vocabulary import load_vocabulary
from ufse.memo import memoize_texts

_LONGEST: Final = 200
_VOCABULARY = load_vocabulary()
_QUOTED: Final = re.compile(
    r"\"[^\"]{1,100}\"|“[^”]{1,100}”|„[^“”]{1,100}[“”]|«[^»]{1,100}»|‘[^’]{1,100}’|(?<!\w)'[^']{1,100}'(?!\w)"
)
_HANDLE: Final = re.compile(r"(?<!\w)@[\w.-]+")
_SHORTCUT: Final = re.compile(
    r"[(\[]\s*(?:ctrl|control|cmd|command|alt|option|shift|meta|⌘|⌥|⇧|⌃|f\d|esc|enter|↵|⏎)[^)\]]{0,20}[)\]]", re.I
)
_COUNTED: Final = re.compile(r"[(\[（【]\s*[-+]?\d[\d.,\s/:+%]*\w{0,3}\s*[)\]）】]")
_SHARE: Final = re.compile(r"\b\d+\s?(?:/|of|von|de|di|van|av|из|z)\s?\d+\b", re.I)
_NUMBER: Final = re.compile(r"[-+]?\d(?:[\d.,'’\u00a0]*\d)?\s?(?:%|\+)?")
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|\+|-")
_DROPPED: Final = "\x00"


@memoize_texts
def fold_label(label: str) -> str:
    """The label as grouping compares it; '' for none. Folding it again changes nothing."""
    text = unicodedata.normalize("NFKC", label[:_LONGEST])
    text = _drop_values(" ".join(text.split()))
    words = _drop_numbers(_drop_names(_WORD.findall(text.replace(_DROPPED, " 0000000 "))))
    shown = " ".join(word.casefold() for word in words)
    return _translate(shown) or " ".join(label[:_LONGEST].casefold().split())


def _drop_values(text: str) -> str:
    """``text`` with a mark in place of addresses, dates, amounts, quotations and counts in brackets."""
    text = ADDRESS.sub(_DROPPED, EMAIL.sub(_DROPPED, UUID.sub(_DROPPED, text)))
    text = _COUNTED.sub(" ", _SHORTCUT.sub(" ", _HANDLE.sub(_DROPPED, text)))
    if any(c.isdigit() for c in text):
        text = _SHARE.sub(_DROPPED, AMOUNT.sub(" ", TIME.sub(" ", text)))
    text = DATE.sub(" ", text)
    quoted = _QUOTED.sub(" ", text)
    return quoted if any(c.isalpha() for c in quoted) else text


def _drop_names(words: list[str]) -> list[str]:
    """Without first names and the family names after them; a label of nothing else stays."""
    kept: list[str] = []
    inside = False
    for number, word in enumerate(words):
        capital = word[:1].isupper() and not word.isupper()
        low = word.casefold().removesuffix("'s").removesuffix("’s")
        if capital and low in _VOCABULARY.names:
            inside = True
        elif inside and capital and low not in _VOCABULARY.verbs and number:
            inside = False
        else:
            inside = False
            kept.append(word)
    return kept or words


def _drop_numbers(words: list[str]) -> list[str]:
    """Without counts and ids. A number stays before a unit ("7 days"), and one digit at the end ("Plan 2") does."""
    kept: list[str] = []
    stem = False
    for number, word in enumerate(words):
        following = words[number + 1].casefold() if number + 1 < len(words) else ""
        if word[0].isdigit() and _NUMBER.fullmatch(word):
            last = number + 1 == len(words) and number > 0 and len(word) == 1
            if following in _VOCABULARY.units or last or len(words) == 1:
                kept.append(word)
            else:
                stem = True
            continue
        if stem and word == "+":
            continue
        if any(c.isdigit() for c in word) and is_opaque(word):
            continue
        low = word.casefold()
        kept.append(low[:-1] if stem and len(low) > 3 and low.endswith("s") and not low.endswith("ss") else word)
        stem = False
    return kept or words


def _translate(shown: str) -> str:
    """What the label means, if the vocabulary knows it, else itself without fillers."""
    labels = _VOCABULARY.labels
    if shown in labels:
        return labels[shown]
    words = shown.split()
    fewer = [word for word in words if word not in _VOCABULARY.fillers] or words
    short = " ".join(fewer)
    return labels.get(short, short)
