"""How a process of Furrow ends with an expected error: one line on standard error and the exit code."""

import sys
from collections.abc import Callable

from pydantic import ValidationError

from core.errors import FurrowError, exit_code
from core.settings import Settings, wrong_settings


def run_to_exit_code(work: Callable[[], object]) -> int:
    """Run ``work``; 0, or the exit code of the error of Furrow or of the settings that ended it."""
    try:
        work()
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        return _print_error(wrong_settings(error))
    except FurrowError as error:
        return _print_error(error)
    return 0


def _print_error(error: FurrowError) -> int:
    print(f"furrow: {error}", file=sys.stderr)
    return exit_code(error)
