"""What the collector process is told at its start."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from furrow.settings import EMBEDDED, LOG, Settings
from stores.lifecycle import ConfirmRule

DEVELOPMENT_KEYS_VARIABLE: Final = "FURROW_DEVELOPMENT_KEYS"


class CollectorConfig(BaseModel):
    """One collector. It binds to loopback unless told otherwise and holds no secret of a tracker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spool_dir: Path
    user_salt: Annotated[SecretStr, Field(min_length=1, description="Secret that user ids are hashed with.")]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0: any free port, which is printed.")] = 8080
    incident_store_url: Annotated[
        SecretStr, Field(description="Empty: none; keys are the fixed ones, and operators see no incidents.")
    ] = SecretStr("")
    embedded: Annotated[
        bool, Field(description="Accept the development keys, and pages of this machine as browser origins.")
    ] = False
    ingest_key: SecretStr | None = None
    operator_key: SecretStr | None = None
    api: Annotated[
        bool, Field(description="False: events and health alone, for a collector that faces the internet.")
    ] = True
    lander_status: Annotated[
        Path | None, Field(description="File in which the lander tells what the event store holds.")
    ] = None
    spool_max_bytes: Annotated[int, Field(ge=1, description="Unlanded bytes at which the answer is 503.")] = 2 << 30
    dead_letter_max_bytes: Annotated[int, Field(ge=1)] = 256 << 20
    seal_bytes: Annotated[int, Field(ge=1)] = 8 << 20
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
    body_seconds: Annotated[float, Field(gt=0, description="Time within which a body must have arrived.")] = 20.0
    max_in_flight: Annotated[int, Field(ge=1, description="Bodies in memory at once; more get 503.")] = 256
    trusted_proxies: Annotated[
        str, Field(description="Proxies whose `X-Forwarded-For` is believed, as in `FURROW_TRUSTED_PROXIES`.")
    ] = ""
    confirm: Annotated[
        ConfirmRule, Field(description="When a draft is trusted, in projects that say nothing else.")
    ] = ConfirmRule()

    @classmethod
    def from_settings(cls, settings: Settings, *, development_keys: bool = False) -> Self:
        """The configuration of the collector of one installation; makes its salt when there is none yet."""
        return cls(
            spool_dir=settings.spool_dir,
            user_salt=settings.user_salt or SecretStr(_kept_salt(settings.data_dir)),
            host=settings.host,
            port=settings.port,
            incident_store_url=SecretStr(_store_url(settings)),
            embedded=development_keys,
            ingest_key=settings.ingest_key,
            operator_key=settings.operator_key,
            api=not settings.events_api_only,
            lander_status=settings.lander_status,
            spool_max_bytes=settings.spool_max_mb << 20,
            trusted_proxies=settings.trusted_proxies,
            confirm=ConfirmRule(
                settings.confirm_sessions,
                settings.confirm_users,
                settings.confirm_days,
                settings.confirm_per_source,
                settings.new_incidents_per_hour,
            ),
        )

    @classmethod
    def from_environment(cls) -> Self:
        """As ``from_settings``, out of ``FURROW_*``; ``FURROW_DEVELOPMENT_KEYS=1`` accepts the development
        keys."""
        return cls.from_settings(Settings(), development_keys=os.environ.get(DEVELOPMENT_KEYS_VARIABLE) == "1")


def _store_url(settings: Settings) -> str:
    url = settings.incident_store_url.get_secret_value()
    if url == EMBEDDED:
        from stores.postgres import EmbeddedPostgres

        return EmbeddedPostgres(settings.postgres_dir).url
    return "" if url == LOG else url


def _kept_salt(data_dir: Path) -> str:
    path = data_dir / "user-salt"
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii")
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return path.read_text(encoding="ascii")
