"""Masks JSON values by their keys and their contents."""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from collector.privacy.cache import CACHED_LENGTH, Cache
from collector.privacy.numbers import mask_integer
from collector.privacy.plain import split_vocabulary
from collector.privacy.routes import mask_route
from collector.privacy.texts import (
    MASKS_OF_SHORT_TEXTS,
    mask_name,
    mask_path,
    mask_source,
    mask_text,
    mask_version,
)

SECRET: Final = "[secret]"
CARD: Final = "[card]"
MAX_DEPTH: Final = 6
"""Levels of a dead letter; deeper values are replaced by a mark."""

_PLAIN = frozenset({bool, type(None)})
_LEAST_CARD: Final = 10**12
"""No smaller number is a card's (`mask_integer`)."""
_PATH_KEYS = split_vocabulary("url src uri")
_ROUTE_KEYS = split_vocabulary("from to href referrer referer route path location")
_SECRET_KEYS = split_vocabulary("""
    password passwd pwd pass passphrase passcode passwort pin otp tan secret token tokens auth authorization
    bearer credential credentials cookie cookies setcookie session sessionid sessid sid phpsessid jsessionid jwt
    csrf xsrf csrftoken xsrftoken apikey xapikey privatekey secretkey accesskey accesskeyid signature sig nonce
    cvv cvv2 cvc cvc2 ssn socialsecuritynumber iban creditcard creditcardnumber cardnumber cardno ccnumber pan
    email emailaddress mail phone phonenumber telephone tel mobile msisdn dob birthdate birthday dateofbirth
    firstname lastname fullname surname
""")
_SECRET_ENDS = (
    *("password", "passwd", "pwd", "passphrase", "secret", "token", "apikey", "privatekey", "secretkey", "sessionid"),
    *("accesskey", "cookie", "authorization", "credentials", "jwt", "email", "phonenumber", "cardnumber"),
)
_OF_THINGS = re.compile(
    r"(?:order|sku|item|product|article|invoice|ticket|cart|basket|booking|shipment|parcel|tracking|ean|gtin|upc|isbn|asin|build|"
    r"commit|hash|category|variant|request|trace|span)(?:id|number|no|nr|ref|code)?\Z"
)
_NAME_KEYS = frozenset({"id", "selector", "useragent", "environment", "type", "tagname", "fieldtype"})
_VERSION_ENDS = ("version", "build", "release", "ver")
_NO_LETTERS = re.compile(r"[^a-z0-9]")


class _JudgedKey(NamedTuple):
    shown: str
    mask: Callable[[str], str]
    mask_short: Callable[[str], str]
    """As ``mask``, for texts of at most ``CACHED_LENGTH``."""


def mask_metadata(metadata: dict[str, object]) -> dict[str, object]:
    """Mask the keys and texts of a valid metadata object (scalars, one level of ``{x, y}``)."""
    kept: dict[str, object] = {}
    for key, value in metadata.items():
        known = _KEYS[key] if len(key) <= CACHED_LENGTH else _judge_key(key)
        kept[known.shown] = value if type(value) in _PLAIN else _mask_value(known.mask, value)
    return kept


def mask_small_metadata(metadata: dict[str, object], max_length: int) -> dict[str, object] | None:
    """As `mask_metadata`, for a few short scalars, which nearly all metadata are; None for any other object.

    ``max_length``: the characters of all keys and texts, and 64 for each key.
    """
    kept: dict[str, object] = {}
    length = 64 * len(metadata)
    for key, value in metadata.items():
        length += len(key)
        if length > max_length or len(key) > CACHED_LENGTH:
            return None
        shown, mask, mask_short = _KEYS[key]
        kind = type(value)
        if kind is str:
            length += (size := len(value))  # type: ignore[arg-type]
            if length > max_length or size > CACHED_LENGTH:
                return None
            kept[shown] = mask_short(value) if size else value  # type: ignore[arg-type]
        elif kind in _PLAIN or (kind is int and 0 <= value < _LEAST_CARD and mask is not _mask_entirely):  # type: ignore[operator]
            kept[shown] = value
        elif kind is dict or kind is list:
            return None
        else:
            kept[shown] = _mask_value(mask, value)
    return kept


def mask_json(value: object, mask: Callable[[str], str] = mask_text, depth: int = 0) -> object:
    """Mask any JSON value, keys included, and every value under a key that names a secret. For dead letters, whose shape is
    unknown."""
    if depth > MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, dict):
        kept = {}
        for key, part in value.items():
            known = _judge_key(str(key))
            kept[known.shown] = mask_json(part, mask if mask is _mask_entirely else known.mask, depth + 1)
        return kept
    if isinstance(value, list):
        return [mask_json(part, mask, depth + 1) for part in value]
    return value if type(value) in _PLAIN else _mask_value(mask, value)


def _mask_value(mask: Callable[[str], str], value: object) -> object:
    if isinstance(value, str):
        return mask(value) if value else value
    if type(value) is int:
        return SECRET if mask is _mask_entirely else mask_integer(value, CARD)
    if isinstance(value, dict):
        return {part: inner if type(inner) in _PLAIN else _mask_value(mask, inner) for part, inner in value.items()}
    if not isinstance(value, float):
        return value
    if mask is _mask_entirely:
        return SECRET
    card = abs(value) < 2**63 and value.is_integer() and isinstance(mask_integer(int(value), CARD), str)
    return CARD if card else value


def _mask_entirely(_: str) -> str:
    return SECRET


def _judge_key(key: str) -> _JudgedKey:
    shown = key if key.isalpha() and len(key) < 20 else mask_text(key)
    mask = _choose_mask(_NO_LETTERS.sub("", key[-64:].lower()))
    return _JudgedKey(shown, mask, MASKS_OF_SHORT_TEXTS.get(mask, mask))


def _choose_mask(word: str) -> Callable[[str], str]:
    if word in _SECRET_KEYS or word.endswith(_SECRET_ENDS):
        return _mask_entirely
    if word == "source":
        return mask_source
    if word in _NAME_KEYS:
        return mask_name
    if word in _PATH_KEYS:
        return mask_path
    if word in _ROUTE_KEYS:
        return mask_route
    if word.endswith(_VERSION_ENDS):
        return mask_version
    return mask_name if _OF_THINGS.search(word) else mask_text


_KEYS = Cache(_judge_key)
