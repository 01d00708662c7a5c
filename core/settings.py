"""Every setting of Furrow: environment variables ``FURROW_*``, or the same names in a file ``.env``.

A field of a Prefect block has precedence over the setting. docs/configuration.md is generated from these declarations.
"""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.alert_settings import AlertSettings
from core.errors import WrongUse
from core.networks import parse_networks, reachable_host
from core.oidc_settings import OidcSettings
from core.setting_parts import COLLECTOR, DEPLOY, ENGINE, PREFECT, PREPARE, OnlyFor
from core.tracker_kinds import TrackerSettings
from core.webhook_settings import TicketWebhookSettings

ENV_FILE_VARIABLE = "FURROW_ENV_FILE"
"""Variable with the path of the file of settings; empty: no file. The processes of ``furrow up`` get it empty."""
SECRETS_VARIABLE = "FURROW_SECRETS_DIR"
"""Variable with a directory that holds one file for each secret (``furrow_jira_token``); empty: no directory."""
LEAST_OPEN_SESSIONS = 3
"""Fewest open sessions that draft an incident (docs/contracts/incidents-and-tickets.md, Open sessions)."""
EMBEDDED = "embedded"
LOG = "log"


class Settings(AlertSettings, TicketWebhookSettings, TrackerSettings, OidcSettings, BaseSettings):
    """The settings of one installation. Secrets are ``SecretStr``: logs, reprs and errors do not show them."""

    model_config = SettingsConfigDict(
        env_prefix="FURROW_",
        env_file=os.environ.get(ENV_FILE_VARIABLE, ".env") or None,
        env_file_encoding="utf-8",
        secrets_dir=os.environ.get(SECRETS_VARIABLE) or None,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    ticket_fields: str = Field(
        "",
        description="TOML file with fields, rules and templates of tickets ([tickets](tickets.md)); empty: the built-in text "
        "and no further fields.",
    )
    data_dir: Path = Field(
        Path(".furrow"), description="Data directory: embedded stores, spool, Prefect's database, logs."
    )
    host: str = Field("127.0.0.1", description="Address that the collector binds to.")
    port: int = Field(8080, ge=1, le=65535, description="Port of the collector.")
    trusted_proxies: str = Field(
        "",
        description="Addresses or CIDR blocks of reverse proxies, comma-separated. Only their `X-Forwarded-For` is used; "
        "without it, the sender of a request is the connected address.",
    )
    prefect_host: str = Field("127.0.0.1", description="Address that the Prefect server and its UI bind to.")
    prefect_port: int = Field(4200, ge=1, le=65535, description="Port of the Prefect server and UI.")
    prefect_auth: Annotated[SecretStr | None, OnlyFor(PREFECT, ENGINE, PREPARE, DEPLOY)] = Field(
        None,
        description="`name:password` of Prefect's API and UI, at least 12 ASCII characters. If not set, it is generated once "
        "and kept in the data directory.",
    )
    allowed_hosts: str = Field(
        "",
        description="Further host names under which the collector and Prefect accept requests, comma-separated: names of a "
        "proxy, `*.example.com`, or `*` for any. Addresses and names of this machine or of private networks are always "
        "accepted.",
    )

    event_store_url: Annotated[SecretStr, OnlyFor(ENGINE, PREPARE, DEPLOY)] = Field(
        SecretStr(EMBEDDED), description="`embedded` (chDB), `log`, or `clickhouse://user:password@host:8123/database`."
    )
    incident_store_url: Annotated[SecretStr, OnlyFor(COLLECTOR, ENGINE, PREPARE, DEPLOY)] = Field(
        SecretStr(EMBEDDED),
        description="`embedded` (PostgreSQL 18), `log`, or `postgresql://user:password@host/database`.",
    )

    ingest_key: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description="Key for sending events to the project `default`."
    )
    operator_key: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description="Key of the operator API, for all projects."
    )
    user_salt: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None,
        description="Secret for hashing user ids. If not set, it is generated once and kept in the data directory.",
    )

    spool_max_mb: int = Field(2048, ge=1, description="Size of the spool (MiB) at which the collector answers 503.")
    spool_project_percent: int = Field(
        80,
        ge=1,
        le=100,
        description="Share (%) of the spool that events of one project's visitors may fill; beyond it: 429.",
    )
    spool_source_percent: int = Field(
        25,
        ge=1,
        le=100,
        description="Share (%) of the spool that events of one sender address may fill; beyond it: 429.",
    )
    requests_per_second: float = Field(
        2_000,
        gt=0,
        description="Requests/s of one key at one collector; bursts of up to twice as many within a second.",
    )
    source_percent: int = Field(
        50,
        ge=1,
        le=100,
        description="Share (%) of that rate, and of a project's `requestsPerSecond`, that one sender address may use. "
        "Behind a proxy that is not in `FURROW_TRUSTED_PROXIES`, all senders share one address.",
    )
    source_mb_per_second: float = Field(
        4,
        gt=0,
        description="Events (MiB/s, uncompressed) that one sender address may send; eight times as many in a burst.",
    )
    events_per_second: float = Field(
        100_000,
        gt=0,
        description="Events/s of one key at one collector; twice as many in a burst. This limit and the next five do not hold "
        "for requests with an operator key in `X-Operator-Key`.",
    )
    source_events_per_second: float = Field(
        5_000, gt=0, description="Events/s of one sender address with one key; twice as many in a burst."
    )
    sessions_per_hour: float = Field(
        200_000, gt=0, description="New sessions of one key in an hour at one collector; as many in a burst."
    )
    source_sessions_per_hour: float = Field(
        3_000, gt=0, description="New sessions of one sender address in an hour; as many in a burst."
    )
    session_routes: int = Field(
        500,
        ge=1,
        description="Distinct routes, and distinct addresses of requests, that one session may name; further ones are stored "
        "as `/other`. Numbers and ids in them make no difference.",
    )
    session_targets: int = Field(
        1_000, ge=1, description="Distinct controls that one session may name; further ones are stored as `other`."
    )
    max_connections: int = Field(
        4_096,
        ge=1,
        description="Most open connections of the collector; fewer if its process may open fewer files. At the limit, the "
        "address with the most connections loses the one that has waited longest.",
    )
    connections_per_peer: int = Field(
        256, ge=1, description="Most open connections from one address that is not in `FURROW_TRUSTED_PROXIES`."
    )
    log_mb: int = Field(
        50, ge=1, description="Size (MiB) of each process's log in `logs/` of the data directory, in five files."
    )
    events_api_only: bool = Field(
        False,
        description="Serve only what pages and trackers call (`/v1/events`, `/intake/`, `/furrow.js`, `/v1/webhooks/`) and "
        "`/v1/health`, for a collector that is reachable from the internet and runs alone (`python -m collector`).",
    )
    collector_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes of a collector with `FURROW_EVENTS_API_ONLY`, which share its port: one for each core that the "
        "intake may use. Each takes 45 MB, and has limits of its own: rates, connections, dead letters. Without "
        "`FURROW_EVENTS_API_ONLY` there is one.",
    )

    confirm_sessions: int = Field(3, ge=1, description="Distinct sessions that confirm an incident by rule.")
    confirm_users: int = Field(2, ge=1, description="Distinct users that confirm an incident by rule.")
    confirm_days: int = Field(7, ge=1, description="Days (by time of receipt) within which these sessions must lie.")
    confirm_per_source: int = Field(
        2, ge=1, description="Most sessions of one source (address) that count for confirming an incident."
    )
    open_sessions: int = Field(
        3,
        ge=0,
        description="Sessions that still go on and show the same failure, at least 3, from which an incident is drafted before "
        "they are complete; 0: only complete sessions are analysed. Tickets always wait for complete sessions.",
    )
    new_incidents_per_source: int = Field(
        20,
        ge=1,
        description="New incidents of one project in an hour that one source (address) may show. Above this number, its "
        "sessions do not confirm these incidents: they stay drafts, marked as suspicious.",
    )
    new_incidents_per_key: int = Field(
        100,
        ge=1,
        description="New incidents of one project in an hour that may come through one ingest key. Above this number, sessions "
        "that came with the key do not confirm these incidents, unless very many independent sources show them: they stay "
        "drafts, marked as suspicious.",
    )
    new_incidents_per_hour: int = Field(
        50,
        ge=1,
        description="New incidents of one project in an hour. Above this number, further new incidents are held back from "
        "export until a person releases them or independent sources confirm them.",
    )

    keep_events_days: int = Field(
        30,
        ge=0,
        le=36_500,
        description="Days (UTC, by arrival) that raw events and dead letters are kept; 0: unlimited. Incidents are kept.",
    )
    detect_seconds: int = Field(
        20, ge=1, description="Time (s) after which a `detect` run ends and leaves remaining work to the next run."
    )
    impact_seconds: int = Field(
        300,
        ge=0,
        description="Longest time (s) that analysed sessions wait until the impact of incidents is counted; 0: counted by each "
        "`detect` run. Sessions that are counted together cost less.",
    )
    export_min_score: int = Field(
        80, ge=70, le=100, description="Lowest score of incidents that are exported; at least 70."
    )
    export_limit: int = Field(20, ge=1, description="Most tickets that one `export` run files in one tracker.")
    export_rate: int = Field(100, ge=1, description="Most new tickets of one project in one tracker in an hour.")
    tracker_requests: Annotated[int, OnlyFor(ENGINE)] = Field(
        300,
        ge=1,
        description="Most requests in a minute that all exporters together send to one tracker. A pause that the tracker asks "
        "for is kept, too.",
    )
    owners_file: Path | None = Field(
        None,
        description="File with the owners of incidents (docs/owners.md): the first rule that fits decides. It is read again "
        "when it changes.",
    )
    public_url: str = Field(
        "",
        description="URL of the collector for links in tickets and runs; empty: `FURROW_HOST` and `FURROW_PORT`, which may "
        "be reachable from this machine only.",
    )
    warn_block: str = Field(
        "",
        description="Notification block of Prefect that gets warnings, as `type/name` (`slack-webhook/operations`); "
        "empty: warnings are shown in the Prefect UI and by `furrow doctor` only.",
    )

    tracker_private_networks: Annotated[str, OnlyFor(ENGINE)] = Field(
        "",
        description="Addresses or CIDR blocks, comma-separated, of private networks in which trackers and channels of alerts "
        "are allowed (`10.20.0.0/16`); empty: they must be on the internet or on this machine.",
    )

    @field_validator("trusted_proxies", "tracker_private_networks")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator("open_sessions")
    @classmethod
    def _check_open_sessions(cls, value: int) -> int:
        if 0 < value < LEAST_OPEN_SESSIONS:
            raise ValueError(f"it must be 0 or at least {LEAST_OPEN_SESSIONS}")
        return value

    @field_validator("owners_file", mode="before")
    @classmethod
    def _read_no_path(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("prefect_auth")
    @classmethod
    def _check_login(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else None
        if text is not None and not (len(text) >= 12 and text.isascii() and text.isprintable() and ":" in text[1:]):
            raise ValueError("it must be name:password, at least 12 printable ASCII characters")
        return value

    @property
    def prefect_api_url(self) -> str:
        """URL of this installation's Prefect API on this machine."""
        return f"http://{reachable_host(self.prefect_host)}:{self.prefect_port}/api"

    @property
    def pages_url(self) -> str:
        """URL of Furrow's pages, without a slash at the end."""
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
        """Directory of the Prefect server and its database."""
        return self.data_dir / "prefect"

    @property
    def lander_status(self) -> Path:
        """File in which the lander reports to the collector what the event store holds."""
        return self.data_dir / "lander.json"


def wrong_settings(error: ValidationError) -> WrongUse:
    """The wrong settings as an error for people: names and reasons, without values, which may be secrets."""
    return WrongUse(
        "; ".join(
            f"FURROW_{'.'.join(map(str, setting['loc'])).upper()}: {setting['msg']}" for setting in error.errors()
        )
    )
