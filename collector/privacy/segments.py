"""Masks tokens in paths: a segment after ``/reset/`` is a token, a segment after ``/orders/`` is the id of an order.

Ids by which detection compares sessions stay (the engine folds them): numbers, UUIDs, object ids, slugs, file names.
"""

import ipaddress
from collections.abc import Callable
from typing import Final

from collector.privacy import patterns as p
from collector.privacy.cache import Cache

_REACH: Final = 2  # segments after a word such as "reset" that may be a token
_LEAST: Final = 6
_LONGEST_WORD: Final = 64


def mask_segments(path: str, mark: Callable[[str], str], *, rooted: bool, opaque: bool = True) -> str:
    """Mask token-like segments of ``path``, and in a ``rooted`` path addresses of machines.

    Without ``opaque``, only segments after words such as "reset" are tokens.
    """
    parts = path.split("/")
    armed, before = 0, ""
    for place, part in enumerate(parts):
        if len(part) >= 2 and part[0] not in ":[{":
            if (armed and _is_token_after(part, before)) or (opaque and holds_opaque_run(part, 20)):
                parts[place] = mark("token")
            elif (
                rooted
                and part[0].isdigit()
                and _is_machine_address(part)
                and not p.VERSIONED.fullmatch(parts[place - 1])
            ):
                parts[place] = mark("ip")
        if _announces_token(part):
            armed, before = _REACH, part
        elif part:
            armed = max(0, armed - 1)
    return "/".join(parts)


def _announces_token(part: str) -> bool:
    """Whether a token may follow ``part``."""
    return len(part) <= _LONGEST_WORD and _ARMING[part]


def _is_machine_address(part: str) -> bool:
    try:
        address = ipaddress.ip_address(part)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _is_token_after(part: str, word: str) -> bool:
    """Whether ``part`` is a token: not a word, slug, number or file name. Codes of four to eight digits are tokens only after
    words such as "verify"."""
    if part.isdigit():
        return 4 <= len(part) <= 8 and p.ONE_TIME.search(word) is not None
    if len(part) < _LEAST or p.FILE.search(part):
        return False
    if p.UUID.fullmatch(part):
        return True
    pieces = [piece for piece in p.SPLIT.split(part) if piece]
    if all(p.WORDLIKE.fullmatch(piece) for piece in pieces):
        return False
    if not any(c.isdigit() for c in part):
        return len(p.TURN.findall(part)) >= 3 or any(len(piece) >= 20 for piece in pieces)
    return True


def holds_opaque_run(part: str, least: int) -> bool:
    """Whether ``part`` contains a generated run of at least ``least`` characters: mixed letters and digits."""
    if len(part) < least or p.FILE.search(part):
        return False
    if least < 24 and len(p.MIXED.findall(part)) >= 3 and p.TURN.search(part):
        return True  # base64 for URLs, with its dashes
    run = p.RUN.search(part)
    if run is None:
        return False
    text = run[0]
    if len(text) < least:
        return False
    if p.HEX.fullmatch(text):
        return len(text) >= 32 and least < 24 and any(map(str.isdigit, text)) and not text.isdigit()
    digits = sum(c.isdigit() for c in text)
    upper = sum(c.isupper() for c in text)
    lower = len(text) - digits - upper
    if digits >= 2 and upper >= 2 and lower >= 2:
        return True
    if digits >= 3 and len(text) >= 24:
        return True
    return not digits and len(text) >= 24 and len(p.TURN.findall(text)) >= 6


_ARMING = Cache(lambda part: p.CONTEXT.search(part) is not None)
