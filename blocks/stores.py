"""Where events and incidents are kept."""

from typing import ClassVar, Literal

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from core.settings import EMBEDDED, LOG

StoreMode = Literal["settings", "embedded", "server", "log"]
_MODE_HELP = (
    "settings: FURROW_* decides. embedded: in this installation's data directory. "
    "server: the URL below. log: nothing is stored, what would be is logged."
)


class StoreBlock(Block):
    """What the two stores' blocks have in common; not a block type of its own."""

    setting: ClassVar[str]

    mode: StoreMode = Field("settings", description=_MODE_HELP)
    url: SecretStr | None = Field(
        None, title="URL", description="Address with user and password, for the mode `server`."
    )

    def resolve_url(self, setting: SecretStr) -> SecretStr:
        """The URL to use: ``embedded``, ``log`` or a server's; ``setting`` where this block leaves it to the settings.

        Raises ValueError when the mode is ``server`` and there is no URL.
        """
        if self.mode == "settings":
            return setting
        if self.mode != "server":
            return SecretStr({"embedded": EMBEDDED, "log": LOG}[self.mode])
        if self.url is None or not self.url.get_secret_value():
            raise ValueError(f"the block {self.get_block_type_slug()} says `server` but has no URL")
        return self.url


class EventStoreBlock(StoreBlock):
    """The ClickHouse that holds raw events."""

    _block_type_name: ClassVar[str] = "Furrow Event Store"
    _block_type_slug: ClassVar[str] = "furrow-event-store"
    _description: ClassVar[str] = (
        "The ClickHouse that Furrow keeps raw events in: embedded (chDB), a server, or log-only."
    )
    setting: ClassVar[str] = "event_store_url"


class IncidentStoreBlock(StoreBlock):
    """The Postgres that holds incidents."""

    _block_type_name: ClassVar[str] = "Furrow Incident Store"
    _block_type_slug: ClassVar[str] = "furrow-incident-store"
    _description: ClassVar[str] = "The Postgres that Furrow keeps incidents in: embedded, a server, or log-only."
    setting: ClassVar[str] = "incident_store_url"
