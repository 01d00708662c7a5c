"""What an adapter reads and returns, and what a stream declares (`collector.streams.registry`).

An adapter is a pure function: a decoded request in, events of the contract out (docs/contracts/events.md, in the JSON form that
`POST /v1/events` accepts). Masking, validation and identity follow after it and are the same as for every other sender.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

WireEvent = dict[str, object]
"""One event in the JSON form of the contract; only fields that the adapter names itself (a white list)."""

MAX_STREAM_BYTES: Final = 1 << 20
"""Default of `Stream.max_bytes`."""


@dataclass(frozen=True, slots=True)
class SentBody:
    """One request as an adapter sees it.

    ``content``: the body, inflated. ``path``: what follows the key in the path, without a leading slash (``v1/traces``).
    ``query``: the decoded query parameters; of a repeated parameter the last. ``media_type``: in lower case, without
    parameters, or empty. ``received_ms``: receipt time in epoch milliseconds.
    """

    content: bytes
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    media_type: str = ""
    received_ms: int = 0


class UnreadableBody(ValueError):
    """The body as a whole is not of this format; the message says why, without its content."""


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """An item that should have become an event and could not. ``field``: the vendor's name of the field that is wrong.

    ``kept``: the white-listed part of the item, for the dead letters: in the shape of an event where the adapter could read
    what it is, else as an item that `Stream.reread` takes (`collector.streams.kept`).
    """

    field: str
    reason: str
    kept: WireEvent


@dataclass(slots=True)
class Reading:
    """What one body holds.

    ``events``: for the contract; each has a ``timestamp``, a ``sessionId`` and an ``idempotencyKey`` made from the vendor's own
    id, so that a request that is sent again stores nothing twice. ``rejects``: items with a reason. ``ignored``: how many
    items of which kind are not for Furrow (by the vendor's name of the kind; a fixed set of names, never text from the body).
    ``sent_ms``: the client's clock when it sent the request, epoch milliseconds; None where the format names none.
    ``sdk_version``: of the vendor's SDK, ``name/version``, or empty.
    """

    events: list[WireEvent] = field(default_factory=list)
    rejects: list[RejectedItem] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    sent_ms: int | None = None
    sdk_version: str = ""


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """The answer that a vendor's SDK expects after a request was made durable."""

    status: int = 200
    content: bytes = b"{}"
    media_type: str = "application/json"


def answer_with_empty_object(sent: SentBody, reading: Reading) -> StreamAnswer:
    """200 with ``{}``."""
    del sent, reading
    return StreamAnswer()


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One vendor's format.

    ``name``: in the path (`/intake/<name>/<key>/…`) and in `--format`. ``read``: the adapter; raises UnreadableBody.
    ``recognises``: whether a body (a line of a file, say) is surely of this format. ``answer``: after the events are durable.
    ``unreadable_status``: the status for a body that is not of the format; it is counted and kept as a dead letter.
    ``configuration``: answers a GET below the stream's path (remote configuration), None where there is none.
    ``separate_lines``: a body may be lines of JSON that do not depend on each other, so that each line of a file is a body.
    ``request_headers``: beyond the usual ones, for preflights. ``lacks``: what this stream never reports, for the rules,
    in words (``furrow doctor``). ``reread``: the ``event`` of a letter with an item of this format → what it gives now.
    """

    name: str
    title: str
    read: Callable[[SentBody], Reading]
    recognises: Callable[[SentBody], bool]
    answer: Callable[[SentBody, Reading], StreamAnswer] = answer_with_empty_object
    unreadable_status: int = 400
    max_bytes: int = MAX_STREAM_BYTES
    configuration: Callable[[str], StreamAnswer | None] | None = None
    separate_lines: bool = False
    request_headers: tuple[str, ...] = ()
    allows_credentials: bool = False
    lacks: tuple[str, ...] = ()
    reread: Callable[[Mapping[str, object]], Reading] | None = None
