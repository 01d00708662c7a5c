"""What requests to a tracker wait for: the tracker's pause, the pace of all exporters, and the lease of the ticket.

The export sets a gate for its calls (`use_gate`). The clients of trackers send each request through it (`send_request`) and
pass it right before they create an issue (`pass_fence`). Without a gate, as in ``furrow doctor``, requests are sent at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol, TypeVar

from core.errors import PermanentError, TransientError

_T = TypeVar("_T")
MOST_TRIES: Final = 50
"""Most times that one request is sent because of rate limits; the gate's own end comes first, normally."""


class RateLimited(TransientError):
    """The tracker, or its gate, takes no request now. Nothing was done: it may be sent again after ``retry_after`` s."""


class AccessRefused(PermanentError):
    """The tracker refuses Furrow, not this ticket: the token, a permission, or the project or team is not there any more.

    ``everything``: no other request would be accepted, either.
    """

    everything = False


class WrongFields(AccessRefused):
    """The tracker does not take the fields that are configured for this ticket; it waits until they are right."""


class MissingTicket(PermanentError):
    """The ticket does not exist in the tracker any more, or is in its trash."""


class Gate(Protocol):
    """Where requests wait."""

    def wait_for_turn(self) -> None:
        """Return when a request may be sent. Raises RateLimited when that takes too long."""

    def close(self, seconds: float, reason: str) -> None:
        """The tracker takes no request for so many seconds."""

    def check_lease(self) -> None:
        """Raise TransientError unless the ticket is still this exporter's."""


_gate: ContextVar[Gate | None] = ContextVar("furrow_tracker_gate", default=None)


@contextmanager
def use_gate(gate: Gate) -> Iterator[None]:
    """Send the requests of this block through ``gate``."""
    before = _gate.set(gate)
    try:
        yield
    finally:
        _gate.reset(before)


def pass_fence() -> None:
    """Call right before a ticket is created. Raises TransientError when another exporter may have it."""
    if (gate := _gate.get()) is not None:
        gate.check_lease()


def send_request(send: Callable[[], _T]) -> _T:
    """The result of ``send``, which is called when the gate lets it pass, and again when the tracker asks to wait.

    ``send`` raises RateLimited only if nothing was done.
    """
    gate = _gate.get()
    if gate is None:
        return send()
    for _ in range(MOST_TRIES):
        gate.wait_for_turn()
        try:
            return send()
        except RateLimited as limit:
            if limit.retry_after is None:
                raise
            gate.close(limit.retry_after, str(limit))
            last = limit
        except TransientError as error:
            if error.retry_after:
                gate.close(error.retry_after, str(error))
            raise
    raise last


def note_exhausted(seconds: float | None) -> None:
    """The answer says that it used up a limit, which is renewed in so many seconds (None: it does not)."""
    gate = _gate.get()
    if gate is not None and seconds:
        gate.close(seconds, "the limit of requests is used up")
