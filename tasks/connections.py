"""The stores and trackers that a task talks to, as the blocks and settings say at this moment.

Connections are opened once for each address and kept for the process; a changed block takes effect within seconds
(`blocks.documents.FRESH_SECONDS`).
"""

import hashlib
import json
import threading
from collections.abc import Callable
from typing import TypeVar

from pydantic import SecretStr

from blocks.documents import effective_settings, known_settings
from core.settings import Settings
from core.tracker_kinds import find_tracker_kind
from stores import opening
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from trackers.log import LogTracker
from trackers.protocol import Tracker
from trackers.registry import make_tracker, values_by_project
from trackers.ticket_plan import hash_ticket_file

_T = TypeVar("_T")
_open: dict[tuple[str, str | None], object] = {}
_guard = threading.Lock()


def event_store(settings: Settings | None = None) -> EventStore:
    """The event store of ``settings`` (None: as the blocks say), migrated. Raises NotConfigured in the mode ``log``."""
    settings = settings or effective_settings()
    url = opening.find_event_store_url(settings)
    return _open_once("events", url, lambda: _migrate_store(opening.open_event_store(settings)))


def landing_store() -> EventStore:
    """As `event_store`, without ever waiting for Prefect: for the lander. TransientError while its blocks are not known."""
    return event_store(known_settings())


def incident_store(settings: Settings | None = None) -> IncidentStore | LogIncidentStore:
    """The incident store of ``settings`` (None: as the blocks say), migrated; in the mode ``log`` the one that logs
    detections and moves no state."""
    settings = settings or effective_settings()
    url = opening.find_incident_store_url(settings)
    if url is None:
        return _open_once("incidents", None, opening.open_log_incident_store)
    return _open_once("incidents", url, lambda: _migrate_store(opening.open_incident_store_at(url)))


def open_tracker(name: str) -> Tracker | None:
    """The tracker ``name`` for the caller alone, who closes it; None when it is not configured.

    Tickets of a Furrow project go where its own settings say (``jiraProject``, ``linearTeam``), else where the installation's
    say. Raises PermanentError when the configuration lacks something.
    """
    return make_tracker(name, effective_settings(), _targets_by_project)


def identify_access(name: str) -> str:
    """What identifies the settings with which the tracker is used (address, credentials, targets, the files of fields and of
    owners): a hash, hexadecimal."""
    kind = find_tracker_kind(name)
    if kind is None:
        return ""
    settings = effective_settings()
    used = [_plain_setting(getattr(settings, field)) for field in sorted(kind.settings.model_fields)]
    parts: list[object] = [used, sorted(_targets_by_project(kind.target.name).items())]
    files = [settings.ticket_fields, str(settings.owners_file or "")]
    whole = json.dumps(parts + [content for file in files if (content := hash_ticket_file(file))])
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def _plain_setting(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _targets_by_project(setting: str) -> dict[str, str]:
    store = incident_store()
    projects = [] if isinstance(store, LogIncidentStore) else store.keys.read_projects()
    return values_by_project(setting, ((project.id, project.settings) for project in projects))


def log_tracker(name: str = "log") -> LogTracker:
    """What stands in while no tracker is configured, or for the tracker ``name`` while that fails."""
    return LogTracker(name)


def stop_queries() -> None:
    """Ask the running queries of the embedded event stores to stop."""
    with _guard:
        stores = [connection for connection in _open.values() if isinstance(connection, EventStore)]
    for store in stores:
        store.stop_queries()


def close_connections() -> None:
    """Close every connection of this process."""
    with _guard:
        for connection in _open.values():
            connection.close()  # type: ignore[attr-defined]
        _open.clear()


def _open_once(kind: str, url: str | None, make: Callable[[], _T]) -> _T:
    with _guard:
        if (kind, url) not in _open:
            _open[kind, url] = make()
        return _open[kind, url]  # type: ignore[return-value]


_Store = TypeVar("_Store", EventStore, IncidentStore)


def _migrate_store(store: _Store) -> _Store:
    store.migrate()
    return store
