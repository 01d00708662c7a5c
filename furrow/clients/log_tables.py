"""An access log as the table that the engine reads, without a collector."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from collector.contract import Reject, iterate_lines, to_arrow
from furrow.clients.access_log import read_access_log

if TYPE_CHECKING:
    import pyarrow as pa

_SALT = b"furrow"  # nothing leaves this machine: the same visitors each time


def read_log_table(path: Path | str) -> "tuple[pa.Table, list[Reject]]":
    """The events of an access log, and the lines that have none with their reasons, in the order of the lines.

    Raises OSError, and ValueError for a damaged gzip.
    """
    import pyarrow as pa

    problems: list[Reject] = []
    numbers: list[int] = []

    def encode_events() -> Iterator[bytes]:
        for line in read_access_log(path, salt=_SALT):
            if line.event is None:
                problems.append(Reject(line.number - 1, "", line.problem))
            else:
                numbers.append(line.number)
                yield msgspec.json.encode(line.event)

    refused: list[Reject] = []
    batch = to_arrow(list(iterate_lines(encode_events(), refused)))
    problems += [Reject(numbers[found.index] - 1, found.field, found.reason) for found in refused]
    return pa.Table.from_batches([batch]), sorted(problems, key=lambda found: found.index)
