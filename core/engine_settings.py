"""Changes to the engine's configuration, from a TOML file or a project's settings: checked, then applied to a ``Config``.

A file holds sections for all projects, and under ``projects`` the same for single projects, which have precedence:

    ignored_routes = ["/admin/*"]

    [thresholds]
    rage_clicks = 5

    [projects."shop".weights]
    failure = 35

A project's settings hold the same four as ``thresholds``, ``weights``, ``ignoredRoutes`` and ``ignoredTargets``. Values that
a section does not name keep their defaults. An invalid file is refused with all reasons; of invalid stored settings, the
valid values are used (`select_fitting_values`).
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from core.errors import PermanentError
from core.project_settings import SETTINGS, is_project_id
from ufse.config import DEFAULT, THRESHOLDS, Config, threshold_problem
from ufse.declared import Collected, load_signals
from ufse.weights import TEXTS, find_points_problem

Sections = Mapping[str, Any]
"""Checked sections by name (a subset of SECTIONS)."""

SECTIONS: Final = ("thresholds", "weights", "ignored_routes", "ignored_targets")
STORED: Final = {"ignored_routes": "ignoredRoutes", "ignored_targets": "ignoredTargets"}
"""Sections with another name in a project's settings."""
_PROJECTS: Final = "projects"

LEAST: Final = {"slow_ms": 3_000}
"""Thresholds with a higher minimum than the engine's own: the event store selects the sessions for the engine by answers of
3 s or more (schema/clickhouse, ``neg``), so that a lower threshold would find nothing more."""


@dataclass(frozen=True)
class EngineSettings:
    """The content of a file: sections for all projects, and for single projects."""

    everywhere: Sections = field(default_factory=dict)
    projects: Mapping[str, Sections] = field(default_factory=dict)

    def project_sections(self, project: str) -> Sections:
        """The sections that apply to ``project``: its own values have precedence over those for all projects."""
        own = self.projects.get(project, {})
        return {name: _join_values(name, self.everywhere.get(name), own.get(name)) for name in {*self.everywhere, *own}}

    def apply_to_configs(self, present: Mapping[str, Config]) -> dict[str, Config]:
        """``present`` (by project, '' for the others) overridden by this file. Raises PermanentError for contradictions."""
        names = ["", *sorted({*present, *self.projects} - {""})]
        default = present.get("", DEFAULT)
        return {name: _apply_to_config(name, present.get(name, default), self.project_sections(name)) for name in names}


def read_engine_settings(path: Path) -> tuple[EngineSettings, Mapping[str, Any]]:
    """The settings of a file, and its plain data. Raises PermanentError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PermanentError(f"{path.name} is not valid TOML: {error}") from error
    return parse_engine_settings(data, path.name), data


def parse_engine_settings(data: Mapping[str, Any], name: str) -> EngineSettings:
    """The settings in the plain data of the file ``name``. Raises PermanentError with every reason."""
    wrong = [*_find_unknown_names(data, (*SECTIONS, _PROJECTS), "section"), *_find_wrong_sections(data, "")]
    projects = data.get(_PROJECTS, {})
    if not isinstance(projects, dict):
        wrong.append("projects must hold a table for each project")
        projects = {}
    for project, sections in projects.items():
        where = f"projects.{project}."
        if not is_project_id(project):
            wrong.append(f"{project!r} is not a project id")
        elif not isinstance(sections, dict):
            wrong.append(f"{where[:-1]} must be a table of sections")
        else:
            wrong += [
                *_find_unknown_names(sections, SECTIONS, "section", where),
                *_find_wrong_sections(sections, where),
            ]
    if wrong:
        raise PermanentError(f"{name}: {'; '.join(wrong)}")
    return EngineSettings(_select_sections(data), {id_: _select_sections(own) for id_, own in projects.items()})


def build_engine_config(settings: Mapping[str, Any]) -> Config:
    """The engine configuration of a project with these settings, all of which must be valid."""
    names = {name: STORED.get(name, name) for name in SECTIONS}
    return _override_config(DEFAULT, {name: settings[stored] for name, stored in names.items() if stored in settings})


def to_stored_names(sections: Sections) -> dict[str, Any]:
    """Sections by their names in a project's settings."""
    return {STORED.get(name, name): value for name, value in sections.items()}


