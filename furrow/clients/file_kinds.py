"""Which kind of file somebody names, by its first lines: a wrong one is told at once, not as a million rejected lines."""

from itertools import islice
from pathlib import Path
from typing import Final

from collector.contract import decode_json, open_lines
from furrow.clients.access_log import is_log_line

ACCESS_LOG: Final = "access log"
EVENTS: Final = "events"
_LOOKED_AT: Final = 20


def guess_file_kind(path: Path) -> str:
    """``ACCESS_LOG`` or ``EVENTS`` when the first lines are of one kind and none of the other, '' when it cannot be said.

    Raises OSError and ValueError when it cannot be read.
    """
    lines = [line for line in islice(open_lines(path), _LOOKED_AT) if line.strip()]
    logged = sum(is_log_line(line) for line in lines)
    objects = sum(_is_json_object(line) for line in lines)
    if logged and not objects:
        return ACCESS_LOG
    return EVENTS if objects and not logged else ""


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(decode_json(line), dict)
    except ValueError:
        return False
