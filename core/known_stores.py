"""The stores that the blocks named when Prefect last answered, in a file of the data directory.

Landing starts before the Prefect server and works without it. A block may name another store than the settings, and events must
not land in the wrong one, so the last answer is kept. The file holds URLs with passwords; only its owner can read it.
"""

import json
import os
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import SecretStr

from core.metrics import count_degraded
from core.settings import Settings

FILE: Final = "known-stores.json"


class KnownStores(NamedTuple):
    """URLs that blocks set; None: the setting applies."""

    events: str | None = None
    incidents: str | None = None

    def apply_to_settings(self, settings: Settings) -> Settings:
        """``settings`` with these URLs."""
        found = {"event_store_url": self.events, "incident_store_url": self.incidents}
        return settings.model_copy(update={name: SecretStr(url) for name, url in found.items() if url is not None})


def find_changed_stores(plain: Settings, effective: Settings) -> KnownStores:
    """The URLs that differ between ``plain`` and the settings with blocks."""

    def changed_url(before: SecretStr, after: SecretStr) -> str | None:
        return None if before == after else after.get_secret_value()

    return KnownStores(
        changed_url(plain.event_store_url, effective.event_store_url),
        changed_url(plain.incident_store_url, effective.incident_store_url),
    )


def read_known_stores(data_dir: Path) -> KnownStores | None:
    """The kept URLs; None if Prefect has never answered here, or the file cannot be read (counted)."""
    try:
        held = json.loads((data_dir / FILE).read_text())
        events, incidents = held["events"], held["incidents"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        count_degraded("blocks", "known_stores_unreadable")
        return None
    return KnownStores(events, incidents)


def write_known_stores(data_dir: Path, stores: KnownStores) -> None:
    """Keep ``stores`` for the next start. Never raises: a failed write is counted."""
    if not data_dir.is_dir() or read_known_stores(data_dir) == stores:
        return
    file = data_dir / FILE
    fresh = file.with_suffix(f".{os.getpid()}.new")
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as out:
            json.dump(stores._asdict(), out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, file)
    except OSError:
        count_degraded("blocks", "known_stores_unwritable")