def find_section_problems(section: str, value: object) -> list[str]:
    """Every reason why ``value`` is not valid as ``thresholds`` or ``weights``."""
    if not isinstance(value, dict):
        return [f"{section} must hold names with whole numbers, like rage_clicks = 5"]
    reasons = [reason for name, number in value.items() if (reason := _find_number_problem(section, name, number))]
    return reasons or _find_contradictions({section: value})


def select_fitting_values(section: str, value: object) -> tuple[dict[str, int], list[str]]:
    """The valid stored ``thresholds`` or ``weights``, and the names of the others: all names if the values contradict."""
    if not isinstance(value, dict):
        return {}, [section]
    kept = {name: number for name, number in value.items() if not _find_number_problem(section, name, number)}
    if _find_contradictions({section: kept}):
        kept = {}
    return kept, [f"{section}.{name}" for name in value if name not in kept]


def _find_wrong_sections(data: Mapping[str, Any], where: str) -> Iterator[str]:
    for section in SECTIONS:
        if section not in data:
            continue
        if section in STORED:
            setting = SETTINGS[STORED[section]]
            reasons = [] if setting.fits(data[section]) else [f"{section} must be {setting.expected}"]
        else:
            reasons = find_section_problems(section, data[section])
        yield from (f"{where}{reason}" for reason in reasons)


def _find_unknown_names(names: Collection[str], known: Collection[str], what: str, where: str = "") -> Iterator[str]:
    return (f"{where}{_describe_unknown_name(name, known, what)}" for name in names if name not in known)


def _describe_unknown_name(name: object, known: Collection[str], what: str) -> str:
    near = get_close_matches(str(name), known, n=3, cutoff=0.5)
    if not near and len(known) < 10:
        near = list(known)
    hint = f"; there is {', '.join(near)}" if near else "; docs/configuration.md lists them"
    return f"there is no {what} {str(name)[:50]!r}{hint}"


def _find_number_problem(section: str, name: str, number: object) -> str:
    known: Collected[Any] = THRESHOLDS if section == "thresholds" else TEXTS
    if name not in known.own:
        load_signals()  # only for such a name: the collector checks settings too, and does without the engine
    if name not in known:
        return _describe_unknown_name(name, known, section.removesuffix("s"))
    if section == "weights":
        return find_points_problem(name, number)
    if type(number) is int and 0 < number < LEAST.get(name, 0):
        return f"thresholds.{name} must be {LEAST[name]} or more: the event store selects sessions from this value"
    reason = threshold_problem(name, number)
    return f"thresholds.{reason}" if reason else ""


def _find_contradictions(sections: Sections) -> list[str]:
    try:
        _override_config(DEFAULT, sections)
    except ValueError as error:
        return [f"thresholds.{error}"]
    return []


def _select_sections(data: Mapping[str, Any]) -> Sections:
    return {name: data[name] for name in SECTIONS if name in data}


def _join_values(name: str, everywhere: Any, own: Any) -> Any:
    if name in STORED:
        return everywhere if own is None else own
    return {**(everywhere or {}), **(own or {})}


def _apply_to_config(project: str, config: Config, sections: Sections) -> Config:
    try:
        return _override_config(config, sections)
    except ValueError as error:
        whose = f"project {project!r}" if project else "projects without settings of their own"
        raise PermanentError(f"with the present settings of {whose}: {error}") from error


def _override_config(config: Config, sections: Sections) -> Config:
    patterns: dict[str, Any] = {name: tuple(sections[name]) for name in STORED if name in sections}
    return replace(config, **patterns).override_numbers(sections.get("thresholds", {}), sections.get("weights", {}))
