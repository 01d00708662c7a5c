"""The results of the contract: rows, rejects, and the values that a batch's rows share."""

from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from pydantic import Field
from typing_extensions import TypedDict

from collector.contract.limits import MAX_FUTURE_MS, UNKNOWN_POSITION

ENCODER = msgspec.json.Encoder()


class InvalidBatch(Exception):
    """The body as a whole breaks the contract; ``status`` is the HTTP status, ``code`` a fixed word."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Row(msgspec.Struct, gc=False):
    """One normalised event with the fields of ``ufse.columns.EVENT_SCHEMA``."""

    project: str
    session_id: str
    event_id: str
    event_type: str
    ts: int
    seq: int
    received_ms: int
    user_hash: str
    route: str
    target_type: str = ""
    target_id: str = ""
    target_selector: str = ""
    target_tag: str = ""
    target_label: str = ""
    x: int = UNKNOWN_POSITION
    y: int = UNKNOWN_POSITION
    click_count: int = -1
    input_method: str = ""
    disabled: int = -1
    loading: int = -1
    selection: int = -1
    responded: int = -1
    action: str = ""
    field_type: str = ""
    depth: int = -1
    direction: str = ""
    valid: int = -1
    nav_from: str = ""
    nav_type: str = ""
    external: int = -1
    download: int = -1
    error_type: str = ""
    message: str = ""
    source: str = ""
    third_party: int = -1
    status: int = -1
    method: str = ""
    url: str = ""
    duration_ms: int = -1
    aborted: int = -1
    perf_kind: str = ""
    state: str = ""
    app_version: str = ""
    environment: str = ""
    sdk_version: str = ""
    user_agent: str = ""
    metadata: str = "{}"
    client_ts: int = -1
    sent_ms: int = -1
    own_id: str = ""
    cause: str = ""
    verdict_for: str = ""
    verdict: str = ""
    clicks: int = -1
    span_ms: int = -1
    body_error: int = -1
    frame: str = ""
    prerendered: int = -1
    during: str = ""


class SpoolRow(Row, gc=False, omit_defaults=True):
    """A row as a line of a spool segment: its JSON omits unknown values, which halves its size.

    The event store's table has the same defaults (``schema/clickhouse/010_omitted.sql``). The user agent is always written:
    people and tests read it in segments.
    """

    user_agent: str = msgspec.field(default_factory=str)  # a made default is never omitted


class RejectedEvent(TypedDict):
    """An event that broke a rule. It is kept in the dead letters and can be corrected and replayed."""

    index: Annotated[int, Field(ge=0)]
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """An event that broke a rule: its place in the batch or the file (from 0), the field and the reason."""

    index: int
    field: str
    reason: str

    def to_json(self) -> RejectedEvent:
        """Its JSON in HTTP answers."""
        return {"index": self.index, "field": self.field, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Source:
    """The values that the rows of one batch share: project, receipt and defaults.

    ``received_ms``: epoch milliseconds; negative: each event's own time is its receipt time. ``skew_ms`` is added to event
    times. ``sent_ms``: the client's time of sending, epoch milliseconds; -1: unknown. ``row_type``: `Row`, or `SpoolRow` for
    rows that are only written to the spool.
    """

    project: str
    received_ms: int
    salt: bytes
    skew_ms: int = 0
    sent_ms: int = -1
    app_version: str = ""
    environment: str = ""
    sdk_version: str = ""
    user_agent: str = ""
    row_type: type[Row] = Row
    blank: Row = field(init=False)
    """A row with the values that all rows share; each row begins as its copy."""
    latest_ms: int = field(init=False)
    """Later events are refused, epoch milliseconds."""

    def __post_init__(self) -> None:
        blank = self.row_type(
            self.project,
            "",
            "",
            "",
            0,
            -1,
            self.received_ms,
            "",
            "",
            app_version=self.app_version,
            environment=self.environment,
            sdk_version=self.sdk_version,
            user_agent=self.user_agent,
            sent_ms=self.sent_ms,
        )
        object.__setattr__(self, "blank", blank)
        object.__setattr__(self, "latest_ms", self.received_ms + MAX_FUTURE_MS)


@dataclass(slots=True)
class Batch:
    """The result of a batch: ``rows`` to store, ``rejects`` to answer, ``dead_letters`` (JSON lines) to keep for a replay."""

    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    dead_letters: list[bytes] = field(default_factory=list)

    def encode_rows(self) -> bytes:
        """The rows as JSON lines, as a spool segment holds them."""
        return ENCODER.encode_lines(self.rows)


class Rejected(Exception):
    """An event that breaks a rule: the field and the reason."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason
