"""What kind of page a route is, by the usual words: a confirmation, an error page, a login."""

import re
from typing import Final

from ufse.memo import memoize_texts

THANKS = re.compile(
    r"(^|/)[^/]*\b(thank(s|-?you|_you)?|success|successful|confirmation|confirmed|completed?|done|receipt|"
    r"order-(placed|received)|vielen-dank|best(ae|ä)tig(ung|t)|abgeschlossen|confirm[eé]e?|confirmaci[oó]n|confirmado|"
    r"confermato|confirma(ca|çã)o|bevestig(ing|d)|potwierdzenie)\b[^/]*(/|$)|"
    r"(^|/)(danke|merci|gracias|grazie|obrigad[oa]|bedankt|dziekujemy|checkout/finish)(/|$)"
)
"""Pages that confirm, by the usual words of a few languages. Words that also name goods must be the whole segment."""
_FAILED_ROUTE = re.compile(
    r"\b(un|not-?|in|fail\w*|error)-?(success\w*|completed?|confirmed)\b|\b(error|failed|failure)\b"
)
DETOUR_PATTERN: Final = (
    r"(^|/)(errors?|oops|failed|failure|sorry|unavailable|maintenance|40[0-9]|50[0-9]|(wp-)?log[-_]?in|sign[-_]?in)"
    r"([.][a-z]{2,5})?(/|$)"
)
"""Error pages and logins, in small letters (as ClickHouse reads it, too)."""
LOGIN_PATTERN: Final = (
    r"(^|/)((wp-)?log[-_]?in|log-?on|sign[-_]?in|auth|authenticate|session|anmelden|anmeldung|einloggen|connexion|se-connecter|"
    r"iniciar-sesion|acceder|entrar|accedi|inloggen|aanmelden|logga-in|logowanie|zaloguj)"
    r"([.][a-z]{2,5})?(/|$)"
)
"""Login pages, by the usual words of a few languages (as ClickHouse reads it, too). The rules do not recognise other names."""
_DETOUR = re.compile(DETOUR_PATTERN)
_LOGIN = re.compile(LOGIN_PATTERN)


def is_thanks_page(pattern: str) -> bool:
    """Whether a route is a page that confirms a success (a thank-you page)."""
    return bool(THANKS.search(pattern.lower())) and not _FAILED_ROUTE.search(pattern.lower())


@memoize_texts
def is_detour_page(pattern: str) -> bool:
    """Whether a route is an error page or a login, to which applications redirect after a failure."""
    return bool(_DETOUR.search(pattern.lower()))


_VAGUE_LOGIN = re.compile(r"(^|/)(auth|authenticate|session)(/|$)")
"""Words that also name pages of other kinds."""


@memoize_texts
def is_login_form(pattern: str) -> bool:
    """Whether a route is a login page and cannot be another, as ``/session/:id`` can."""
    return is_login_page(pattern) and not _VAGUE_LOGIN.search(pattern)


def is_login_page(pattern: str) -> bool:
    """Whether a route is a login page."""
    return bool(_LOGIN.search(pattern))
