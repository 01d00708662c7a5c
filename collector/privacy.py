"""Masking at the door: what may identify a person is gone before anything is stored (events.md, Privacy).

Query strings and fragments are cut, e-mail addresses, card numbers (Luhn), bearer tokens and long digit runs
are replaced by fixed marks, user ids by a keyed hash per project. In paths the marks are ``:id``, ``:email``,
``:card`` and ``:token`` (the form of a folded path segment); in text they are ``[number]``, ``[email]``,
``[card]`` and ``[token]``.

Every pattern is linear in its input (possessive groups behind a look-behind), because all of it is chosen by
strangers.
"""

import hmac
import ipaddress
import re
from functools import lru_cache
from typing import Final, NamedTuple

LONG_DIGIT_RUN: Final = 9
"""Digits in a row from which a number is masked: the shortest national identity and telephone numbers have
nine."""
HASHED_USER: Final = re.compile(r"uh:[0-9a-f]{32}")
"""A user id that was hashed already (a replayed dead letter); it is taken as it is."""

_CACHED_LENGTH = 256  # a cache entry's size is chosen by strangers; longer texts are rare and computed each time
_CARD_DIGITS = range(13, 20)  # ISO/IEC 7812: 13 to 19 digits
_CARD_GROUPS = 8  # cards are printed in groups of two to six digits; more windows would cost quadratic time
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # twice a digit, nine taken off where that has two
_PLAIN = frozenset({bool, float, type(None)})
_MAX_DEPTH = 6  # of a dead letter; deeper parts are dropped with a mark

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SUSPECT = re.compile(r"[\d@?#%]|[bB][eE][aA][rR][eE][rR]|eyJ")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")
_CREDENTIALS = re.compile(r"://[^\s/@]*+@")
_QUERY_IN_TEXT = re.compile(r"""(?<![^\s"'<>()?\#])([^\s"'<>()?\#]++)[?\#][^\s"'<>)]++""")
_SESSION_IN_PATH = re.compile(r"(?i);jsessionid=[^/;]*+")
_SECRET = re.compile(
    r"""
    (?P<uuid>(?<![0-9A-Za-z])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9A-Za-z]))
  | (?P<hex>(?<![0-9A-Za-z])(?=[0-9]*[a-fA-F])[0-9a-fA-F]{24,}+(?![0-9A-Za-z]))
  | (?P<token>(?i:\bbearer(?:\s|%20|\+)++)[\w.~+/=\-]{6,}+ | (?<![\w\-])eyJ[\w\-]++\.[\w\-]++(?:\.[\w\-]++)?)
  | (?P<email>(?<![\w.+!$&'*=^{|}~\-])[\w.+!$&'*=^{|}~\-]++(?:@|%40)(?!\dx\.)(?:[\w\-]++\.)+[^\W\d_][\w\-]++)
  | (?P<digits>\d(?:(?:[ .\-\u00a0+_]|%20)?\d){8,}+)
    """,
    re.VERBOSE,
)
_DIGIT_GROUPS = re.compile(r"(\d+)")
_CARD_RUN = re.compile(r"\d{13,19}")
_IP_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{3,45}")
_PATH_KEYS = frozenset(
    {"from", "to", "url", "source", "href", "referrer", "referer", "route", "path", "location", "src"}
)


class _Marks(NamedTuple):
    email: str
    number: str
    card: str
    token: str


_IN_PATH = _Marks(":email", ":id", ":card", ":token")
_IN_TEXT = _Marks("[email]", "[number]", "[card]", "[token]")
_IN_NAME = _Marks("[email]", "", "[card]", "[token]")


def mask_text(text: str) -> str:
    """``text`` (a label, a message) without secrets, queries of the URLs in it, or control characters."""
    return _mask_text_cached(text) if len(text) <= _CACHED_LENGTH else _mask_text(text)


def mask_path(text: str) -> str:
    """The path of a URL or route: origin, query and fragment cut, secrets masked; ``/`` when nothing else
    remains."""
    return _mask_path_cached(text) if len(text) <= _CACHED_LENGTH else _mask_path(text)


def mask_source(text: str) -> str:
    """A script's URL: origin kept (it tells extensions and third parties apart), query, fragment and
    credentials cut."""
    return _mask_source_cached(text) if len(text) <= _CACHED_LENGTH else _mask_source(text)


def mask_name(text: str) -> str:
    """An id, selector or version: as ``mask_text``, but digit runs stay, because two targets must not become
    one."""
    return _mask_name_cached(text) if len(text) <= _CACHED_LENGTH else _mask_name(text)


def cut_query(text: str) -> str:
    """``text`` up to its first ``?`` or ``#``; a path's length limit holds for this part."""
    for mark in "?#":
        head, found, _ = text.partition(mark)
        if found:
            text = head
    return text


@lru_cache(maxsize=1 << 15)
def hash_user(project: str, user_id: str, salt: bytes) -> str:
    """Keyed hash of a user id, 32 hex digits; the same person has unrelated hashes in two projects."""
    if HASHED_USER.fullmatch(user_id):
        return user_id[3:]
    message = project.encode("utf-8", "replace") + b"\0" + user_id.encode("utf-8", "replace")
    return hmac.digest(salt, message, "sha256").hex()[:32]


