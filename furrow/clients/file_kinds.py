"""Guesses the format of a file from its first lines, so that a wrong `--format` fails at once."""

from itertools import islice
from pathlib import Path
from typing import Final

from collector.contract import decode_json, open_lines
from furrow.clients.log_dialects import is_log_line

ACCESS_LOG: Final = "access log"
EVENTS: Final = "events"
BINARY: Final = "binary"
_LOOKED_AT: Final = 20


def guess_file_kind(path: Path) -> str:
    """``ACCESS_LOG`` or ``EVENTS`` if the first lines have only this format, otherwise ''.

    ``BINARY`` if the first lines have neither format and one of them is not text (UTF-8).

    Raises OSError and ValueError when the file cannot be read.
    """
    lines = [line for line in islice(open_lines(path), _LOOKED_AT) if line.strip()]
    logged = sum(is_log_line(line) for line in lines)
    objects = sum(_is_json_object(line) and not is_log_line(line) for line in lines)
    if logged and not objects:
        return ACCESS_LOG
    if not logged and not objects and any(map(_is_not_text, lines)):
        return BINARY
    return EVENTS if objects and not logged else ""


def _is_not_text(line: bytes) -> bool:
    if b"\0" in line:
        return True
    try:
        line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return True
    return False


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(decode_json(line), dict)
    except ValueError:
        return False
