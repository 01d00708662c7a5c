"""The settings of a project that the collector reads (``projects.settings``); invalid values are counted and ignored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.metrics import count_degraded
from core.project_settings import select_usable_settings
from incidents.lifecycle import ConfirmRule


@dataclass(frozen=True)
class ProjectSettings:
    """The settings of one project (``core.project_settings``); None: the installation's default.

    ``requests_per_second``: limit of all its keys together; ``confirm_*``: when a draft becomes confirmed
    (docs/contracts/incidents-and-tickets.md); ``fitting``: all valid settings by name, also those of the engine
    (``core.engine_settings``).
    """

    requests_per_second: float | None = None
    confirm_sessions: int | None = None
    confirm_users: int | None = None
    confirm_days: float | None = None
    confirm_per_source: int | None = None
    new_incidents_per_hour: int | None = None
    new_incidents_per_source: int | None = None
    new_incidents_per_key: int | None = None
    fitting: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_stored_settings(cls, stored: Mapping[str, Any]) -> "ProjectSettings":
        """The project's settings, from the JSON object in the store."""
        fitting = select_fitting_settings(stored)
        return cls(
            fitting.get("requestsPerSecond"),
            fitting.get("confirmSessions"),
            fitting.get("confirmUsers"),
            fitting.get("confirmDays"),
            fitting.get("confirmPerSource"),
            fitting.get("newIncidentsPerHour"),
            fitting.get("newIncidentsPerSource"),
            fitting.get("newIncidentsPerKey"),
            fitting,
        )

    def effective_confirm_rule(self, default: ConfirmRule) -> ConfirmRule:
        """The confirm rule of this project; ``default`` fills in what the project does not set."""
        return ConfirmRule(
            self.confirm_sessions or default.min_sessions,
            self.confirm_users or default.min_users,
            self.confirm_days or default.window_days,
            self.confirm_per_source or default.per_source,
            self.new_incidents_per_hour or default.new_per_hour,
            new_per_source=self.new_incidents_per_source or default.new_per_source,
            new_per_key=self.new_incidents_per_key or default.new_per_key,
        )


DEFAULTS: Final = ProjectSettings()


def select_fitting_settings(stored: object) -> dict[str, Any]:
    """The known settings with valid values; the collector's cache keeps nothing else of the row."""
    fitting, bad = select_usable_settings(stored) if isinstance(stored, dict) else ({}, ["settings"])
    for _ in bad:
        count_degraded("projects", "bad_setting")
    return fitting
