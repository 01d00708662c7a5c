"""Names of people as trackers tell them, for texts that Furrow keeps."""

import re
from typing import Final

from trackers.http_errors import to_safe_line

_LONGEST: Final = 80
_ADDRESS: Final = re.compile(r"[^\s@<>()]{1,64}@[^\s@<>()]{1,255}")


def to_person_name(text: str | None) -> str:
    """A name on one line of at most 80 characters; an e-mail address in it is ``[email]``. '' without a name."""
    return to_safe_line(_ADDRESS.sub("[email]", (text or "")[:1_000]), limit=_LONGEST)
