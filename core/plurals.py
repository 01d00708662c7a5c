"""Counts with their nouns, as text for people."""

import re
from typing import Final

_PLURAL: Final = re.compile(r"^((?:new |silent )?)(\w+?)(ies|s)\b")


def format_count(count: int, singular: str, plural: str = "") -> str:
    """``1 event``, ``2 events``, ``1,000 events``. ``plural``: the plural form where it is not the singular with an s."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"


def format_counted_name(count: int, name: str) -> str:
    """A count before the plural name of what it counts: ``1 session analysed`` for ``sessions analysed``."""
    if count == 1:
        name = _PLURAL.sub(lambda noun: f"{noun[1]}{noun[2]}{'y' if noun[3] == 'ies' else ''}", name)
    return f"{count:,} {name}"
