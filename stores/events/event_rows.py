"""Events as the queries give them and as the engine takes them: columns of ids, numbers and texts."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ufse.columns import DISTINCT, EVENT_SCHEMA

# An event id as its 16 bytes: as text it would cost as much as ten other columns.
EVENT_COLUMNS = "session_hash, " + ", ".join(
    "UUIDToNum(event_id) AS event_id" if name == "event_id" else name for name in EVENT_SCHEMA.names
)
"""What a query selects for `build_event_table`."""


def build_event_table(found: pa.Table) -> pa.Table:
    """The events of a query for ``EVENT_COLUMNS``, once each: the columns of `EVENT_SCHEMA`, in no particular order.

    Texts of few values are dictionaries, as ClickHouse keeps them.
    """
    table = _drop_repeated_events(found.combine_chunks())
    columns = [_format_uuids(table[name]) if name == "event_id" else table[name] for name in EVENT_SCHEMA.names]
    return pa.Table.from_arrays(columns, EVENT_SCHEMA.names, metadata={DISTINCT: b"1"})


def to_int64_array(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A column as int64."""
    return np.asarray(column.to_numpy(), dtype=np.int64)


def to_uint64_array(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """A column as uint64."""
    return np.asarray(column.to_numpy(), dtype=np.uint64)


def _drop_repeated_events(table: pa.Table) -> pa.Table:
    """The table without the later copies of an event: of one (session_hash, event_id) the copy received first stays.

    Here and not in the query: there it needs a sort of whole rows, which takes as long as reading them.
    """
    raw = _view_id_bytes(table["event_id"]).view(np.uint64)
    key = raw[:, 0] ^ raw[:, 1]
    ordered = np.sort(key)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return table
    rows = np.flatnonzero(np.isin(key, repeated))
    session, received, ts = (
        to_uint64_array(table["session_hash"]),
        to_int64_array(table["received_ms"]),
        to_int64_array(table["ts"]),
    )
    rows = rows[np.lexsort((ts[rows], received[rows], raw[rows, 1], raw[rows, 0], session[rows]))]
    same = (session[rows[1:]] == session[rows[:-1]]) & (raw[rows[1:]] == raw[rows[:-1]]).all(axis=1)
    keep = np.ones(table.num_rows, dtype=np.bool_)
    keep[rows[1:][same]] = False
    return table.filter(pa.array(keep))


def _view_id_bytes(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """A column of 16-byte binaries without nulls as an array of (rows, 16)."""
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype=np.uint8)[16 * chunk.offset : 16 * (chunk.offset + len(chunk))]
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate([np.zeros(0, np.uint8), *parts]).reshape(-1, 16)


_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), dtype=np.uint16)
_DASHED = ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24))  # digits from, to; place in the text


def _format_uuids(column: pa.ChunkedArray) -> pa.Array:
    """Ids of 16 bytes as the usual text of 36 characters."""
    raw = _view_id_bytes(column)
    digits = _HEX[raw].view(np.uint8)
    texts = np.full((len(raw), 36), ord("-"), dtype=np.uint8)
    for low, high, place in _DASHED:
        texts[:, place : place + high - low] = digits[:, low:high]
    offsets = np.arange(0, 36 * (len(raw) + 1), 36, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(raw), [None, pa.py_buffer(offsets), pa.py_buffer(texts)])
