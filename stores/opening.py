"""Which stores the settings mean, and the one place that opens them.

A store's setting is ``embedded``, ``log`` or a server's URL. Drivers are imported when a store is opened: the command line and
a collector without a store do not load them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from core.errors import NotConfigured
from core.settings import EMBEDDED, LOG, Settings

if TYPE_CHECKING:
    from stores.embedded_postgres import EmbeddedPostgres
    from stores.events.event_store import EventStore
    from stores.incidents.incident_store import IncidentStore
    from stores.incidents.log_incident_store import LogIncidentStore

StoreMode = Literal["embedded", "server", "log"]


def read_store_mode(setting: SecretStr) -> StoreMode:
    """What the value of ``event_store_url`` or ``incident_store_url`` means."""
    value = setting.get_secret_value()
    if value == EMBEDDED:
        return "embedded"
    return "log" if value == LOG else "server"


def are_all_embedded(settings: Settings) -> bool:
    """Whether both stores are in the data directory of this installation."""
    return all(read_store_mode(url) == "embedded" for url in (settings.event_store_url, settings.incident_store_url))


def find_event_store_url(settings: Settings) -> str | None:
    """The event store's URL; None in the mode ``log``."""
    mode = read_store_mode(settings.event_store_url)
    if mode == "embedded":
        return build_embedded_events_url(settings.events_dir)
    return settings.event_store_url.get_secret_value() if mode == "server" else None


def build_embedded_events_url(directory: Path) -> str:
    """URL of the embedded ClickHouse in ``directory``."""
    return f"chdb://{directory.resolve()}"


def find_incident_store_url(settings: Settings) -> str | None:
    """The incident store's URL, whether or not its server runs; None in the mode ``log``."""
    mode = read_store_mode(settings.incident_store_url)
    if mode == "embedded":
        return open_embedded_postgres(settings).url
    return settings.incident_store_url.get_secret_value() if mode == "server" else None


def find_running_incident_url(settings: Settings) -> str | None:
    """As `find_incident_store_url`; also None when the embedded Postgres does not run. A server is not asked."""
    if read_store_mode(settings.incident_store_url) != "embedded":
        return find_incident_store_url(settings)
    server = open_embedded_postgres(settings)
    return server.url if settings.postgres_dir.exists() and server.is_running() else None


def open_embedded_postgres(settings: Settings) -> "EmbeddedPostgres":
    """The embedded Postgres of this installation; the caller starts it."""
    from stores.embedded_postgres import EmbeddedPostgres

    return EmbeddedPostgres(settings.postgres_dir)


def open_event_store(settings: Settings) -> "EventStore":
    """The event store; the first call connects. Raises NotConfigured in the mode ``log``, PermanentError for a bad URL."""
    url = find_event_store_url(settings)
    if url is None:
        raise NotConfigured("the event store is log-only: events stay in the spool")
    return open_event_store_at(url)


def open_event_store_at(url: str) -> "EventStore":
    """The event store at ``url``; the first call connects. Raises PermanentError for a malformed URL."""
    from stores.events.event_store import EventStore

    return EventStore(url)


def open_incident_store_at(url: str) -> "IncidentStore":
    """The incident store at ``url``; the first call connects. Raises PermanentError for a malformed URL."""
    from stores.incidents.incident_store import IncidentStore

    return IncidentStore.connect(url)


def open_log_incident_store() -> "LogIncidentStore":
    """An incident store that logs detections and keeps nothing."""
    from stores.incidents.log_incident_store import LogIncidentStore

    return LogIncidentStore()
