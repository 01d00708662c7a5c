"""What the collector asks the lander about a stored client session, and the answer: a window of its events.

The collector has no access to the event store (docs/decisions/0126). The lander beside it has, and answers on a Unix socket in
the data directory which both processes share.
"""

from pathlib import Path
from typing import Final

import msgspec

SOCKET_NAME: Final = "session-events.sock"
SHOWN_EVENTS: Final = 150
"""Most events of one window: with texts of the greatest length, a page of so many is below 50 kB compressed."""
MAX_LINE_BYTES: Final = 4 << 20
"""Bytes of a request or an answer, each one line of JSON; an answer has at most ``SHOWN_EVENTS`` short texts."""


class WindowRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events of which session: ``SHOWN_EVENTS`` from the event number ``start`` (0 is the first), or if ``start`` is
    None those around the time ``around_ms`` (epoch ms; None: the first ones)."""

    project: str
    session_id: str
    start: int | None = None
    around_ms: int | None = None


class WindowEvent(msgspec.Struct, frozen=True):
    """One stored event. ``at_ms``: epoch ms, by the clock that the engine uses; ``failed``: the event is an error, or a
    request that was refused or not answered."""

    event_id: str
    at_ms: int
    kind: str
    text: str
    route: str
    failed: bool


class SessionWindow(msgspec.Struct, frozen=True):
    """A window of a session. ``total``: its stored events, 0 if none is stored; ``start``: number of the first event of
    ``events``; ``first_ms`` and ``last_ms``: times of the session's first and last event, epoch ms."""

    total: int
    start: int
    first_ms: int
    last_ms: int
    events: list[WindowEvent]


class WindowAnswer(msgspec.Struct, frozen=True):
    """The line that the lander sends: a window, or ``error``: why there is none."""

    window: SessionWindow | None = None
    error: str = ""


def find_window_socket(lander_status: Path) -> Path:
    """The socket of the lander that writes the file ``lander_status``."""
    return lander_status.with_name(SOCKET_NAME)


def choose_window_start(total: int, before: int) -> int:
    """Number of the first event of the window around the event number ``before``: a third of the window lies before it."""
    return max(0, min(before - SHOWN_EVENTS // 3, total - SHOWN_EVENTS))
