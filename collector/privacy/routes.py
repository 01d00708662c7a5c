"""Masks routes: paths that may name a page of a hash router (``/#/orders/7``, ``/app#!/orders/7``).

A fragment that begins with ``#/`` or ``#!/`` is a page, and is kept and masked together with the path before it. Any other
fragment is a place on the page (``#section``) or holds parameters, and is removed.
"""

from collector.privacy.cache import CACHED_LENGTH, Cache
from collector.privacy.texts import cut_query, decode_markup, mask_path

_PARAMETERS = "?#&;"
"""Characters that begin parameters in the page of a hash router; what follows is removed like a query."""
_CONTEXT_SEGMENTS = 2
"""Segments of the path that decide whether the first segments of the page are tokens (``segments`` looks as far back)."""


def mask_route(text: str) -> str:
    """The masked path of a route with the page of its hash router, without origin, queries and other fragments; ``/`` when
    nothing else remains. A router's first page (``/#/``) is the page without a fragment.
    """
    if "#" not in text and "&" not in text:
        return mask_path(text)
    return _ROUTES[text] if len(text) <= CACHED_LENGTH else _mask_route(text)


def cut_route(text: str) -> str:
    """``text`` without queries and without a fragment that is no page. The length limit of a route applies to this part."""
    path, mark, page = _split_route(text)
    return path + mark + page


def _split_route(text: str) -> tuple[str, str, str]:
    """(Path without query, ``#`` or ``#!`` or '', the page of the hash router with its first slash or '')."""
    before, _, fragment = text.partition("#")
    path = cut_query(before)
    bang = fragment[:1] == "!"
    page = fragment[1:] if bang else fragment
    if not page.startswith("/"):
        return path, "", ""
    for mark in _PARAMETERS:
        page = page.partition(mark)[0]
    # The answer of an authorization (#/access_token=…) is parameters, too.
    names = page.split("/")
    kept = next((place for place, name in enumerate(names) if "=" in name), len(names))
    page = "/".join(names[:kept]).rstrip("/")
    return (path, "#!" if bang else "#", page) if page else (path, "", "")


def _mask_route(text: str) -> str:
    path, mark, page = _split_route(decode_markup(text))
    place = mask_path(path)
    if not page:
        return place
    # A token may follow a word of the path (/reset#/…), so the page is masked as the continuation of the path.
    context = "/" + "/".join([name for name in place.split("/") if name][-_CONTEXT_SEGMENTS:]) if place != "/" else ""
    masked = mask_path(context + page)
    if not masked.startswith(context + "/") or masked == context + "/":
        return place  # a secret spans both: the page is not stored
    return place + mark + masked[len(context) :]


_ROUTES = Cache(_mask_route)