def mask_metadata(metadata: dict[str, object]) -> dict[str, object]:
    """A valid metadata object (events.md: scalars, one level of ``{x, y}``) with its keys and texts
    masked."""
    return {
        key if key.isalpha() else mask_text(key): value if type(value) in _PLAIN else _mask_value(key, value)
        for key, value in metadata.items()
    }


def mask_json(value: object, depth: int = 0) -> object:
    """Any JSON value masked throughout; used for dead letters, whose shape is unknown by definition."""
    if depth > _MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, dict):
        return {
            _mask_key(str(key)): mask_json(part, depth + 1)
            if isinstance(part, dict | list)
            else _mask_value(str(key), part)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [mask_json(part, depth + 1) for part in value]
    return _mask_value("", value)


def _mask_value(key: str, value: object) -> object:
    if isinstance(value, str):
        if key == "source":
            return mask_source(value)
        if key in _PATH_KEYS:
            return mask_path(value) if value else value
        return _mask_unknown(value) if len(value) > _CACHED_LENGTH else _mask_unknown_cached(value)
    if type(value) is int and (value > 10**12 or value < -(10**12)):
        return _mask_integer(value)
    if isinstance(value, dict):
        return {part: _mask_value(part, inner) for part, inner in value.items()}
    return value


def _mask_unknown(text: str) -> str:
    return "[ip]" if _IP_ADDRESS.fullmatch(text) and _is_ip_address(text) else _mask_text(text)


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _mask_key(key: str) -> str:
    return key if key.isalpha() else mask_text(key)


def _mask_integer(value: int) -> object:
    # Epoch milliseconds of this age of the web have 13 digits, and one in ten would pass Luhn's check by
    # chance.
    if 10**12 <= value < 3 * 10**12:
        return value
    digits = str(abs(value))
    return "[card]" if len(digits) in _CARD_DIGITS and _luhn(digits) else value


def _mask_text(text: str) -> str:
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    if not _SUSPECT.search(text):
        return text
    if "?" in text or "#" in text:
        text = _QUERY_IN_TEXT.sub(_without_query, text)
    return _mask_secrets(text, _IN_TEXT)


def _mask_path(text: str) -> str:
    text = cut_query(text)
    origin = _ORIGIN.match(text)
    if origin:
        text = text[origin.end() :]
    text = _UNPRINTABLE.sub(" ", text).strip()
    if ";" in text:
        text = _SESSION_IN_PATH.sub("", text)
    return _mask_secrets(text, _IN_PATH) or "/"


def _mask_source(text: str) -> str:
    return _mask_secrets(_CONTROL.sub(" ", cut_query(text)), _IN_TEXT)


def _mask_name(text: str) -> str:
    return _mask_secrets(_CONTROL.sub(" ", text), _IN_NAME) if _SUSPECT.search(text) or not text.isprintable() else text


_mask_name_cached = lru_cache(maxsize=1 << 15)(_mask_name)
_mask_unknown_cached = lru_cache(maxsize=1 << 15)(_mask_unknown)
_mask_text_cached = lru_cache(maxsize=1 << 15)(_mask_text)
_mask_path_cached = lru_cache(maxsize=1 << 15)(_mask_path)
_mask_source_cached = lru_cache(maxsize=1 << 12)(_mask_source)


def _without_query(match: re.Match[str]) -> str:
    return match[1] if "/" in match[1] else match[0]


def _mask_secrets(text: str, marks: _Marks) -> str:
    if "@" in text:
        text = _CREDENTIALS.sub("://", text)

    def replace(match: re.Match[str]) -> str:
        found = match[0]
        if match.lastgroup == "email":
            return marks.email
        if match.lastgroup == "token":
            return marks.token
        if match.lastgroup == "digits":
            return _mask_digits(found, marks)
        if match.lastgroup == "hex":  # a hash or an object id: its digit runs are no numbers, unless one is a card
            return _CARD_RUN.sub(lambda run: marks.card if _luhn(run[0]) else run[0], found)
        return found

    return _SECRET.sub(replace, text)


def _mask_digits(found: str, marks: _Marks) -> str:
    """Mask card numbers, written in groups or in one run, and long digit runs in ``found`` (digits and
    separators)."""
    parts = _DIGIT_GROUPS.split(found)  # separators at even places, digit groups at odd ones
    for first in range(1, len(parts), 2):
        digits = ""
        for last in range(first, min(first + 2 * _CARD_GROUPS, len(parts)), 2):
            digits += parts[last]
            if not parts[last].isdigit() or len(digits) > _CARD_DIGITS[-1]:
                break
            if len(digits) in _CARD_DIGITS and _luhn(digits):
                parts[first : last + 1] = [marks.card] + [""] * (last - first)
                break
    return "".join(
        marks.number if marks.number and place % 2 and len(part) >= LONG_DIGIT_RUN and part[0].isdigit() else part
        for place, part in enumerate(parts)
    )


def _luhn(digits: str) -> bool:
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0
