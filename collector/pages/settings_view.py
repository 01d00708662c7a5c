"""What the page of settings shows: a project's settings with their defaults, and what the environment sets."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import SecretStr

from collector.config import CollectorConfig
from core.alert_settings import AlertSettings, is_owner_map
from core.project_settings import PARTED, SETTINGS, select_usable_settings
from core.settings import Settings
from core.tracker_kinds import TRACKER_KINDS

if TYPE_CHECKING:
    from incidents.model import KeyRecord, ProjectRecord
    from stores.incidents.channel_tests import ChannelTest
    from stores.incidents.setting_edits import SettingChange
    from stores.incidents.tracker_checks import TrackerCheck

_IGNORED: Final = ("ignoredRoutes", "ignoredTargets")
_ALERTS: Final = tuple(name for name in SETTINGS if name.startswith("alert"))
LISTS: Final = (*_IGNORED, "ticketStates", "alertKinds", "alertChannels")
"""Settings that are lists of texts, one a line."""
OWNER_LISTS: Final = ("alertOwners",)
"""Settings that are objects of names and lists of names, one name a line: ``@team-pay = pay, ops``."""
_OWNER_LINES: Final = "one owner a line, like @team-pay = pay, ops"
TARGETS: Final = tuple(kind.target.name for kind in TRACKER_KINDS)
_TICKETS: Final = ("ticketStates", "onRegression")
_LIMITS: Final = tuple(name for name in SETTINGS if name not in (*PARTED, *_IGNORED, *TARGETS, *_TICKETS, *_ALERTS))
_SECTIONS: Final = (
    ("limits", "Confirming incidents, and limits", _LIMITS),
    ("ignored", "Ignored routes and controls", _IGNORED),
    ("trackers", "Where its tickets go, and what their states mean", (*TARGETS, *_TICKETS)),
    ("alerts", "Alerts", _ALERTS),
    ("thresholds", "Thresholds of the detection", ("thresholds",)),
    ("weights", "Points of the score", ("weights",)),
)
_ENVIRONMENT: Final = (
    ("public_url", "public_url"),
    ("host", "host"),
    ("port", "port"),
    ("trusted_proxies", "trusted_proxies"),
    ("incident_store_url", "incident_store_url"),
    ("ingest_key", "ingest_key"),
    ("operator_key", "operator_key"),
    ("user_salt", "user_salt"),
    ("requests_per_second", "requests_per_second"),
    ("events_per_second", "events_per_second"),
    ("source_events_per_second", "source_events_per_second"),
    ("sessions_per_hour", "sessions_per_hour"),
    ("source_sessions_per_hour", "source_sessions_per_hour"),
    ("session_routes", "session_routes"),
    ("session_targets", "session_targets"),
    ("max_connections", "max_connections"),
    ("connections_per_peer", "connections_per_peer"),
)
"""Settings of the installation that the collector's process has, and their names in its configuration."""
_ENGINE_SETTINGS: Final = (
    *(name for kind in TRACKER_KINDS for name in kind.settings.model_fields),
    "tracker_private_networks",
    *AlertSettings.model_fields,
    "warn_block",
    "keep_events_days",
    "export_min_score",
    "export_limit",
    "export_rate",
)
"""Settings that the engine's process has, and this one has not."""


class ShownSetting(NamedTuple):
    """A setting of a project. ``name``: as `furrow projects set` takes it; ``value``: the project's own as text, '' if it
    sets none; ``default``: what holds then; ``lines``: the value is a list, one entry a line."""

    name: str
    meaning: str
    expected: str
    value: str
    default: str
    lines: bool = False


class ShownSection(NamedTuple):
    """Settings that are saved together; ``own``: how many the project sets."""

    id: str
    title: str
    settings: list[ShownSetting]
    own: int


class ShownTracker(NamedTuple):
    """A tracker, the settings that set it up, and the last question whether it takes tickets."""

    name: str
    title: str
    setup: str
    check: "TrackerCheck | None"


class EnvironmentSetting(NamedTuple):
    """A setting of the installation; ``value`` is 'set' or 'not set' for a secret."""

    variable: str
    value: str
    default: str
    meaning: str


