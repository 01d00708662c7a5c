"""What the URL of a channel says, without showing it: its scheme, and the parts that are secrets; what answers mean."""

import re
from typing import Final
from urllib.parse import unquote

from pydantic import SecretStr

SLACK_SCHEMES: Final = ("slack",)
UNSURE_STATUSES: Final = frozenset({500, 502, 504})
"""After these, the message may have arrived all the same: the channel failed at it, or a proxy gave up waiting for it."""
_PARTS: Final = re.compile(r"[/:@?&=#,]+")


def find_scheme(url: SecretStr) -> str:
    """The scheme of a URL, in lower case."""
    return url.get_secret_value().partition("://")[0].lower()


def list_secret_parts(url: SecretStr) -> list[str]:
    """The parts of a URL that no message may show, as they are written and as they are meant, the longest first."""
    text = url.get_secret_value()
    parts = {text, *_PARTS.split(text.partition("://")[2])}
    return sorted(parts | {unquote(part) for part in parts}, key=len, reverse=True)
