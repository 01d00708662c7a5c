"""The settings of alerts: the channels, and what each project wants to be alerted of.

The installation's settings hold for every project; those of a project replace them (`core.project_settings`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, Field, SecretStr, field_validator

from core.setting_parts import ENGINE, OnlyFor

AlertKind = Literal["confirmed", "regressed", "growing", "share", "user", "open"]
ALERT_KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
"""Of what people can be alerted (docs/alerts.md)."""
CHANNEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,39}")
_CHANNEL: Final = re.compile(r"(?P<name>[^=\s:/]+)=(?P<url>\S+)")
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)")
_DIGEST: Final = re.compile(
    r"(daily|monday|tuesday|wednesday|thursday|friday|saturday|sunday) ([01]\d|2[0-3]):([0-5]\d)"
)
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DIGEST_HOURS: Final = 12
"""A digest that could not be made within so many hours after its time is left out."""


class AlertSettings(BaseModel):
    """The settings of alerts; a part of `core.settings.Settings`."""

    alert_urls: Annotated[SecretStr | None, OnlyFor(ENGINE)] = Field(
        None,
        description="Channels of alerts, as `name=URL`, separated by spaces or line breaks: `slack://` with a bot token or a "
        "webhook, and every URL that Apprise knows (`mailtos://`, `workflows://` for "
        "Teams, `jsons://` for a webhook). Not set: nobody is alerted.",
    )
    alert_kinds: str = Field(
        ",".join(ALERT_KINDS), description=f"Of what people are alerted, comma-separated: `{'`, `'.join(ALERT_KINDS)}`."
    )
    alert_growth_sessions: int = Field(
        10, ge=2, description="Fewest sessions of an incident within an hour that are `growing`."
    )
    alert_growth_factor: float = Field(
        5,
        ge=1.5,
        description="How many times its usual number of sessions an incident shows in an hour that is `growing`. What is usual "
        "comes from the week before; a new incident takes the average of its project.",
    )
    alert_share_percent: float = Field(
        5,
        gt=0,
        le=100,
        description="Share (%) of the sessions that reached the step within 24 hours, above which `share` alerts; the lower "
        "bound of the 95 % interval counts.",
    )
    alert_user_times: int = Field(
        5, ge=2, description="Sessions of one user within 7 days that an incident hit, at which `user` alerts."
    )
    alert_group: int = Field(
        3, ge=1, description="Most alerts of one run that a channel gets one by one; more come in one message."
    )
    alert_time_zone: str = Field("UTC", description="Time zone of quiet hours and digests, like `Europe/Berlin`.")
    alert_quiet_hours: str = Field(
        "",
        description="Hours in which nothing is sent, like `22:00-07:00`; what waits comes after them in one message. "
        "Empty: none.",
    )
    alert_digest: str = Field(
        "", description="When a digest is sent: `daily 09:00` or `monday 09:00` (or another day); empty: never."
    )
    alert_slack_url: str = Field("https://slack.com/api", description="URL of Slack's Web API.")

    @field_validator("alert_urls")
    @classmethod
    def _check_channels(cls, value: SecretStr | None) -> SecretStr | None:
        parse_channels(value)
        return value

    @field_validator("alert_kinds")
    @classmethod
    def _check_kinds(cls, value: str) -> str:
        if unknown := [kind for kind in _split_names(value) if kind not in ALERT_KINDS]:
            raise ValueError(f"there are no alerts {', '.join(unknown)}; they are {', '.join(ALERT_KINDS)}")
        return value

    @field_validator("alert_time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        if not is_time_zone(value):
            raise ValueError("it must be the name of a time zone, like Europe/Berlin")
        return value

    @field_validator("alert_quiet_hours")
    @classmethod
    def _check_hours(cls, value: str) -> str:
        if not is_quiet_hours(value):
            raise ValueError("it must be like 22:00-07:00, or empty")
        return value

    @field_validator("alert_digest")
    @classmethod
    def _check_digest(cls, value: str) -> str:
        if not is_digest(value):
            raise ValueError("it must be like 'daily 09:00' or 'monday 09:00', or empty")
        return value


def parse_channels(urls: SecretStr | None) -> dict[str, SecretStr]:
    """The channels of FURROW_ALERT_URLS, by name. Raises ValueError, which names no part of a URL."""
    entries = urls.get_secret_value().split() if urls else []
    channels: dict[str, SecretStr] = {}
    for number, entry in enumerate(entries, 1):
        found = _CHANNEL.fullmatch(entry)
        if found is None or CHANNEL_NAME.fullmatch(found["name"]) is None or "://" not in found["url"]:
            raise ValueError(f"entry {number} is not of the form name=URL")
        if found["name"] in channels:
            raise ValueError(f"two channels are called {found['name']}")
        channels[found["name"]] = SecretStr(found["url"])
    return channels


def is_time_zone(value: object) -> bool:
    """Whether this is the name of a time zone that is known here."""
    try:
        return isinstance(value, str) and bool(value) and ZoneInfo(value) is not None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def is_quiet_hours(value: object) -> bool:
    """Whether this is a span of hours (``22:00-07:00``), or empty."""
    return isinstance(value, str) and (not value or _HOURS.fullmatch(value) is not None)


def is_digest(value: object) -> bool:
    """Whether this is the time of a digest (``daily 09:00``), or empty."""
    return isinstance(value, str) and (not value or _DIGEST.fullmatch(value) is not None)


def is_kind_list(value: object) -> bool:
    """Whether this is a list of kinds of alerts."""
    return isinstance(value, list) and all(kind in ALERT_KINDS for kind in value)


def is_channel_list(value: object) -> bool:
    """Whether this is a list of names of channels."""
    return isinstance(value, list) and all(
        isinstance(name, str) and CHANNEL_NAME.fullmatch(name) is not None for name in value
    )


def is_owner_map(value: object) -> bool:
    """Whether this is an object: owners, and the channels of each."""
    return isinstance(value, dict) and all(
        isinstance(owner, str) and 0 < len(owner) <= 200 and is_channel_list(names) for owner, names in value.items()
    )


@dataclass(frozen=True)
class AlertRules:
    """What one project wants. ``channels``: None is all; ``owners``: the channels of owners, which then get what is theirs."""

    kinds: tuple[str, ...] = ALERT_KINDS
    channels: tuple[str, ...] | None = None
    owners: Mapping[str, Sequence[str]] = field(default_factory=dict)
    growth_sessions: int = 10
    growth_factor: float = 5
    share_percent: float = 5
    user_times: int = 5
    zone: str = "UTC"
    quiet: str = ""
    digest: str = ""

    def choose_channels(self, known: Sequence[str], owners: Sequence[str] = ()) -> list[str]:
        """The channels of ``known`` that an alert of an incident with these owners goes to: those of the first one that has
        channels, with or without ``@`` before its name, else the project's."""
        named = (self.owners.get(name) for owner in owners for name in (owner, owner.removeprefix("@"), f"@{owner}"))
        wanted: Sequence[str] | None = next((found for found in named if found is not None), self.channels)
        return [name for name in known if wanted is None or name in wanted]

    def is_quiet(self, now: datetime) -> bool:
        """Whether ``now`` is in the quiet hours, by the clock on the wall of the time zone."""
        if (found := _HOURS.fullmatch(self.quiet)) is None:
            return False
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        clock = now.astimezone(ZoneInfo(self.zone)).time()
        return begin <= clock < end if begin <= end else clock >= begin or clock < end

    def find_due_digest(self, now: datetime) -> tuple[str, datetime] | None:
        """The digest whose time was last: the date as its occasion, and the time from which on it counts. None: no digest."""
        if (found := _DIGEST.fullmatch(self.digest)) is None:
            return None
        today = now.astimezone(ZoneInfo(self.zone)).date()
        for back in range(2):
            day = today - timedelta(days=back)
            due = self._find_digest_time(day, found)
            if (found[1] in ("daily", _DAYS[day.weekday()])) and due <= now < due + timedelta(hours=_DIGEST_HOURS):
                since = self._find_digest_time(day - timedelta(days=1 if found[1] == "daily" else 7), found)
                return day.isoformat(), since
        return None

    def _find_digest_time(self, day: date, found: "re.Match[str]") -> datetime:
        local = datetime.combine(day, time(int(found[2]), int(found[3])), ZoneInfo(self.zone))
        return local.astimezone(UTC)


def build_alert_rules(settings: AlertSettings, project: Mapping[str, Any]) -> AlertRules:
    """The rules of a project: its own usable settings, else those of the installation."""
    channels = project.get("alertChannels")
    return AlertRules(
        kinds=tuple(project.get("alertKinds", _split_names(settings.alert_kinds))),
        channels=None if channels is None else tuple(channels),
        owners=project.get("alertOwners", {}),
        growth_sessions=project.get("alertGrowthSessions", settings.alert_growth_sessions),
        growth_factor=project.get("alertGrowthFactor", settings.alert_growth_factor),
        share_percent=project.get("alertSharePercent", settings.alert_share_percent),
        user_times=project.get("alertUserTimes", settings.alert_user_times),
        zone=project.get("alertTimeZone", settings.alert_time_zone),
        quiet=project.get("alertQuietHours", settings.alert_quiet_hours),
        digest=project.get("alertDigest", settings.alert_digest),
    )


def _split_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
