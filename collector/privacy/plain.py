"""Decodes a text to the form that a person reads, so that encodings cannot hide a secret from the patterns.

The time is linear in the text. The decoded form serves for searching only: a text without a secret is stored as it was sent,
with its ligatures, joiners and escapes.
"""

import re
import unicodedata
from typing import Final

MAX_ROUNDS: Final = 5
"""How many nested encodings are decoded; deeper ones exist only to deceive."""
TOO_DEEP: Final = "[encoded]"

_CHUNK = 64  # characters normalised at once: NFKC sorts combining marks in quadratic time
_TAIL = 128  # characters; cards, addresses and phone numbers are shorter

_ENCODED = re.compile(r"[%&\\]")
_PERCENT_CHAIN = re.compile(r"%(?:25)++")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})++")
_ESCAPE = re.compile(r"(?:%u|\\u\{?)([0-9A-Fa-f]{4})\}?|\\x([0-9A-Fa-f]{2})")
_ENTITY = re.compile(
    r"&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|"
    r"(commat|period|dot|num|lowbar|hyphen|dash|plus|sol|colon|equals|nbsp|quot|apos|lt|gt|amp|shy|zwnj|zwj|lsqb|rsqb))(?:;|\b)"
)
_ENTITIES = {
    "commat": "@",
    "period": ".",
    "dot": ".",
    "num": "#",
    "lowbar": "_",
    "hyphen": "-",
    "dash": "-",
    "plus": "+",
    "sol": "/",
    "colon": ":",
    "equals": "=",
    "nbsp": " ",
    "quot": '"',
    "apos": "'",
    "lt": "<",
    "gt": ">",
    "amp": "&",
    "shy": "",
    "zwnj": "",
    "zwj": "",
    "lsqb": "[",
    "rsqb": "]",
}
_FOREIGN_DIGIT = re.compile(r"[^\W0-9_a-zA-Z]")
CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

_INVISIBLE = [
    *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0200),
]
_MARKS = [
    *range(0x0300, 0x0370),
    *range(0x0483, 0x048A),
    *range(0x1AB0, 0x1B00),
    *range(0x1DC0, 0x1E00),
    *range(0x20D0, 0x2100),
    *range(0xFE20, 0xFE30),
]
_DASHES = [*range(0x2010, 0x2016), 0x2212, 0xFE58, 0x2E3A, 0x2E3B]
_FOLDED: dict[int, str | None] = {
    **dict.fromkeys(_INVISIBLE + _MARKS),
    **dict.fromkeys(_DASHES, "-"),
    0x2215: "/",
    0x2044: "/",
    0xFFFD: " ",
}


def split_vocabulary(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def to_plain_text(text: str) -> str:
    """Decode percent-encoding, HTML entities and JavaScript escapes, fold compatible characters (NFKC), and remove invisible
    characters. ``TOO_DEEP`` for a text with more than ``MAX_ROUNDS`` nested encodings."""
    for _ in range(MAX_ROUNDS):
        plain = _undo_encodings(text) if _ENCODED.search(text) else text
        if not plain.isascii():
            plain = _fold_characters(plain)
        if plain == text:
            return text
        text = plain
    return TOO_DEEP if _undo_encodings(text) != text else text


def _undo_encodings(text: str) -> str:
    if "%" in text:
        text = _PERCENT.sub(_decode_percent, _PERCENT_CHAIN.sub("%", text))
    if "\\" in text or "%" in text:
        text = _ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)), text)
    if "&" in text:
        text = _ENTITY.sub(_decode_entity, text)
    return CONTROL.sub(" ", text)


def _decode_percent(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace")


def _decode_entity(match: re.Match[str]) -> str:
    if match[3]:
        return _ENTITIES[match[3]]
    code = int(match[1]) if match[1] else int(match[2], 16)
    return chr(code) if code < 0x110000 else " "


def _fold_characters(text: str) -> str:
    normal = unicodedata.normalize
    pieces = [normal("NFKC", text[at : at + _CHUNK]) for at in range(0, len(text), _CHUNK)]
    plain = CONTROL.sub(" ", "".join(pieces).translate(_FOLDED))
    return plain if plain.isascii() else _FOREIGN_DIGIT.sub(_to_ascii_digit, plain)


def _to_ascii_digit(match: re.Match[str]) -> str:
    digit = unicodedata.decimal(match[0], None)
    return match[0] if digit is None else str(digit)


def decode_entities(text: str) -> str:
    """``text`` with its HTML entities decoded."""
    return _ENTITY.sub(_decode_entity, text)


def cut(text: str, most: int) -> str:
    """Shorten ``text`` to at most ``most`` characters without cutting a secret in two.

    The patterns do not recognize half of a card number or of an address, so that it would be stored. So a cut falls between
    words; groups of digits that may belong together count as one word. When no such place is found within ``_TAIL``
    characters, the text is cut ``_TAIL`` characters earlier.
    """
    if len(text) <= most:
        return text
    at, least = most, max(0, most - _TAIL)
    while at > least and _belong_together(text, at):
        at -= 1
    return text[:at]


def _belong_together(text: str, at: int) -> bool:
    """Whether the characters before and after index ``at`` may belong to one secret."""
    before, after = text[at - 1], text[at]
    if not (before.isspace() or after.isspace()):
        return before not in _ENDS and after not in _ENDS
    around = text[max(0, at - 4) : at + 3]
    return any(part.isdigit() or part in "@&;[(" for part in around)


_ENDS = frozenset(",<>{}|\"'`")
