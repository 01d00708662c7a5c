"""How far a run that has much to do has come: a bar in the Prefect UI and a line in its log for each slice."""

import logging
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from core.metrics import count_degraded

_log = logging.getLogger("furrow.progress")


class Progress:
    """The progress of one run. Nothing appears before the first call of `tell`: most runs have one slice.

    ``key``: the name of the artifact in the UI.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._artifact: UUID | None = None
        self._done = 0
        self.slices = 0

    def report_slice(self, done: int, left: int, what: str) -> None:
        """One more slice is committed: ``done`` units of it, and ``left`` are still to do; ``what`` says which, in a line."""
        self.slices += 1
        self._done += done
        description = f"slice {self.slices}: {what}"
        _log.info(description)
        percent = 100.0 * self._done / max(self._done + left, 1)
        try:
            if self._artifact is None:
                self._artifact = _create_artifact(percent, self._key, description)
            else:
                update_progress_artifact(self._artifact, percent, description=description)
        except Exception:
            # The slice is done and must not be undone for want of its description.
            count_degraded(self._key, "artifact")
            _log.exception("the progress of this run could not be shown")


def _create_artifact(percent: float, key: str, description: str) -> UUID:
    made = create_progress_artifact(percent, key=key, description=description)
    assert isinstance(made, UUID)  # a coroutine in asynchronous flows, which ours are not
    return made
