"""Renders pages: Jinja2 with all values escaped, and headers that allow only what this collector serves."""

import gzip
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from collector.pages.assets import asset_address
from collector.pages.impact import format_percent
from collector.pages.timeline import LaneLayout
from collector.routes.script import choose_coding

_POLICY: Final = "default-src 'self'; object-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
HEADERS: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    # URLs of pages contain ids of incidents, which linked trackers must not get. Not "no-referrer": browsers would then send
    # `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "vary": "cookie, accept-encoding",
}
_LEAST_COMPRESSED: Final = 1_000  # bytes
# A list takes 1 ms instead of 3, and is a fifth larger: far below what a page may have.
_LEVEL: Final = 1


def render_page(request: Request, template: str, status: int = 200, /, **values: Any) -> Response:
    """The page ``template`` with ``values``; all values are escaped."""
    text = _template_environment().get_template(template).render(values)
    headers = {**HEADERS, "content-security-policy": _POLICY}
    return compress_answer(request, text, "text/html; charset=utf-8", status, headers)


def compress_answer(request: Request, text: str, media: str, status: int, headers: dict[str, str]) -> Response:
    """An answer, compressed where the client allows it.

    A cookie with ``SameSite=Strict`` is not sent with requests that other sites cause: they learn nothing from the sizes.
    """
    body = text.encode("utf-8", "replace")
    if len(body) >= _LEAST_COMPRESSED and choose_coding(request.headers.get("accept-encoding", ""), {"gzip": b""}):
        body, headers = gzip.compress(body, _LEVEL, mtime=0), {**headers, "content-encoding": "gzip"}
    return Response(body, status, headers=headers, media_type=media)


_METHODS: Final = frozenset(dir(dict))


class _QuickEnvironment(Environment):
    """Looks a value of a dictionary up by its key first. Jinja2 tries an attribute first, and a list has 2,000 of these values.

    The methods of a dictionary stay what they are: some keys come from browsers.
    """

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute not in _METHODS and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


@cache
def _template_environment() -> Environment:
    environment = _QuickEnvironment(
        loader=PackageLoader("collector.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "minute": format_minute,
        "age": _write_age,
        "web_address": _safe_web_address,
        "seconds": format_seconds,
        "session_address": session_address,
        "thousands": _format_thousands,
        "percent": format_percent,
    }
    environment.globals |= {"asset": asset_address, "lanes": LaneLayout()}
    return environment


def session_address(project: str, session_id: str) -> str:
    """The page of a client session."""
    return f"/session?{urlencode({'project': project, 'id': session_id})}"


def format_minute(at: str | datetime | None) -> str:
    """``2024-01-15 10:00 UTC`` for a time or an RFC 3339 text; other text unchanged; 'unknown' for no time."""
    if not at:
        return "unknown"
    try:
        moment = at if isinstance(at, datetime) else datetime.fromisoformat(at)
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return str(at)


_STEPS: Final = ((60, "s"), (60, "min"), (24, "h"), (30, "d"), (12, "mo"))


def format_age(at: str | datetime | None) -> str:
    """``3 h ago`` for a time or an RFC 3339 text; '' for none or another text."""
    try:
        moment = at if isinstance(at, datetime) else datetime.fromisoformat(at or "")
        amount = max(0.0, (datetime.now(UTC) - moment.astimezone(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return ""
    if amount < 45:
        return "now"
    for size, unit in _STEPS:
        if amount < size:
            return f"{amount:.0f} {unit} ago"
        amount /= size
    return f"{amount:.0f} y ago"


def _write_age(at: str | datetime | None) -> Markup:
    """How long ago a time is, with the time as its title; a dash for no time."""
    if not at:
        return Markup("–")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at, format_minute(at), format_age(at))


def format_seconds(milliseconds: float) -> str:
    """``1.5 s``."""
    return f"{milliseconds / 1000:.1f} s"


def _format_thousands(number: int) -> str:
    return f"{number:,}"


def _safe_web_address(url: str | None) -> str:
    """``url`` if it is a web address, else '': a `javascript:` URL must not become a link."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ""
    return url if url and parts.scheme in ("http", "https") and parts.hostname else ""
