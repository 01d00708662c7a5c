"""Files and lists of events → Arrow tables for the engine."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from collector.contract.decoding import DECODER, decode_json
from collector.contract.events import event_to_row
from collector.contract.identity import Identity
from collector.contract.rows import Reject, Rejected, Row, Source

if TYPE_CHECKING:
    import pyarrow as pa

_FILE_ROWS_PER_CHUNK = 10_000


def read_events(
    path: Path | str, *, project: str = "default", salt: bytes = b"furrow"
) -> "tuple[pa.Table, list[Reject]]":
    """Read a file of events, one JSON object per line (plain or gzip): a table of EVENT_SCHEMA, and the rejected lines.

    Each event's own time is its receipt time: events in a file did not arrive late. Raises OSError, and ValueError for a
    damaged gzip.
    """
    import pyarrow as pa

    from ufse.columns import EVENT_SCHEMA

    rejects: list[Reject] = []
    rows: list[Row] = []
    chunks: list[pa.RecordBatch] = []
    for row in iterate_lines(open_lines(path), rejects, project=project, salt=salt):
        rows.append(row)
        if len(rows) == _FILE_ROWS_PER_CHUNK:
            chunks.append(to_arrow(rows))
            rows = []
    chunks.append(to_arrow(rows))
    return pa.Table.from_batches(chunks, EVENT_SCHEMA), rejects


def open_lines(path: Path | str) -> Iterator[bytes]:
    """The lines of a plain or gzip file; the content decides which it is. Raises OSError, and ValueError for a damaged
    gzip."""
    with open(path, "rb") as plain:
        if plain.read(2) != b"\x1f\x8b":
            plain.seek(0)
            yield from plain
            return
    try:
        with gzip.open(path, "rb") as inflated:
            yield from inflated
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError("it is compressed (gzip), and cut off or damaged") from error


def iterate_lines(
    lines: Iterable[bytes], rejects: list[Reject], *, project: str = "default", salt: bytes = b"furrow"
) -> Iterator[Row]:
    """The rows of JSON lines. Invalid lines are appended to ``rejects`` with their index (from 0); blank lines are
    skipped."""
    identity = Identity(project, salt)
    source = Source(project=project, received_ms=-1, salt=salt)
    decode = DECODER.decode
    for number, line in enumerate(lines):
        try:
            event = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if not line.strip():
                continue
            try:
                event = decode_json(line)
            except ValueError as error:
                rejects.append(Reject(number, "", f"not JSON: {error}"))
                continue
        try:
            yield event_to_row(event, source, identity)
        except Rejected as rejected:
            rejects.append(Reject(number, rejected.field, rejected.reason))


def to_arrow(rows: list[Row]) -> "pa.RecordBatch":
    """Rows as one record batch of EVENT_SCHEMA."""
    import pyarrow as pa

    from ufse.columns import EVENT_SCHEMA

    columns = zip(*map(msgspec.structs.astuple, rows), strict=True) if rows else [()] * len(EVENT_SCHEMA)
    arrays = [_build_arrow_column(values, kind.type) for values, kind in zip(columns, EVENT_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA)


def _build_arrow_column(values: tuple[Any, ...], kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    # Most columns have one value in all rows (unknown), which Arrow repeats without reading each row.
    if values and values.count(values[0]) == len(values):
        return pa.repeat(pa.scalar(values[0], kind), len(values))
    return pa.array(values, kind)
