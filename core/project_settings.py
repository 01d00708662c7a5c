"""The settings of a project (``projects.settings``), which override the installation's: names, limits, and reading them.

`furrow projects set` refuses invalid values. Readers use the default instead of an invalid value, because a row may have been
written by hand or by another version, and the analysis of sessions must not stop.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core import alert_settings
from core.tracker_kinds import TRACKER_KINDS

MAX_PATTERNS: Final = 1_000
MAX_PATTERN_LENGTH: Final = 500


_STATE_RULE: Final = re.compile(r"\s*[^\s=][^=]{0,119}=\s*(open|done|duplicate|wontDo)\s*")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


def is_project_id(id_: str) -> bool:
    """Whether ``id_`` can be a project's id."""
    return _ID.fullmatch(id_) is not None


@dataclass(frozen=True)
class ProjectSetting:
    """One setting: its meaning and its allowed values, both in words, and the check of a JSON value."""

    meaning: str
    expected: str
    fits: Callable[[Any], bool]


def _whole_number_between(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _number_between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and math.isfinite(value) and low <= value <= high


def _is_pattern_list(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_PATTERNS
        and all(
            isinstance(pattern, str) and 0 < len(pattern) <= MAX_PATTERN_LENGTH and pattern.isprintable()
            for pattern in value
        )
    )


def _is_state_rule_list(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_PATTERNS
        and all(isinstance(line, str) and line.isprintable() and _STATE_RULE.fullmatch(line) for line in value)
    )


def _matches_whole(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


# Imported where it is needed: loading the engine would slow down every command and the start of the collector.
def _fits_thresholds(value: Any) -> bool:
    from core.engine_settings import find_section_problems

    return not find_section_problems("thresholds", value)


def _fits_weights(value: Any) -> bool:
    from core.engine_settings import find_section_problems

    return not find_section_problems("weights", value)


_COUNT = "a whole number from 1 to 1000000"
_PATTERNS = f"a list of up to {MAX_PATTERNS} shell-style patterns of 1 to {MAX_PATTERN_LENGTH} characters"
SETTINGS: Final[Mapping[str, ProjectSetting]] = {
    "confirmSessions": ProjectSetting(
        "distinct sessions that confirm an incident", _COUNT, _whole_number_between(1, 1_000_000)
    ),
    "confirmUsers": ProjectSetting(
        "distinct users that confirm an incident", _COUNT, _whole_number_between(1, 1_000_000)
    ),
    "confirmDays": ProjectSetting(
        "days (by time of receipt) within which these sessions must lie",
        "a number of days from 0.001 to 3650",
        _number_between(0.001, 3650),
    ),
    "confirmPerSource": ProjectSetting(
        "most sessions of one source that count", _COUNT, _whole_number_between(1, 1_000_000)
    ),
    "newIncidentsPerSource": ProjectSetting(
        "new incidents in an hour that one source may show; above, its sessions do not confirm them",
        _COUNT,
        _whole_number_between(1, 1_000_000),
    ),
    "newIncidentsPerKey": ProjectSetting(
        "new incidents in an hour that may come through one ingest key; above, its sessions do not confirm them",
        _COUNT,
        _whole_number_between(1, 1_000_000),
    ),
    "newIncidentsPerHour": ProjectSetting(
        "new incidents in an hour; further ones are held back from export", _COUNT, _whole_number_between(1, 1_000_000)
    ),
    "ignoredRoutes": ProjectSetting(
        "routes that are never a failure point, like /admin/*", _PATTERNS, _is_pattern_list
    ),
    "ignoredTargets": ProjectSetting(
        "targets that are never a failure point, like button#chaos*", _PATTERNS, _is_pattern_list
    ),
    **{
        kind.target.name: ProjectSetting(kind.target.meaning, kind.target.expected, _matches_whole(kind.target.pattern))
        for kind in TRACKER_KINDS
    },
    "ticketStates": ProjectSetting(
        "what states and resolutions of its tickets mean, like Parked = open (docs/ticket-states.md)",
        "a list of up to 1000 lines like Parked = open; the meanings are open, done, duplicate and wontDo",
        _is_state_rule_list,
    ),
    "onRegression": ProjectSetting(
        "what happens to the ticket of an incident that comes back",
        "reopen, comment or newTicket",
        _matches_whole("reopen|comment|newTicket"),
    ),
    "alertKinds": ProjectSetting(
        "of what people are alerted", f"a list of {', '.join(alert_settings.ALERT_KINDS)}", alert_settings.is_kind_list
    ),
    "alertChannels": ProjectSetting(
        "channels that its alerts and digests go to; not set: all", "a list of names", alert_settings.is_channel_list
    ),
    "alertOwners": ProjectSetting(
        "channels of owners, which get the alerts of their incidents instead",
        "an object of owners and lists of names of channels",
        alert_settings.is_owner_map,
    ),
    "alertGrowthSessions": ProjectSetting(
        "fewest sessions within an hour that are growing", _COUNT, _whole_number_between(2, 1_000_000)
    ),
    "alertGrowthFactor": ProjectSetting(
        "times the usual sessions of an hour that are growing",
        "a number from 1.5 to 1000",
        _number_between(1.5, 1_000),
    ),
    "alertSharePercent": ProjectSetting(
        "share (%) of the sessions that reached the step above which people are alerted",
        "a number from 0.01 to 100",
        _number_between(0.01, 100),
    ),
    "alertUserTimes": ProjectSetting(
        "sessions of one user at which people are alerted", _COUNT, _whole_number_between(2, 1_000_000)
    ),
    "alertTimeZone": ProjectSetting(
        "time zone of quiet hours and digests", "a time zone, like Europe/Berlin", alert_settings.is_time_zone
    ),
    "alertQuietHours": ProjectSetting(
        "hours in which nothing is sent", "hours like 22:00-07:00, or empty", alert_settings.is_quiet_hours
    ),
    "alertDigest": ProjectSetting(
        "when a digest is sent", "'daily 09:00' or 'monday 09:00', or empty", alert_settings.is_digest
    ),
    "requestsPerSecond": ProjectSetting(
        "requests/s of all its keys together", "a number from 0.01 to 1000000", _number_between(0.01, 1_000_000)
    ),
    "thresholds": ProjectSetting(
        "thresholds of the engine, like rage_clicks (below)", "an object of names and whole numbers", _fits_thresholds
    ),
    "weights": ProjectSetting(
        "points of the score, like failure (below)", "an object of names and whole numbers", _fits_weights
    ),
}
"""Every setting of a project (incidents-and-tickets.md: "configurable per project"; detection.md: "overridden per project")."""


PARTED: Final = ("thresholds", "weights")
"""Settings that hold named values, each of which can be set alone, as ``thresholds.rage_clicks``."""


def find_setting_problem(name: str, value: Any) -> str:
    """Why ``value`` cannot be the setting ``name``, '' when it can."""
    setting = SETTINGS.get(name)
    if setting is None:
        return f"there is no project setting {name!r}; the settings are {', '.join(SETTINGS)}"
    if setting.fits(value):
        return ""
    if name in PARTED:
        from core.engine_settings import find_section_problems

        return "; ".join(find_section_problems(name, value))
    return f"{name} must be {setting.expected}"


def select_usable_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The valid stored settings, and the names of the invalid ones. Unknown names are in neither.

    Of PARTED settings, the valid values are used; the names of the others are like ``thresholds.rage_clicks``.
    """
    fits: dict[str, Any] = {}
    bad: list[str] = []
    for name, value in settings.items():
        if name not in SETTINGS:
            continue
        if SETTINGS[name].fits(value):
            fits[name] = value
        elif name in PARTED:
            from core.engine_settings import select_fitting_values

            kept, wrong = select_fitting_values(name, value)
            bad += wrong
            if kept:
                fits[name] = kept
        else:
            bad.append(name)
    return fits, bad
