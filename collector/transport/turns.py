"""Schedules the work on bodies (decoding, masking) fairly between their sources.

Python works on one body at a time: without this, the source that sends most would be served most, and the others would wait.
Here the sources are served in rotation, one body each, and the event loop runs between two bodies.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, TypeVar

import anyio.to_thread

SMALL_BYTES: Final = 4 << 10
"""Bodies up to this size are processed at once: half a millisecond of work."""
LONG_BYTES: Final = 64 << 10
"""Larger bodies are processed in a thread; for smaller ones the switch costs more than it gains."""

_T = TypeVar("_T")


class LostTurn(Exception):
    """The request lost its place in the queue."""


class Turns:
    """Processes one body at a time. Use it on the event loop only."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._turns: dict[object, asyncio.Future[None]] = {}  # request → its future
        self._taken = False

    async def run_in_turn(self, whose: object, source: str, size: int, work: Callable[[], _T]) -> _T:
        """Run ``work`` in the turn of ``source``, for a body of ``size`` inflated bytes; returns what it returns.

        Raises LostTurn when ``whose`` is removed before its turn, and what ``work`` raises.
        """
        if size <= SMALL_BYTES:
            return work()
        await self._wait_for_turn(whose, source)
        try:
            return await anyio.to_thread.run_sync(work) if size > LONG_BYTES else work()
        finally:
            # Not at once: the event loop handles its sockets before the next body.
            asyncio.get_running_loop().call_soon(self._pass_turn)

    def is_waiting(self, whose: object) -> bool:
        """Whether ``whose`` still waits for its turn."""
        return whose in self._turns

    def give_up_turn(self, whose: object) -> None:
        """Remove ``whose`` from the queue."""
        turn = self._turns.pop(whose, None)
        if turn is not None and not turn.done():
            turn.set_exception(LostTurn())

    async def _wait_for_turn(self, whose: object, source: str) -> None:
        if not self._taken:
            self._taken = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(source, deque()).append(turn)
        self._turns[whose] = turn
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_turn()
            raise
        finally:
            self._turns.pop(whose, None)

    def _pass_turn(self) -> None:
        while self._waiting:
            source, line = self._waiting.popitem(last=False)
            turn = line.popleft()
            if line:
                self._waiting[source] = line  # at the end
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
