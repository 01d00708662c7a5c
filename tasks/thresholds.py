"""The thresholds of each project: its own where it set some that fit, else those of the installation."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from core.engine_settings import SECTIONS, STORED, build_engine_config
from core.metrics import count_degraded
from core.project_settings import select_usable_settings
from core.settings import Settings
from stores.incidents.incident_store import ConfirmRule, IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from ufse.config import DEFAULT, Config
from ufse.exemptions import Exemption

EXEMPTIONS: Final = "exemptions"
"""Where the overrides of a project hold its accepted exceptions."""

_log = logging.getLogger("furrow.thresholds")
_logged_settings: set[tuple[str, str, str]] = set()

Overrides = Mapping[str, Mapping[str, Any]]
"""Settings that fit, by project; projects without any are left out."""


def read_project_thresholds(store: IncidentStore | LogIncidentStore) -> Overrides:
    """What the projects set, as it is stored now; what does not fit is logged once, counted, and left out."""
    if isinstance(store, LogIncidentStore):
        return {}
    found: dict[str, Mapping[str, Any]] = {}
    for project in store.keys.read_projects():
        settings = project.settings if isinstance(project.settings, dict) else {"settings": project.settings}
        fitting, bad = select_usable_settings(settings)
        for name in bad:
            _log_unusable_setting(project.id, name, _stored_value(settings, name))
        if fitting:
            found[project.id] = fitting
    for project_id, exemptions in read_accepted_exemptions(store).items():
        found[project_id] = {**found.get(project_id, {}), EXEMPTIONS: exemptions}
    return found


def read_accepted_exemptions(store: IncidentStore) -> dict[str, tuple[Exemption, ...]]:
    """The exceptions that people accepted, by project. One that this version cannot read is logged once, counted, and left
    out: what it silenced is reported again."""
    found: dict[str, tuple[Exemption, ...]] = {}
    for row in store.exemptions.read_accepted():
        try:
            found[row.project] = (*found.get(row.project, ()), row.build())
        except ValueError:
            _log_unusable_setting(row.project, f"exception {row.exemption_id}", row.body)
    return found


def confirm_rules(overrides: Overrides) -> dict[str, ConfirmRule]:
    """The confirm rule of each project that has its own, and under '' that of all others."""
    settings = Settings()
    default = ConfirmRule(
        settings.confirm_sessions,
        settings.confirm_users,
        settings.confirm_days,
        settings.confirm_per_source,
        settings.new_incidents_per_hour,
        settings.open_sessions,
        settings.new_incidents_per_source,
        settings.new_incidents_per_key,
    )
    own = {
        project: ConfirmRule(
            values.get("confirmSessions", default.min_sessions),
            values.get("confirmUsers", default.min_users),
            values.get("confirmDays", default.window_days),
            values.get("confirmPerSource", default.per_source),
            values.get("newIncidentsPerHour", default.new_per_hour),
            default.open_sessions,
            values.get("newIncidentsPerSource", default.new_per_source),
            values.get("newIncidentsPerKey", default.new_per_key),
        )
        for project, values in overrides.items()
    }
    return {"": default, **own}


def engine_configs(overrides: Overrides) -> dict[str, Config]:
    """The engine's configuration of each project that sets something of it, and under '' that of all others."""
    own = {
        project: replace(build_engine_config(values), exemptions=values.get(EXEMPTIONS, ()))
        for project, values in overrides.items()
        if any(STORED.get(section, section) in values for section in SECTIONS) or EXEMPTIONS in values
    }
    return {"": DEFAULT, **own}


def _stored_value(settings: Mapping[str, Any], name: str) -> Any:
    section, _, part = name.partition(".")
    return settings[section][part] if part else settings[section]


def _log_unusable_setting(project: str, name: str, value: Any) -> None:
    count_degraded("thresholds", "bad_setting")
    once = (project, name, repr(value)[:200])
    if once not in _logged_settings:
        _logged_settings.add(once)
        # repr escapes control characters, so that a stored text cannot forge a line of the log.
        _log.warning("project %r: the setting %r is unusable (%s); the default is used", project[:100], name, once[2])
