"""New API keys. Only a key's hash and its first characters are stored."""

import secrets
from typing import Final

from core.roles import KeyRole

PREFIX_LENGTH: Final = 11
"""First characters of a key, by which people recognise it in lists."""
LABEL_LENGTH: Final = 100
"""Most characters of the name of a key's user."""


def generate_api_key(role: KeyRole) -> str:
    """A new key: fi (ingest), fv (viewer), fo (operator) or fa (admin), then 256 random bits."""
    return f"f{role[0]}_{secrets.token_urlsafe(32)}"
