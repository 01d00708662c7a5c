"""What ``projects.settings`` says to the collector; values that do not fit are counted and left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.metrics import count_degraded
from core.project_settings import select_usable_settings
from incidents.lifecycle import ConfirmRule


@dataclass(frozen=True)
class ProjectSettings:
    """One project's own numbers (``core.project_settings``); None: the installation's default.

    ``requests_per_second``: of all its keys together; ``confirm_*``: when a draft is trusted
    (incidents-and-tickets.md); ``fitting``: all of them by name, for the engine's own (``core.engine_settings``).
    """

    requests_per_second: float | None = None
    confirm_sessions: int | None = None
    confirm_users: int | None = None
    confirm_days: float | None = None
    confirm_per_source: int | None = None
    new_incidents_per_hour: int | None = None
    fitting: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_stored_settings(cls, stored: Mapping[str, Any]) -> "ProjectSettings":
        """The settings as stored."""
        fitting = select_fitting_settings(stored)
        return cls(
            fitting.get("requestsPerSecond"),
            fitting.get("confirmSessions"),
            fitting.get("confirmUsers"),
            fitting.get("confirmDays"),
            fitting.get("confirmPerSource"),
            fitting.get("newIncidentsPerHour"),
            fitting,
        )

    def effective_confirm_rule(self, default: ConfirmRule) -> ConfirmRule:
        """The rule of this project, filled up from ``default``."""
        return ConfirmRule(
            self.confirm_sessions or default.min_sessions,
            self.confirm_users or default.min_users,
            self.confirm_days or default.window_days,
            self.confirm_per_source or default.per_source,
            self.new_incidents_per_hour or default.new_per_hour,
        )


DEFAULTS: Final = ProjectSettings()


def select_fitting_settings(stored: object) -> dict[str, Any]:
    """The settings that are known and fit; nothing else that a row may hold is kept in the collector's cache."""
    fitting, bad = select_usable_settings(stored) if isinstance(stored, dict) else ({}, ["settings"])
    for _ in bad:
        count_degraded("projects", "bad_setting")
    return fitting
