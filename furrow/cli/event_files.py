"""The files that `send`, `detect` and `evaluate` read: their formats, named by ``--format`` or recognised."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from core.errors import PermanentError, WrongUse
from core.plurals import format_count
from furrow.cli.common import err, styled_text

if TYPE_CHECKING:
    import pyarrow as pa

    from collector.contract import Reject

SHOWN: Final = 20
"""How many examples a command prints."""


class Format(StrEnum):
    """Formats that `furrow send` reads."""

    events = "events"
    combined = "combined"
    dead_letters = "dead-letters"


def parse_send_format(name: str) -> str:
    """A value of `furrow send --format`: a `Format` or the name of a stream. Raises typer.BadParameter, which lists them."""
    return _require_format(name, [fmt.value for fmt in Format])


def parse_detect_format(name: str) -> str:
    """A value of `furrow detect --format`: events or the name of a stream. Raises typer.BadParameter, which lists them."""
    return _require_format(name, [Format.events.value])


def _require_format(name: str, own: list[str]) -> str:
    from furrow.clients.stream_files import list_stream_names

    known = own + list_stream_names()
    if name and name not in known:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(known)}.")
    return name


def check_file_kind(file: Path, expected: str) -> None:
    """Raise WrongUse when the file looks like the other format: all its lines would be rejected."""
    from furrow.clients.file_kinds import ACCESS_LOG, BINARY, EVENTS, guess_file_kind
    from furrow.clients.stream_files import recognise_stream_file

    if expected not in list(Format):
        return  # a stream: each line that is not of it is reported
    try:
        found = guess_file_kind(file)
        stream_file = None if found == ACCESS_LOG or expected != Format.events else recognise_stream_file(file)
    except (OSError, ValueError):
        return  # reading the file raises the error
    if stream_file:
        name, title = stream_file.stream.name, stream_file.stream.title
        raise WrongUse(f"{file.name} looks like what {title} sends: pass --format {name}")
    if found == BINARY:
        raise _make_binary_file_error(file)
    if found == ACCESS_LOG and expected != Format.combined:
        raise WrongUse(f"{file.name} looks like an access log: pass --format combined")
    if found == EVENTS and expected == Format.combined:
        raise WrongUse(f"{file.name} looks like events, one JSON object per line: omit --format combined")


def _make_binary_file_error(file: Path) -> WrongUse:
    return WrongUse(
        f"{file.name} is not a text file; events are one JSON object per line, plain or .gz, {_list_streams()}"
    )


def read_event_table(file: Path, format: str = "") -> "pa.Table":
    try:
        table, rejects = _read_rows(file, format)
    except ValueError as error:
        raise PermanentError(f"{file.name} cannot be read: {error}") from error
    for reject in rejects[:SHOWN]:
        err.print(styled_text(describe_reject(reject.index + 1, reject.field, reject.reason)))
    if rejects:
        err.print(f"{format_count(len(rejects), 'event')} rejected")
    if rejects and not table.num_rows:
        raise PermanentError(
            f"{file.name} contains no events; `furrow detect` reads one JSON object per line, {_list_streams()}"
        )
    return table


def _read_rows(file: Path, format: str) -> "tuple[pa.Table, list[Reject]]":
    """The events of a file of the named or recognised format, and what was rejected; its format is printed if recognised."""
    from collector.contract import read_events
    from furrow.clients.file_kinds import ACCESS_LOG, BINARY, guess_file_kind
    from furrow.clients.log_tables import read_log_table
    from furrow.clients.stream_files import (
        has_recorded_requests,
        open_stream_file,
        read_stream_events,
        recognise_stream_file,
    )

    if format and format != Format.events:
        return read_stream_events(open_stream_file(file, format))
    kind = guess_file_kind(file)
    if kind == ACCESS_LOG:
        return read_log_table(file)
    if not format and (found := recognise_stream_file(file)):
        err.print(styled_text(f"{file.name} is read as --format {found.stream.name} ({found.stream.title})"))
        return read_stream_events(found)
    if kind == BINARY:
        raise _make_binary_file_error(file)
    if not format and has_recorded_requests(file):
        raise WrongUse(f"{file.name} has recorded requests of an unknown format: {_list_streams().removeprefix('or ')}")
    return read_events(file)


def _list_streams() -> str:
    from furrow.clients.stream_files import list_stream_names

    return f"or pass --format {', '.join(list_stream_names())}"


def describe_reject(line: int, field: str, reason: str) -> str:
    return f"line {line}: {f'{field}: ' if field else ''}{reason}"
