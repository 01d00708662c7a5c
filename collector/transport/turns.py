"""Takes turns at the work that bodies make (decoding, masking), fairly between the sources they come from.

Python does one thing at a time: whoever sends the most work would have the most of it done, and the others would wait behind.
Here the sources are served one after the other, one body each, and the event loop turns in between.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, TypeVar

import anyio.to_thread

SMALL_BYTES: Final = 4 << 10
"""Bodies up to this size wait for nobody: half a millisecond of work."""
LONG_BYTES: Final = 64 << 10
"""Bodies above are worked on in a thread; below that changing the thread costs more than it gives."""

_T = TypeVar("_T")


class LostTurn(Exception):
    """It lost its place in the line."""


class Turns:
    """One body at a time. It is used on the event loop alone."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._turns: dict[object, asyncio.Future[None]] = {}  # whose turn → the same, to find it
        self._taken = False

    async def run_in_turn(self, whose: object, source: str, size: int, work: Callable[[], _T]) -> _T:
        """What ``work`` returns or raises, done in the turn of ``source``, for a body of ``size`` inflated bytes.

        Raises GivenUp when ``whose`` is given up before its turn.
        """
        if size <= SMALL_BYTES:
            return work()
        await self._wait_for_turn(whose, source)
        try:
            return await anyio.to_thread.run_sync(work) if size > LONG_BYTES else work()
        finally:
            # Not at once: the loop looks at its sockets before the next one.
            asyncio.get_running_loop().call_soon(self._pass_turn)

    def is_waiting(self, whose: object) -> bool:
        """Whether its turn has not come yet."""
        return whose in self._turns

    def give_up_turn(self, whose: object) -> None:
        """Take it out of the line."""
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
                self._waiting[source] = line  # behind the others
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
