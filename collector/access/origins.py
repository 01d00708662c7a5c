"""Which pages may send events: the list of origins of a project.

An entry is an exact origin (``https://shop.example``), all hosts below a name (``https://*.shop.example``: not the name itself,
and with the same scheme and port), ``*`` for every page with an address, or ``null`` for pages without one (sandboxed frames,
files).
"""

import re
from collections.abc import Iterable
from typing import Final

ANY: Final = "*"
NO_ORIGIN: Final = "null"
"""What browsers send for a page without an origin. Any page can make such a frame, so that only its own entry allows it."""
_LABELS: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_MAX_ORIGIN: Final = 300


def is_origin_allowed(origin: str, entries: Iterable[str]) -> bool:
    """Whether ``origin``, as a browser sends it, matches one of ``entries``."""
    if len(origin) > _MAX_ORIGIN:
        return False
    return any(_matches_entry(origin, entry) for entry in entries)


def _matches_entry(origin: str, entry: str) -> bool:
    if entry == origin:
        return "*" not in entry
    if entry == ANY:
        return origin != NO_ORIGIN
    before, star, after = entry.partition("://*.")
    if not star or not origin.startswith(f"{before}://") or not origin.endswith(f".{after}"):
        return False
    below = origin[len(before) + 3 : -len(after) - 1]
    return _LABELS.fullmatch(below) is not None
