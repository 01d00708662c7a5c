"""Errors as text for people: in artifacts, states of runs, last errors and commands."""

from typing import Final

from core.errors import FurrowError

_PACKAGES: Final = frozenset(
    {"blocks", "collector", "core", "flows", "furrow", "incidents", "lander", "stores", "tasks", "trackers", "ufse"}
)


def describe_error(error: BaseException) -> str:
    """An error as a sentence for people, without names of classes; the details are in the log.

    Furrow's own errors, errors of the operating system and of HTTP are described by their text. The text of other errors may
    hold data that was sent to Furrow, so only the place is named.
    """
    if isinstance(error, FurrowError):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        return describe_error(error.exceptions[0])
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    if any(base.__module__.partition(".")[0] == "httpx" for base in type(error).__mro__):
        from core.http_errors import describe_http_error

        return describe_http_error(error)
    place = _find_place(error)
    return f"an unexpected error{f' in {place}' if place else ''}; the log has its details"


def _find_place(error: BaseException) -> str:
    """Module and line of the innermost of our modules that ``error`` passed through; '' if it passed through none."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in _PACKAGES:
            found = f"{module}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found
