"""What the URL of a channel says, without showing it: its scheme, and the parts of it that are secrets."""

import re
from typing import Final

from pydantic import SecretStr

SLACK_SCHEMES: Final = ("slack",)
_PARTS: Final = re.compile(r"[/:@?&=#,]+")


def find_scheme(url: SecretStr) -> str:
    """The scheme of a URL, in lower case."""
    return url.get_secret_value().partition("://")[0].lower()


def list_secret_parts(url: SecretStr) -> list[str]:
    """The parts of a URL that no message may show, the longest first."""
    text = url.get_secret_value()
    return sorted({text, *_PARTS.split(text.partition("://")[2])}, key=len, reverse=True)
