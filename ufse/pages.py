"""Pages that applications show after a failure."""

import re

_DETOUR = re.compile(
    r"(^|/)(errors?|oops|failed|failure|sorry|unavailable|maintenance|40[0-9]|50[0-9]|log-?in|sign-?in)(/|$)"
)


def is_detour_page(pattern: str) -> bool:
    """Whether a route is an error page or a login, to which applications redirect after a failure."""
    return bool(_DETOUR.search(pattern.lower()))
