"""Events in memory as the table that the engine reads."""

import json
from collections.abc import Iterable

import pyarrow as pa

from collector.contract import Reject, iterate_lines, to_arrow


def build_table(events: Iterable[object]) -> tuple[pa.Table, list[Reject]]:
    """The table of ``events``, as if they were the lines of a file, and the rejected ones."""
    rejects: list[Reject] = []
    rows = list(iterate_lines((json.dumps(event).encode() for event in events), rejects))
    return pa.Table.from_batches([to_arrow(rows)]), rejects
