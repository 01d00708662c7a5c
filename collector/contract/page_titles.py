"""The HTTP status that the title of a page names, if the page is a server's or framework's own error page.

Many collectors report of a page its title, and not its status. The default error pages of servers and frameworks have nothing
in their titles but a reason phrase of RFC 9110 (or their own phrase), with or without its number. A title that says more
("500 Internal Server Error - HTTP | MDN") is a page *about* errors.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

UNKNOWN: Final = -1
_LONGEST: Final = 80

_OWN_PHRASES: Final[Mapping[str, int]] = {
    "server error": 500,  # Django, Laravel
    "server error in '/' application.": 500,  # ASP.NET
    "runtime error": 500,  # ASP.NET
    "application error": 500,  # Heroku, Next.js
    "we're sorry, but something went wrong": 500,  # Rails
    "the page you were looking for doesn't exist": 404,  # Rails
    "the change you wanted was rejected": 422,  # Rails
    "page not found": 404,  # Django, Drupal
    "gateway time-out": 504,  # nginx
    "service temporarily unavailable": 503,  # nginx
    "backend fetch failed": 503,  # Varnish
}
_ALONE: Final[Mapping[str, int]] = {
    **_OWN_PHRASES,
    "internal server error": 500,
    "bad gateway": 502,
    "service unavailable": 503,
    "gateway timeout": 504,
    "bad request": 400,
    "not found": 404,
}
"""Phrases that need no number beside them. Others ("Gone", "Conflict", "Payment required") may be a page's subject."""
_NUMBERED: Final[Mapping[str, int]] = {
    **{status.phrase.lower(): status.value for status in HTTPStatus if status.value >= 400},
    **_ALONE,
}
_NUMBER: Final = re.compile(r"(?<!\d)([45]\d\d)(?!\d)")
_FRAME: Final = re.compile(r"^(?:http )?(?:status|error)\b[:\s–—-]*|[()\[\]]", re.IGNORECASE)
"""What surrounds number and phrase: "HTTP Status 500 – Internal Server Error" (Tomcat), "Error 503 …" (Jetty)."""


def find_title_status(title: object) -> int:
    """The status (400 to 599) that a page's title names; -1 if it names none, or says anything beside it."""
    if not isinstance(title, str) or len(title) > _LONGEST:
        return UNKNOWN
    text = " ".join(title.lower().replace("\u2019", "'").split())
    if (whole := _ALONE.get(text)) is not None:
        return whole
    number = _NUMBER.search(text)
    if number is None:
        return UNKNOWN
    rest = _FRAME.sub("", _NUMBER.sub("", _FRAME.sub("", text), count=1)).strip(" :.–—-|,")
    return int(number[1]) if rest in _NUMBERED else UNKNOWN
