"""Spans of time as people write them: `7d`, or `2026-01-01..2026-01-08`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from core.errors import WrongUse

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LAST = re.compile(r"(\d{1,5})([mhdw])")


def parse_window(text: str, now: datetime) -> tuple[datetime, datetime]:
    """The span [start, end) of ``90m``, ``24h``, ``7d``, ``2w`` (until ``now``), ``A..B`` or ``A..`` (until ``now``).

    A and B are dates (their midnight) or times, UTC if they name no zone. Raises WrongUse for anything else, and for a
    span that holds nothing.
    """
    text = text.strip()
    if last := _LAST.fullmatch(text):
        start, end = now - int(last[1]) * _UNITS[last[2]], now
    else:
        begin, dots, finish = text.partition("..")
        if not dots or not begin:
            raise _wrong_window_error(text)
        start, end = _parse_moment(begin, text), _parse_moment(finish, text) if finish else now
    if start >= end:
        raise WrongUse(f"the window {text!r} is empty: its start must lie before its end")
    return start, end


def _parse_moment(moment: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(moment.strip())
    except ValueError:
        raise _wrong_window_error(text) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _wrong_window_error(text: str) -> WrongUse:
    return WrongUse(
        f"a window looks like 7d, 24h or 2026-01-01..2026-01-08 (the end is not in it), not like {text[:50]!r}"
    )
