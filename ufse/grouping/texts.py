"""Values inside of texts: dates, times, amounts, addresses and opaque tokens, which grouping replaces."""

import re
from typing import Final

from ufse.generated import is_hash
from ufse.grouping.vocabulary import load_vocabulary

LONGEST: Final = 1_000
"""Characters of a text that are read; the contract cuts messages there and every other text earlier."""
_VOCABULARY = load_vocabulary()
_MONTH: Final = "(?:" + "|".join(sorted(_VOCABULARY.months, key=len, reverse=True)) + r")\b\.?"
_WEEKDAY: Final = r"\b(?:" + "|".join(sorted(_VOCABULARY.weekdays, key=len, reverse=True)) + r")\b\.?,?"
_DAY: Final = r"\d{1,2}(?:st|nd|rd|th|\.|º)?"
DATE: Final = re.compile(
    r"\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[t ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:z\b|[+-]\d{2}:?\d{2})?)?"
    r"|\b\d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d{2})\b"
    rf"|(?:{_WEEKDAY}\s?)?\b{_DAY}\s(?:de |of )?{_MONTH}(?:,?\s(?:de )?\d{{4}}\b)?"
    rf"|(?:{_WEEKDAY}\s?)?\b{_MONTH}\s{_DAY}(?:,?\s\d{{4}}\b)?(?!\d)"
    rf"|\b{_MONTH}\s\d{{4}}\b|{_WEEKDAY}(?=\s|$)",
    re.I,
)
"""Dates as ISO 8601 and CLDR's short, medium and long formats write them, and days of the week."""
TIME: Final = re.compile(
    r"\b\d{1,2}[:h]\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[ap]\.?m\b\.?)?|\b\d{1,2}\s?[ap]\.?m\b\.?|\b\d{1,2}\sUhr\b", re.I
)
_CURRENCY: Final = (
    r"(?:[$€£¥₹₽₩₺₫₴₦฿]|\b(?:usd|eur|gbp|chf|jpy|cny|inr|sek|nok|dkk|pln|czk|huf|brl|cad|aud|nzd|kr|zł|kč|ft|lei)\b\.?)"
)
_NUMBER: Final = r"\d(?:[\d.,'’\u00a0\u202f]*\d)?"
AMOUNT: Final = re.compile(rf"[-+]?(?:us|ca|au|r)?{_CURRENCY}\s?{_NUMBER}|{_NUMBER}\s?{_CURRENCY}", re.I)
EMAIL: Final = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+|[\[<](?:e-?mail|phone|card|ip|token|id|account|number)[\]>]", re.I
)
"""An address, or the mark that the collector puts in its place (docs/privacy.md)."""
ADDRESS: Final = re.compile(r"(?:[a-z][a-z0-9+.-]{1,20}:)?//[^\s\"'<>)\]]+", re.I)
UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.I)
_WORDY: Final = re.compile(
    r"(?:v|es|h|x|utf|base|sha|md|oauth|ipv|http|mp|web|i|k|l|a|p|b|s|ec)-?\d{1,3}[a-z]{0,3}", re.I
)
_TURN: Final = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")
_PREFIXED: Final = re.compile(r"(?P<prefix>[A-Za-z][A-Za-z0-9]{0,11})[_-](?P<token>[A-Za-z0-9]{5,64})")


def is_opaque(token: str) -> bool:
    """Whether a token of letters, digits, ``_`` and ``-`` is made by a machine: a hash, a short id, ``cus_N8x…``."""
    if not 4 <= len(token) <= 128 or not token.isascii() or _WORDY.fullmatch(token):
        return False
    found = _PREFIXED.fullmatch(token)
    if found and is_random(found["token"]):
        return True
    plain = token.replace("-", "").replace("_", "")
    return is_random(plain) if plain.isalnum() and (plain == token or len(plain) >= 12) else False


def is_random(token: str) -> bool:
    """Whether letters and digits alternate as in no word. ``step2``, ``iPhone``, ``getUserName`` and ``2fa`` are words."""
    if len(token) < 4 or token.isdigit():
        return False
    if is_hash(token, least_turns=3):
        return True
    digits, upper = sum(c.isdigit() for c in token), sum(c.isupper() for c in token)
    if digits and not token.rstrip("0123456789").isalpha() and not token.lstrip("0123456789").isalpha():
        return len(token) >= 8 or (digits >= 2 and len(token) >= 6)
    if digits:
        return digits >= 4 or (upper >= 2 and not token.isupper() and len(token) >= 6)
    return len(token) >= 9 and len(_TURN.findall(token)) >= 3 and len(token) <= 4 * len(_TURN.findall(token))
