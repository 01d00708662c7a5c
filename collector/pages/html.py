"""Renders pages: Jinja2 with all values escaped, and headers that forbid scripts and external resources."""

from datetime import datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    # URLs of pages contain ids of incidents, which linked trackers must not get. Not "no-referrer": browsers would then send
    # `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def render_page(template: str, status: int = 200, **values: Any) -> Response:
    """The page ``template`` with ``values``; all values are escaped."""
    text = _template_environment().get_template(template).render(values)
    return Response(text, status, headers=_HEADERS, media_type="text/html; charset=utf-8")


@cache
def _template_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("collector.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"minute": _format_minute, "web_address": _safe_web_address, "seconds": _format_seconds}
    return environment


def _format_minute(at: str | None) -> str:
    """``2024-01-15 10:00 UTC`` for an RFC 3339 time; other text unchanged; 'unknown' for no time."""
    if not at:
        return "unknown"
    try:
        return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return at


def _format_seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s"


def _safe_web_address(url: str | None) -> str:
    """``url`` if it is a web address, else '': a `javascript:` URL must not become a link."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ""
    return url if url and parts.scheme in ("http", "https") and parts.hostname else ""
