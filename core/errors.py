"""Every error that Furrow raises itself.

FurrowError
 ├── TransientError   the same call may succeed later (connection lost, 429, 5xx, lock timeout)
 └── PermanentError   trying again cannot help: a person must act (refused credentials, invalid field)
      ├── WrongUse        a command was called with wrong arguments
      └── NotConfigured   the service has no address or credentials; callers fall back to log-only

Exit codes of commands: ``WrongUse`` ends with 2, every other failure with 1 (docs/commands.md).
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
    """A command was called with arguments that no installation accepts: one line of message, exit code 2.

    What another installation, another file or a later time would accept is no wrong use: an unknown project or incident, a
    store that is unreachable.
    """


class NotConfigured(PermanentError):
    """The service is not configured: the caller logs what it would have done and leaves the work pending."""


def exit_code(error: BaseException) -> int:
    """The exit code of a command that ``error`` ended: 2 for wrong use (as for an unknown option), else 1."""
    return 2 if isinstance(error, WrongUse) else 1
