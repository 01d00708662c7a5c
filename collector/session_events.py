"""The stored events of a session, asked of the lander beside this collector (`core.session_window`).

The collector cannot read the event store: the embedded one admits a single process, and a server is out of reach of the
process that faces the internet (docs/decisions/0126).
"""

import logging
from pathlib import Path
from typing import Final

import anyio
import msgspec

from core.metrics import count_degraded
from core.session_window import MAX_LINE_BYTES, SessionWindow, WindowAnswer, WindowRequest, find_window_socket
from core.short_sockets import open_short_path

_SECONDS: Final = 10.0
_AT_ONCE: Final = 4
_log = logging.getLogger("collector.session_events")


class EventsUnavailable(Exception):
    """The events of a session could not be read; the message says why, for people."""


class SessionEvents:
    """Asks for windows of sessions, four at once."""

    def __init__(self, lander_status: Path | None) -> None:
        """``lander_status``: the file of the lander whose socket is asked; None: there is no lander."""
        self._socket = find_window_socket(lander_status) if lander_status else None
        self._turns = anyio.CapacityLimiter(_AT_ONCE)

    @property
    def is_configured(self) -> bool:
        """Whether there is a lander to ask; it may be away."""
        return self._socket is not None

    async def read_window(self, request: WindowRequest) -> SessionWindow:
        """The window. Raises EventsUnavailable when the lander or the event store does not answer within 10 s."""
        if self._socket is None:
            raise EventsUnavailable("no lander is configured")
        try:
            with anyio.fail_after(_SECONDS):
                async with self._turns:
                    answer = await self._ask(self._socket, request)
        except (OSError, TimeoutError, anyio.BrokenResourceError, anyio.EndOfStream, msgspec.MsgspecError) as error:
            count_degraded("session_events", type(error).__name__)
            _log.warning("the lander did not answer: %s", error)
            raise EventsUnavailable("the lander, which reads the event store, does not answer") from None
        if answer.window is None:
            count_degraded("session_events", "refused")
            raise EventsUnavailable(answer.error)
        return answer.window

    async def _ask(self, path: Path, request: WindowRequest) -> WindowAnswer:
        with open_short_path(path) as short:
            stream = await anyio.connect_unix(short)
        async with stream:
            await stream.send(msgspec.json.encode(request) + b"\n")
            line = bytearray()
            while not line.endswith(b"\n"):
                line += await stream.receive()
                if len(line) > MAX_LINE_BYTES:
                    raise OSError("the answer is too long")
        return msgspec.json.decode(line, type=WindowAnswer)