@dataclass(frozen=True)
class SettingsView:
    """What the page shows of one project and of the installation."""

    project: str
    projects: Sequence[str]
    record: "ProjectRecord"
    sections: Sequence[ShownSection]
    unusable: Sequence[str]
    keys: Sequence["KeyRecord"]
    configured_keys: Sequence[tuple[str, str]]
    environment: Sequence[EnvironmentSetting]
    elsewhere: Sequence[tuple[str, str]]
    changes: Sequence["SettingChange"]
    trackers: Sequence[ShownTracker]
    alert_test: "ChannelTest | None"

    @property
    def seen(self) -> str:
        """A mark of the project as it is shown: a form that names another is of an older page."""
        return mark_project(self.record)


def mark_project(record: "ProjectRecord") -> str:
    """A short hash of a project's origins and settings."""
    text = json.dumps([list(record.origins), record.settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def present_sections(record: "ProjectRecord", config: CollectorConfig) -> tuple[list[ShownSection], list[str]]:
    """The settings of a project by section, and the names of stored ones that are not valid and therefore not used.

    Loads the engine's declarations, once for the process, which takes a second or two.
    """
    stored = record.settings if isinstance(record.settings, dict) else {}
    defaults = _list_defaults(config)
    sections = []
    for id_, title, names in _SECTIONS:
        shown = [
            setting
            for name in names
            for setting in (
                _present_parts(name, stored.get(name))
                if name in PARTED
                else [_present_setting(name, stored.get(name), defaults.get(name, "none"))]
            )
        ]
        sections.append(ShownSection(id_, title, shown, sum(bool(setting.value) for setting in shown)))
    return sections, select_usable_settings(stored)[1]


def list_section_settings(section: str) -> list[str]:
    """The names of the settings of a section; none for an unknown section."""
    names = next((names for id_, _, names in _SECTIONS if id_ == section), ())
    return [part for name in names for part in ([name] if name not in PARTED else _list_parts(name))]


def list_environment(config: CollectorConfig) -> list[EnvironmentSetting]:
    """The settings of the installation that this process has."""
    return [_describe_variable(name, getattr(config, attribute)) for name, attribute in _ENVIRONMENT]


def list_elsewhere() -> list[tuple[str, str]]:
    """Variables that only the engine has, with their meaning."""
    fields = Settings.model_fields
    return [(f"FURROW_{name.upper()}", fields[name].description or "") for name in _ENGINE_SETTINGS]


def list_trackers(checks: "Sequence[TrackerCheck]") -> list[ShownTracker]:
    """Every tracker that Furrow can file tickets in."""
    by_name = {check.tracker: check for check in checks}
    return [ShownTracker(kind.name, kind.title, kind.setup_settings, by_name.get(kind.name)) for kind in TRACKER_KINDS]


def settings_to_json(view: SettingsView) -> dict[str, Any]:
    """The page for programs: no key and no secret is in it."""
    return {
        "project": view.project,
        "projects": list(view.projects),
        "origins": list(view.record.origins),
        "settings": [
            {"name": shown.name, "own": shown.value or None, "default": shown.default, "section": section.id}
            for section in view.sections
            for shown in section.settings
        ],
        "unusable": list(view.unusable),
        "keys": [
            {
                "prefix": key.prefix,
                "project": key.project,
                "role": key.role,
                "label": key.label,
                "revoked": key.revoked,
                "createdAt": key.created_at.isoformat() if key.created_at else None,
                "lastUsedAt": key.last_used_at.isoformat() if key.last_used_at else None,
            }
            for key in view.keys
        ],
        "environment": {shown.variable: shown.value for shown in view.environment},
        "trackers": [
            {
                "tracker": shown.name,
                "accepts": shown.check.accepts if shown.check else None,
                "answer": shown.check.answer if shown.check else None,
                "answeredAt": shown.check.answered_at.isoformat() if shown.check and shown.check.answered_at else None,
            }
            for shown in view.trackers
        ],
        "alertTest": _test_to_json(view.alert_test),
        "changes": [{**change._asdict(), "at": change.at.isoformat()} for change in view.changes],
    }


def _test_to_json(test: "ChannelTest | None") -> dict[str, Any] | None:
    if test is None:
        return None
    return {
        "askedAt": test.asked_at.isoformat(),
        "askedBy": test.asked_by,
        "answeredAt": test.answered_at.isoformat() if test.answered_at else None,
        "channels": [answer._asdict() for answer in test.answers],
    }


def settings_to_markdown(view: SettingsView) -> str:
    """The page as Markdown: what the project sets itself, its origins and keys."""
    from trackers.document import Block, Code, Heading, Line, Paragraph, make_list, render_markdown, to_plain_line

    own: list[Line] = [
        (Code(shown.name), ": ", to_plain_line(shown.value, 600))
        for section in view.sections
        for shown in section.settings
        if shown.value
    ]
    keys: list[Line] = [
        (
            Code(key.prefix),
            f": {key.role}, ",
            to_plain_line(key.label or "no label", 100),
            ", revoked" if key.revoked else "",
        )
        for key in view.keys
    ]
    origins: list[Line] = [(Code(to_plain_line(origin, 300)),) for origin in view.record.origins]
    blocks: list[Block] = [Heading(f"Settings of the project {to_plain_line(view.project, 64)}")]
    blocks += make_list(own) if own else [Paragraph(("It has only defaults.",))]
    blocks += [Heading("Origins"), *(make_list(origins) if origins else [Paragraph(("None.",))])]
    blocks += [Heading("Keys"), *(make_list(keys) if keys else [Paragraph(("None.",))])]
    return render_markdown(tuple(blocks))


def _present_setting(name: str, value: object, default: str) -> ShownSetting:
    setting = SETTINGS[name]
    if name in OWNER_LISTS:
        return ShownSetting(name, setting.meaning, _OWNER_LINES, owners_to_text(value), default, True)
    return ShownSetting(name, setting.meaning, setting.expected, _to_text(value), default, name in LISTS)


def _present_parts(section: str, value: object) -> list[ShownSetting]:
    own: Mapping[str, object] = value if isinstance(value, dict) else {}
    return [
        ShownSetting(f"{section}.{name}", meaning, expected, _to_text(own.get(name)), default)
        for name, (meaning, default, expected) in _describe_parts(section).items()
    ]


def _list_parts(section: str) -> list[str]:
    return [f"{section}.{name}" for name in _describe_parts(section)]


def _describe_parts(section: str) -> dict[str, tuple[str, str, str]]:
    """The meaning, the default and the allowed values of each threshold, or of the points of each rule."""
    from core.engine_settings import LEAST
    from ufse.config import THRESHOLDS
    from ufse.declared import load_signals
    from ufse.weights import RULES

    load_signals()
    if section == "weights":
        return {name: (rule.text, str(rule.points), "whole number") for name, rule in RULES.items()}
    return {
        name: (found.meaning, str(found.default), f"{max(found.low, LEAST.get(name, found.low)):,} to {found.high:,}")
        for name, found in THRESHOLDS.items()
    }


def _list_defaults(config: CollectorConfig) -> dict[str, str]:
    """What holds for a project that does not set a limit itself."""
    rule = config.confirm
    limits = {
        "confirmSessions": rule.min_sessions,
        "confirmUsers": rule.min_users,
        "confirmDays": rule.window_days,
        "confirmPerSource": rule.per_source,
        "newIncidentsPerHour": rule.new_per_hour,
        "newIncidentsPerSource": rule.new_per_source,
        "newIncidentsPerKey": rule.new_per_key,
    }
    texts = {name: f"{number:g}" for name, number in limits.items()}
    return {
        **texts,
        **dict.fromkeys((*TARGETS, *_ALERTS), "as the installation"),
        "ticketStates": "the trackers' own names",
        "onRegression": "reopen",
        "requestsPerSecond": "no limit of its own",
    }


def _describe_variable(name: str, value: object) -> EnvironmentSetting:
    field = Settings.model_fields[name]
    variable, meaning = f"FURROW_{name.upper()}", field.description or ""
    if (
        isinstance(value, SecretStr)
        or isinstance(field.get_default(), SecretStr)
        or SecretStr in _list_types(field.annotation)
    ):
        secret = value.get_secret_value() if isinstance(value, SecretStr) else value
        return EnvironmentSetting(variable, "set" if secret else "not set", "", meaning)
    default = field.get_default()
    return EnvironmentSetting(variable, _to_text(value) or "empty", _to_text(default) or "empty", meaning)


def _list_types(annotation: object) -> tuple[object, ...]:
    return (annotation, *getattr(annotation, "__args__", ()))


def owners_to_text(value: object) -> str:
    """An object of names and lists of names as lines, sorted; another stored value, which is not valid, as JSON."""
    if not isinstance(value, dict) or not is_owner_map(value):
        return _to_text(value)
    return "\n".join(f"{owner} = {', '.join(names)}" for owner, names in sorted(value.items()))


def _to_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(str(entry) for entry in value)
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
