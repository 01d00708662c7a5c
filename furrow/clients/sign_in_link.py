"""The sign-in link that ``furrow up`` prints, and keeps in a file that only its user can read."""

import os
from pathlib import Path
from typing import Final

from core.errors import FurrowError
from core.kept_secrets import development_keys
from core.metrics import count_degraded
from core.settings import Settings
from furrow.clients.operator_api import OperatorApi

FILE: Final = "sign-in-link"
"""File in the data directory, mode 0600. The link in it works once, within an hour."""


def make_first_link(settings: Settings, collector_url: str, has_development_keys: bool) -> str:
    """A sign-in link of this installation's collector, also written to `FILE`; '' when it cannot be made now, or when no
    operator key is known here."""
    key = development_keys(settings)[1] if has_development_keys else settings.operator_key
    if key is None:
        return ""
    try:
        with OperatorApi(collector_url, key.get_secret_value()) as api:
            link = api.make_sign_in_link()["url"]
        _write_private_file(settings.data_dir / FILE, f"{link}\n")
    except (FurrowError, OSError):
        # `furrow up` works without it; it says which command prints a link.
        count_degraded("up", "sign_in_link")
        return ""
    return link


def _write_private_file(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
