"""The engine on one core: events per second and memory, compared with a plain scan of the same columns.

``python -m bench.engine EVENTS ROUNDS`` prints one line of JSON; it pins itself to one core, so it needs its own process.
Rates are events per second of CPU time: with one thread that equals the wall time of an idle machine, and other processes
distort it less. A batch holds about EVENTS events (whole sessions, at least ten). For each length of session
and share of frustrated ones:

* ``scan``: every column read once (integers summed; of texts the lengths, of dictionaries the codes);
* ``sort``: one packed (session, time) key per event sorted: the minimum work of any engine on unordered events;
* ``stored`` and ``shuffled``: ``ufse.detect`` alone, of events as the store returns them (whole sessions, none twice) and as
  a file may hold them (in a random order, perhaps twice);
* ``emitted``: ``detect`` and every detection as JSON text, from the store's order;
* ``memory_mb``: see ``peak``.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.measure import ONE_THREAD, HighMark, clock, pin
from bench.sessions import Shape
from ufse import detect

SHAPES: Final = tuple(
    Shape(length, share, struggle)
    for length, struggle in ((40, False), (400, False), (4_000, False), (4_000, True))
    for share in (0.0, 0.1, 1.0)
)


def run(events: int, rounds: int) -> list[dict[str, Any]]:
    """One dictionary of figures for each shape; rates are events per second of CPU."""
    detect(Shape(40, 1.0).make(10))  # loading and compiling once is not counted
    return [_figures(shape, events, rounds) for shape in SHAPES if not (shape.struggle and shape.share == 0)]


def emit(table: pa.Table) -> int:
    """Detect, and encode every detection as JSON text. Returns their number."""
    return len([msgspec.json.encode(one.to_json()) for one in detect(table).detections])


def scan(table: pa.Table) -> int:
    """Read every column once. Returns the sum of the values."""
    return sum(_read(column) for column in table.columns)


def _read(column: pa.ChunkedArray) -> int:
    if pa.types.is_dictionary(column.type):
        return sum(int(pc.sum(chunk.indices).as_py() or 0) for chunk in column.chunks)
    return int(pc.sum(pc.binary_length(column) if pa.types.is_string(column.type) else column).as_py() or 0)


def sort(key: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    """The order of packed (session, time) keys."""
    np.argsort(key, kind="stable")


def _figures(shape: Shape, events: int, rounds: int) -> dict[str, Any]:
    sessions = max(events // shape.length, 10)
    table = shape.make(sessions)
    count = table.num_rows
    order = np.random.default_rng(11).permutation(count)
    mixed = table.take(pa.array(order)).combine_chunks().replace_schema_metadata(None)
    key = ((np.repeat(np.arange(sessions), shape.length) << 40) | np.tile(np.arange(shape.length), sessions))[order]
    found = [one.to_json()["sessionId"] for one in detect(mixed).detections]

    def rate(work: Callable[[], object]) -> int:
        took, _ = clock(work, rounds)
        return int(count / took.cpu)

    return {
        **asdict(shape),
        "events": count,
        "sessions": sessions,
        "frustrated": shape.frustrated(sessions),
        "found": len(set(found)),
        "detections": len(found),
        "scan": rate(partial(scan, table)),
        "sort": rate(partial(sort, key)),
        "stored": rate(partial(detect, table)),
        "shuffled": rate(partial(detect, mixed)),
        "emitted": rate(partial(emit, table)),
        "memory_mb": peak(table),
    }


def peak(table: pa.Table) -> float | None:
    """Peak memory of ``detect`` in megabytes per million events, results included, input excluded.

    A new process loads the table and compares the peak resident memory during ``detect`` with the resident memory before,
    so that no memory left from creating the table is reused. None on other systems than Linux.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "events.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        command = [sys.executable, "-m", "bench.engine", "--peak", str(path)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **ONE_THREAD})
    used = json.loads(told.stdout)
    return None if used is None else round(used / 1e6 / (table.num_rows / 1e6), 1)


def _peak(path: str) -> int | None:
    """Bytes; run in a process of its own."""
    pin()
    with pa.OSFile(path, "rb") as file:
        table = pa.ipc.open_file(file).read_all().combine_chunks()
    detect(Shape(40, 1.0).make(10))
    mark = HighMark()
    result = detect(table)
    return mark.above() if result.visits else None


def main() -> None:
    """Run the benchmark of this module."""
    if sys.argv[1] == "--peak":
        print(json.dumps(_peak(sys.argv[2])))
        return
    pin()
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]))))


if __name__ == "__main__":
    main()
