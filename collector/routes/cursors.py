"""Cursors of lists: where the next page begins, as text that clients give back."""

import base64
import binascii
import re
from datetime import datetime
from typing import Final

import msgspec

from collector.http_errors import ApiError
from incidents.model import Place

MAX_CURSOR: Final = 200
"""Characters of a cursor."""
_INCIDENT_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,100}")
_WHOLE: Final = re.compile(r"-?\d{1,9}", re.ASCII)
_DECIMAL: Final = re.compile(r"\d{1,3}(?:\.\d{1,20})?", re.ASCII)
_PRIORITY: Final = re.compile(r"P[0-4]")
_PATTERNS: Final = {
    "affectedSessions": _WHOLE,
    "affectedUsers": _WHOLE,
    "highestScore": _WHOLE,
    "severity": _WHOLE,
    "medianScore": _DECIMAL,
    "priority": _PRIORITY,
}
"""What a value of these orders looks like; those of the others are times."""


def write_cursor(place: Place | None) -> str:
    """The text for ``place``; '' for none."""
    if place is None:
        return ""
    return base64.urlsafe_b64encode(msgspec.json.encode([place.value, place.incident_id])).decode().rstrip("=")


def read_cursor(text: str, sort: str, name: str) -> Place | None:
    """Where a page begins; None for ''. Raises ApiError (400) for a text that no page of this order has. ``name``: that of the
    parameter."""
    if not text:
        return None
    try:
        packed = base64.b64decode(text[:MAX_CURSOR] + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        value, incident_id = msgspec.json.decode(packed, type=tuple[str, str])
        pattern = _PATTERNS.get(sort.removeprefix("-"))
        valid = pattern.fullmatch(value) if pattern else datetime.fromisoformat(value).tzinfo
        if not valid or not _INCIDENT_ID.fullmatch(incident_id):
            raise ValueError
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise ApiError(400, "invalid_parameter", f"`{name}` is of another list: open the first page.") from None
    return Place(value, incident_id)
