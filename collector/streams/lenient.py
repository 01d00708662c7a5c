"""Values of foreign events, read with care: what has another type, or is too long, is unknown, and never an error."""

import math
import re
from hashlib import blake2b
from typing import Final
from urllib.parse import urlsplit

from collector.contract import MAX_SESSION_ID, parse_time

MAX_ROUTE: Final = 512
"""As the contract's; a longer address is no page that can be compared."""
MAX_KEPT_TEXT: Final = 512
_LONGEST_URL: Final = 16_384
_OWN_INTAKE: Final = re.compile(r"/intake/[a-z]+/")
_MAX_NUMBER: Final = 2**53


def read_text(value: object, longest: int = MAX_KEPT_TEXT) -> str:
    """``value`` if it is a text that can be stored, without spaces around it, cut to ``longest`` characters; else ''."""
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value[: 4 * longest]).strip()[:longest]


def read_number(value: object) -> float | None:
    """``value`` if it is a finite number that is not negative, and that a double holds exactly; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= _MAX_NUMBER or not math.isfinite(value):
        return None
    return float(value)


def read_status(value: object) -> int | None:
    """An HTTP status, or 0 (never answered); else None."""
    number = read_number(value)
    return int(number) if number is not None and (number == 0 or 100 <= number <= 599) else None


def read_time(value: object) -> int | None:
    """Epoch milliseconds of an ISO text or of a number of milliseconds; else None."""
    return parse_time(value)


def read_session(value: object) -> str:
    """``value`` if the contract accepts it as the id of a session; else ''."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_SESSION_ID or not value.isprintable():
        return ""
    return value if value.strip() else ""


def read_route(url: object) -> str:
    """The path of an address, without query; the page of a hash router stays (docs/contracts/events.md, `route`); else ''."""
    if not isinstance(url, str) or len(url) > _LONGEST_URL:
        return ""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    if parts.scheme not in ("", "http", "https") or not (parts.path.startswith("/") or parts.netloc):
        return ""
    fragment = parts.fragment.partition("?")[0]
    route = (parts.path or "/") + (f"#{fragment}" if fragment.startswith(("/", "!/")) else "")
    return route if len(route) <= MAX_ROUTE and route.isprintable() else ""


def is_own_intake(route: str) -> bool:
    """Whether a request went to the address of a stream of Furrow: the copy itself, which the page's user knows nothing of."""
    return _OWN_INTAKE.search(route) is not None


def read_origin(url: object) -> str:
    """Scheme, host and port of an absolute web address, in lower case; else ''."""
    if not isinstance(url, str) or len(url) > _LONGEST_URL:
        return ""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.scheme in ("http", "https") and parts.netloc else ""


def digest_parts(*parts: object) -> str:
    """A key made of ``parts``, for items without an id of their own: 32 hexadecimal characters."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(repr(part).encode("utf-8", "surrogatepass") + b"\x1f")
    return digest.hexdigest()
