"""The check of ``furrow doctor`` on the file of owners."""

from typing import NamedTuple

from core.errors import PermanentError
from core.plurals import format_count
from core.settings import Settings
from incidents.owners_file import load_owners


class OwnersCheck(NamedTuple):
    """Whether every line of the file is right, and the problems in words."""

    is_right: bool
    detail: str


def check_owners_file(settings: Settings) -> OwnersCheck | None:
    """Read the file of owners as this shell sees it; None without one."""
    if settings.owners_file is None:
        return None
    try:
        rules = load_owners(settings.owners_file)
    except PermanentError as error:
        return OwnersCheck(False, str(error))
    if not rules.problems:
        return OwnersCheck(True, f"{format_count(len(rules.rules), 'rule')} in {settings.owners_file}")
    more = f" and {len(rules.problems) - 1:,} more" if len(rules.problems) > 1 else ""
    return OwnersCheck(False, f"{settings.owners_file}: {rules.problems[0]}{more}; the other lines hold")
