"""Registers blocks and deployments as soon as the Prefect server answers, with retries.

Nothing else waits for it: events are accepted and stored in the meantime.
"""

import threading
from collections.abc import Callable
from typing import Final

from core.errors import FurrowError
from core.metrics import count_degraded

RETRY_S: Final = 30.0
"""Seconds between two attempts."""
_POLL_S = 0.2


class Registration:
    """A thread that waits until ``answers()`` is true and then calls ``register``, until that raises no FurrowError.

    ``say``: called with a message for each new reason of a failure.
    """

    def __init__(self, answers: Callable[[], bool], register: Callable[[], None], say: Callable[[str], None]) -> None:
        self._answers = answers
        self._register = register
        self._say = say
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.done = threading.Event()
        self.trouble = ""
        """Reason of the last failure; '' if there was none."""

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._register_when_ready, name="furrow-registration", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. The caller must interrupt a ``register`` that is being executed."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(RETRY_S)

    def _register_when_ready(self) -> None:
        while not self._stop.wait(_POLL_S):
            if not self._answers():
                continue
            try:
                self._register()
            except FurrowError as error:
                if self._stop.is_set():
                    return
                count_degraded("registration", type(error).__name__)
                self._report_trouble(str(error))
                self._stop.wait(RETRY_S)
            else:
                if self.trouble:
                    self._say("deployments are registered")
                self.done.set()
                return

    def _report_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            self._say(f"deployments are not registered yet, trying again every {RETRY_S:.0f} s: {trouble}")
        self.trouble = trouble
