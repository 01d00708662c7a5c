"""The configuration of a collector process."""

import os
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from collector.oidc.config import OidcConfig
from collector.transport.connections import Waits
from core import kept_secrets
from core.hosts import LOOPBACK_NAMES, host_names, host_of_url
from core.settings import Settings
from core.webhook_settings import collect_webhook_secrets
from incidents.lifecycle import ConfirmRule
from stores import opening

DEVELOPMENT_KEYS_VARIABLE: Final = "FURROW_DEVELOPMENT_KEYS"


class CollectorConfig(BaseModel):
    """The configuration of one collector. By default it binds to loopback. It holds no secret that a tracker accepts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spool_dir: Path
    user_salt: Annotated[SecretStr, Field(min_length=1, description="Secret that user ids are hashed with.")]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0: any free port, which is printed.")] = 8080
    incident_store_url: Annotated[
        SecretStr, Field(description="Empty: no store; only configured keys are valid, and there are no incidents.")
    ] = SecretStr("")
    embedded: Annotated[
        bool, Field(description="Accept `test-key` for events, and pages of this machine as browser origins.")
    ] = False
    development_ingest_key: SecretStr | None = None
    development_operator_key: SecretStr | None = None
    allowed_hosts: Annotated[
        tuple[str, ...], Field(description="Host names that are answered besides those that no stranger can register.")
    ] = ()
    intake_at_any_host: Annotated[
        bool,
        Field(description="Accept events under any host name: for a collector that other machines reach."),
    ] = False
    ingest_key: SecretStr | None = None
    operator_key: SecretStr | None = None
    api: Annotated[
        bool,
        Field(description="False: only what pages and trackers call, and health: the collector faces the internet."),
    ] = True
    processes: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Processes that share the port. More than one needs `api` to be false: attempts to sign in are "
            "limited by each process alone.",
        ),
    ] = 1
    lander_status: Annotated[
        Path | None, Field(description="File in which the lander writes what the event store holds.")
    ] = None
    spool_max_bytes: Annotated[int, Field(ge=1, description="Unlanded bytes at which the answer is 503.")] = 2 << 30
    spool_project_part: Annotated[
        float, Field(gt=0, le=1, description="Share of it that the visitors of one project may fill.")
    ] = 0.8
    spool_source_part: Annotated[float, Field(gt=0, le=1, description="Share of it that one source may fill.")] = 0.25
    dead_letter_max_bytes: Annotated[int, Field(ge=1)] = 256 << 20
    seal_bytes: Annotated[int, Field(ge=1)] = 32 << 20
    seal_seconds: Annotated[float, Field(gt=0)] = 1.0
    keys_refresh_seconds: Annotated[float, Field(gt=0)] = 15.0
    requests_per_second: Annotated[
        float,
        Field(
            gt=0,
            description="Sustained rate of one key in each collector process; twice as many in a burst. A project's "
            "`requestsPerSecond` limits all of its keys together as well.",
        ),
    ] = 2_000.0
    source_part: Annotated[
        float,
        Field(gt=0, le=1, description="Share of a key's and of a project's rate that one source may use."),
    ] = 0.5
    source_bytes_per_second: Annotated[
        float, Field(gt=0, description="Inflated bytes/s of one source; a burst of 8 seconds' worth.")
    ] = 4.0 * (1 << 20)
    events_per_second: Annotated[float, Field(gt=0, description="Events/s of one key; twice as many in a burst.")] = (
        100_000.0
    )
    source_events_per_second: Annotated[
        float, Field(gt=0, description="Events/s of one source with one key; twice as many in a burst.")
    ] = 5_000.0
    sessions_per_hour: Annotated[float, Field(gt=0, description="New sessions of one key in an hour.")] = 200_000.0
    source_sessions_per_hour: Annotated[float, Field(gt=0, description="New sessions of one source in an hour.")] = (
        3_000.0
    )
    session_routes: Annotated[
        int, Field(ge=1, description="Distinct routes, and distinct addresses of requests, of one session.")
    ] = 500
    session_targets: Annotated[int, Field(ge=1, description="Distinct controls of one session.")] = 1_000
    guesses_per_second: Annotated[
        float, Field(gt=0, description="Unknown keys/s of one source that get 401; a burst of 60 seconds' worth.")
    ] = 0.5
    max_connections: Annotated[
        int, Field(ge=1, description="Connections at once; at most what the process's file descriptors allow.")
    ] = 4_096
    connections_per_peer: Annotated[
        int, Field(ge=1, description="Connections at once from one address that is not a trusted proxy.")
    ] = 256
    waits: Annotated[Waits, Field(description="Seconds after which a waiting connection is closed.")] = Waits()
    body_seconds: Annotated[float, Field(gt=0, description="Seconds within which a body must arrive.")] = 20.0
    max_in_flight: Annotated[int, Field(ge=1, description="Bodies in memory at once; further ones get 503.")] = 256
    oidc: Annotated[
        OidcConfig | None, Field(description="The OpenID provider; None: people sign in with links and keys only.")
    ] = None
    webhook_secrets: Annotated[
        dict[str, SecretStr],
        Field(description="Secrets of the webhooks of trackers, by tracker; of others none are taken."),
    ] = Field(default_factory=dict)
    owners_file: Annotated[Path | None, Field(description="File with the owners of incidents.")] = None
    public_url: Annotated[str, Field(description="Where people reach the pages, as in `FURROW_PUBLIC_URL`.")] = ""
    ticket_fields: Annotated[
        str, Field(description="The file of `FURROW_TICKET_FIELDS`, for previews of tickets; empty: none.")
    ] = ""
    trusted_proxies: Annotated[
        str, Field(description="Proxies whose `X-Forwarded-For` is believed, as in `FURROW_TRUSTED_PROXIES`.")
    ] = ""
    confirm: Annotated[
        ConfirmRule, Field(description="When a draft becomes confirmed, in projects without their own rule.")
    ] = ConfirmRule()

    @model_validator(mode="after")
    def _check_processes(self) -> Self:
        if self.processes > 1 and self.api:
            raise ValueError("several processes need FURROW_EVENTS_API_ONLY=true")
        return self

    @classmethod
    def from_settings(cls, settings: Settings, *, development_keys: bool = False) -> Self:
        """The configuration of an installation's collector; creates the salt of user ids if there is none.

        With ``development_keys``, the installation's own keys are valid, too; they are created if there are none.
        """
        ingest, operator = kept_secrets.development_keys(settings) if development_keys else (None, None)
        return cls(
            spool_dir=settings.spool_dir,
            user_salt=kept_secrets.user_salt(settings),
            host=settings.host,
            port=settings.port,
            incident_store_url=SecretStr(opening.find_incident_store_url(settings) or ""),
            embedded=development_keys and is_loopback_only(settings),
            development_ingest_key=ingest,
            development_operator_key=operator,
            allowed_hosts=host_names(settings.host, settings.public_url, settings.allowed_hosts),
            intake_at_any_host=settings.host not in LOOPBACK_NAMES and not settings.allowed_hosts,
            ingest_key=settings.ingest_key,
            operator_key=settings.operator_key,
            api=not settings.events_api_only,
            processes=settings.collector_processes if settings.events_api_only else 1,
            lander_status=settings.lander_status,
            spool_max_bytes=settings.spool_max_mb << 20,
            spool_project_part=settings.spool_project_percent / 100,
            spool_source_part=settings.spool_source_percent / 100,
            public_url=settings.public_url,
            webhook_secrets=collect_webhook_secrets(settings),
            owners_file=settings.owners_file,
            ticket_fields=settings.ticket_fields,
            oidc=OidcConfig.from_settings(settings),
            trusted_proxies=settings.trusted_proxies,
            requests_per_second=settings.requests_per_second,
            source_part=settings.source_percent / 100,
            source_bytes_per_second=settings.source_mb_per_second * (1 << 20),
            events_per_second=settings.events_per_second,
            source_events_per_second=settings.source_events_per_second,
            sessions_per_hour=settings.sessions_per_hour,
            source_sessions_per_hour=settings.source_sessions_per_hour,
            session_routes=settings.session_routes,
            session_targets=settings.session_targets,
            max_connections=settings.max_connections,
            connections_per_peer=settings.connections_per_peer,
            confirm=_read_confirm_rule(settings),
        )

    @classmethod
    def from_environment(cls) -> Self:
        """As ``from_settings``, from the environment (``FURROW_*``). ``FURROW_DEVELOPMENT_KEYS=1`` accepts the
        installation's development keys."""
        return cls.from_settings(Settings(), development_keys=os.environ.get(DEVELOPMENT_KEYS_VARIABLE) == "1")


def _read_confirm_rule(settings: Settings) -> ConfirmRule:
    return ConfirmRule(
        settings.confirm_sessions,
        settings.confirm_users,
        settings.confirm_days,
        settings.confirm_per_source,
        settings.new_incidents_per_hour,
        new_per_source=settings.new_incidents_per_source,
        new_per_key=settings.new_incidents_per_key,
    )


def is_loopback_only(settings: Settings) -> bool:
    """Whether only this machine reaches the collector: it binds to loopback, and no setting names a proxy."""
    named = host_of_url(settings.public_url)
    return settings.host in LOOPBACK_NAMES and not settings.trusted_proxies and named in ("", *LOOPBACK_NAMES)
