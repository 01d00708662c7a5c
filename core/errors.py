"""Every error that Furrow raises itself.

FurrowError
 ├── TransientError   the same call may succeed later (connection lost, 429, 5xx, lock timeout)
 └── PermanentError   trying again cannot help: a person must act (refused credentials, invalid field)
      ├── WrongUse        a command was called with what it cannot mean
      └── NotConfigured   the service has no address or credentials; callers fall back to log-only

Retrying is one ``isinstance``: tasks retry ``TransientError`` and nothing else (architecture.md, Retries).
Messages never hold secrets: they are shown in logs, artifacts and tickets.
"""


class FurrowError(Exception):
    """Root of the errors that Furrow raises on purpose."""


class TransientError(FurrowError):
    """The same call may succeed later; ``retry_after``: the wait in seconds that the other side asked for."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(FurrowError):
    """The same call can never succeed; it is kept with its reason and not retried."""


class WrongUse(PermanentError):
    """A command was called with wrong arguments: one line of message, exit code 2."""


class NotConfigured(PermanentError):
    """The service is not configured: the caller logs what it would have done and leaves the work pending."""


def describe_error(error: BaseException) -> str:
    """An error for people: the words of those that are Furrow's own; others are faults, and name themselves."""
    return str(error) if isinstance(error, FurrowError) else f"{type(error).__name__}: {error}"
