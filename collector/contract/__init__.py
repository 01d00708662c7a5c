"""The event contract: a batch or a file as sent → normalised rows and rejects (docs/contracts/events.md).

An invalid event is rejected alone, with the name of the field; the rest of its batch is accepted. What the contract does not
mention is accepted: unknown top-level keys are ignored, ``null`` means absent. Numbers and truth values of metadata may be
written as text; a known metadata key of another type stays in ``metadata``, and its column is unknown. A missing key means
unknown, never false.
"""

from collector.contract.batches import normalise_batch
from collector.contract.bodies import decode_body
from collector.contract.dead_letters import mask_event
from collector.contract.decoding import decode_json
from collector.contract.files import iterate_lines, open_lines, read_events, to_arrow
from collector.contract.limits import (
    MAX_BODY_BYTES,
    MAX_EVENTS,
    MAX_FUTURE_MS,
    MAX_LABEL,
    MAX_METADATA_BYTES,
    MAX_ROUTE,
    MAX_SESSION_ID,
    REPLAY_HEADER,
    SKEW_TOLERANCE_MS,
    UNKNOWN_POSITION,
)
from collector.contract.rows import Batch, InvalidBatch, Reject, RejectedEvent, Row, Source, SpoolRow
from collector.contract.times import parse_time

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_EVENTS",
    "MAX_FUTURE_MS",
    "MAX_LABEL",
    "MAX_METADATA_BYTES",
    "MAX_ROUTE",
    "MAX_SESSION_ID",
    "REPLAY_HEADER",
    "SKEW_TOLERANCE_MS",
    "UNKNOWN_POSITION",
    "Batch",
    "InvalidBatch",
    "Reject",
    "RejectedEvent",
    "Row",
    "Source",
    "SpoolRow",
    "decode_body",
    "decode_json",
    "iterate_lines",
    "mask_event",
    "normalise_batch",
    "open_lines",
    "parse_time",
    "read_events",
    "to_arrow",
]
