"""Every setting of Furrow: environment variables ``FURROW_*`` or the same names in a file ``.env``.

A block of the Prefect UI that sets a field wins over the setting here; docs/configuration.md lists both and is checked
against this class by the tests.
"""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.networks import parse_networks, reachable_host
from core.setting_parts import COLLECTOR, DEPLOY, ENGINE, PREFECT, PREPARE, OnlyFor
from core.tracker_kinds import TrackerSettings

ENV_FILE_VARIABLE = "FURROW_ENV_FILE"
"""Names the file that settings are read from beside the environment; empty: none, which parts of ``furrow up`` get."""
SECRETS_VARIABLE = "FURROW_SECRETS_DIR"
"""Names a directory with a file for each setting (``furrow_jira_token``), as containers get their secrets; empty: none."""
EMBEDDED = "embedded"
LOG = "log"


class Settings(TrackerSettings, BaseSettings):
    """One installation. Secrets are ``SecretStr``: they do not show in logs, reprs or errors."""

    model_config = SettingsConfigDict(
        env_prefix="FURROW_",
        env_file=os.environ.get(ENV_FILE_VARIABLE, ".env") or None,
        env_file_encoding="utf-8",
        secrets_dir=os.environ.get(SECRETS_VARIABLE) or None,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(
        Path(".furrow"), description="Directory that holds everything embedded: stores, spool, Prefect's database."
    )
    host: str = Field("127.0.0.1", description="Address that the collector binds to.")
    port: int = Field(8080, ge=1, le=65535, description="Port of the collector.")
    trusted_proxies: str = Field(
        "",
        description="Addresses or CIDR blocks of reverse proxies, comma-separated, whose `X-Forwarded-For` is believed; "
        "empty: none is, and the sender of a request is its peer.",
    )
    prefect_host: str = Field("127.0.0.1", description="Address that the Prefect server and its UI bind to.")
    prefect_port: int = Field(4200, ge=1, le=65535, description="Port of the Prefect server and UI.")
    prefect_auth: Annotated[SecretStr | None, OnlyFor(PREFECT, ENGINE, PREPARE, DEPLOY)] = Field(
        None,
        description="`name:password` of Prefect's API and UI, 12 ASCII characters at least; made once and kept in the data "
        "directory if not set.",
    )
    allowed_hosts: str = Field(
        "",
        description="More names that the collector and Prefect answer to, comma-separated: host names of a proxy, "
        "`*.example.com`, or `*` for any. Addresses and names of this machine or of a private network are always answered.",
    )

    event_store_url: Annotated[SecretStr, OnlyFor(ENGINE, PREPARE, DEPLOY)] = Field(
        SecretStr(EMBEDDED), description="`embedded` (chDB), `log`, or `clickhouse://user:password@host:8123/database`."
    )
    incident_store_url: Annotated[SecretStr, OnlyFor(COLLECTOR, ENGINE, PREPARE, DEPLOY)] = Field(
        SecretStr(EMBEDDED),
        description="`embedded` (PostgreSQL 18), `log`, or `postgresql://user:password@host/database`.",
    )

    ingest_key: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description="Key with which events may be sent to the project `default`."
    )
    operator_key: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description="Key of the operators' API, for all projects."
    )
    user_salt: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description="Secret that user ids are hashed with; made once and kept in the data directory if not set."
    )

    spool_max_mb: int = Field(2048, ge=1, description="Size of the spool (MiB) at which the collector answers 503.")
    requests_per_second: float = Field(
        2_000, gt=0, description="Sustained rate of one key at a collector; twice as many in a burst of a second."
    )
    source_percent: int = Field(
        50,
        ge=1,
        le=100,
        description="Part (%) of that rate, and of a project's `requestsPerSecond`, which one sender's address may use "
        "alone. Behind a proxy that is not in `FURROW_TRUSTED_PROXIES`, all senders are one address.",
    )
    source_mb_per_second: float = Field(
        4,
        gt=0,
        description="Events (MiB/s, inflated) that one sender's address may send; eight times as many in a burst.",
    )
    max_connections: int = Field(
        4_096,
        ge=1,
        description="Connections of the collector at once; fewer if its process may open fewer files. When they are "
        "used up, the one that has waited longest is closed.",
    )
    connections_per_peer: int = Field(
        256, ge=1, description="Of them, from one address that is not in `FURROW_TRUSTED_PROXIES`."
    )
    log_mb: int = Field(
        50, ge=1, description="Room (MiB) of each part's log in the data directory, `logs/`; it is kept in five files."
    )
    events_api_only: bool = Field(
        False, description="Serve `POST /v1/events` and health alone: for a collector that faces the internet."
    )

    confirm_sessions: int = Field(3, ge=1, description="Distinct sessions that confirm an incident by rule.")
    confirm_users: int = Field(2, ge=1, description="Distinct users that confirm an incident by rule.")
    confirm_days: int = Field(7, ge=1, description="Days (of receipt) within which they must lie to count together.")
    confirm_per_source: int = Field(
        2, ge=1, description="Sessions of one source (address) that count towards confirming, at the most."
    )
    new_incidents_per_hour: int = Field(
        50,
        ge=1,
        description="New incidents of one project in an hour, above which the new ones are held back from export until a "
        "person looks or independent sources show them.",
    )

    keep_events_days: int = Field(
        30,
        ge=0,
        description="Whole days (of arrival) that raw events and dead letters are kept; 0: for ever. Incidents stay.",
    )
    detect_seconds: int = Field(
        20, ge=1, description="Time (s) after which a `detect` run leaves the rest to the next one."
    )
    export_min_score: int = Field(
        80, ge=70, le=100, description="Lowest score of an incident that is exported; never below 70."
    )
    export_limit: int = Field(20, ge=1, description="Most tickets that one export run files in one tracker.")
    export_rate: int = Field(100, ge=1, description="Most new tickets of one project in an hour, in one tracker.")
    public_url: str = Field(
        "",
        description="Address at which people reach the collector, for links in tickets and in runs; empty: its own address "
        "(`FURROW_HOST` and `FURROW_PORT`), which only this machine may reach.",
    )
    warn_block: str = Field(
        "",
        description="Notification block of Prefect that warnings go to, as `type/name` (`slack-webhook/operations`); "
        "empty: they stay in the Prefect UI and in `furrow doctor`.",
    )

    tracker_private_networks: Annotated[str, OnlyFor(ENGINE)] = Field(
        "",
        description="Addresses or CIDR blocks, comma-separated, of private networks in which Jira or Linear may be "
        "(`10.20.0.0/16`); empty: trackers are in the internet, or on this machine.",
    )

    @field_validator("trusted_proxies", "tracker_private_networks")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator("prefect_auth")
    @classmethod
    def _check_login(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else None
        if text is not None and not (len(text) >= 12 and text.isascii() and text.isprintable() and ":" in text[1:]):
            raise ValueError("it must be name:password, at least 12 printable ASCII characters")
        return value

    @property
    def prefect_api_url(self) -> str:
        """Prefect's API of this installation, as its own machine reaches it."""
        return f"http://{reachable_host(self.prefect_host)}:{self.prefect_port}/api"

    @property
    def pages_url(self) -> str:
        """Where links to Furrow's pages begin, without a slash at the end."""
        return self.public_url.rstrip("/") or f"http://{reachable_host(self.host)}:{self.port}"

    @property
    def events_dir(self) -> Path:
        """Directory of the embedded ClickHouse."""
        return self.data_dir / "clickhouse"

    @property
    def postgres_dir(self) -> Path:
        """Directory of the embedded Postgres."""
        return self.data_dir / "postgres"

    @property
    def spool_dir(self) -> Path:
        """Directory of the collector's spool."""
        return self.data_dir / "spool"

    @property
    def prefect_dir(self) -> Path:
        """Home of the Prefect server: its database lies there."""
        return self.data_dir / "prefect"

    @property
    def lander_status(self) -> Path:
        """File in which the lander tells the collector what the event store holds."""
        return self.data_dir / "lander.json"
