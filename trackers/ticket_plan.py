"""The file that FURROW_TICKET_FIELDS names: fields and texts of tickets for each tracker, and rules for some of them.

A file in TOML. ``[jira.fields]`` are the fields of every ticket in Jira; of ``[[jira.rules]]``, the first one that matches an
incident adds its fields and replaces those of the same name. Names and values mean what the tracker's package says.
"""

import hashlib
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from core.settings import Settings
from core.tracker_kinds import TRACKER_NAMES
from incidents.incident import Incident
from trackers.gate import AccessRefused
from trackers.http_errors import to_safe_line

FieldValue = str | int | float | bool | date | tuple[str | int | float, ...]
Fields = Mapping[str, FieldValue]
"""Fields of a ticket by name; a list of the file is a tuple."""
CONDITIONS: Final = ("application", "route", "endpoint", "control", "severity", "kind", "environment")
WITH_FIELDS: Final = ("jira", "linear")
"""Trackers whose tickets have fields; those of the others have a title and a text."""
_TEXTS: Final = ("title", "body")
MAX_FILE: Final = 1_000_000
MAX_RULES: Final = 500
MAX_VALUES: Final = 100
MAX_TEMPLATE: Final = 20_000
_NOT_FIELDS: Final = {"summary": "title", "title": "title", "description": "body", "body": "body"}


class WrongTicketFile(AccessRefused):
    """The file cannot be read or says something unknown. Tickets wait until it is right."""

    everything = True


@dataclass(frozen=True)
class Rule:
    """Fields for the incidents that match all conditions; of the patterns of a condition, one must match."""

    when: Mapping[str, tuple[str, ...]]
    fields: Fields

    def matches(self, incident: Incident) -> bool:
        """Whether the incident is one of this rule. Patterns are shell-style and mind the case."""
        seen = describe_incident(incident)
        return all(
            any(fnmatchcase(value, pattern) for pattern in patterns for value in seen[condition])
            for condition, patterns in self.when.items()
        )


@dataclass(frozen=True)
class TrackerPlan:
    """The part of the file for one tracker. ``title`` and ``body``: templates, None for the built-in text."""

    fields: Fields = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    title: str | None = None
    body: str | None = None

    def choose_fields(self, incident: Incident) -> Fields:
        """The fields of this incident's ticket: those of all tickets, then those of the first rule that matches."""
        rule = next((rule for rule in self.rules if rule.matches(incident)), None)
        return merge_fields(self.fields, rule.fields if rule else {})

    def list_combinations(self) -> list[tuple[str, Mapping[str, tuple[str, ...]], Fields]]:
        """Every set of fields that a ticket can have: where it stands in the file, its conditions, the fields."""
        found: list[tuple[str, Mapping[str, tuple[str, ...]], Fields]] = [("fields", {}, self.fields)]
        for number, rule in enumerate(self.rules, 1):
            found.append((f"rule {number}", rule.when, merge_fields(self.fields, rule.fields)))
        return found


TicketPlan = Mapping[str, TrackerPlan]
"""The whole file, by tracker; trackers that it does not name are left out."""


def merge_fields(*layers: Fields) -> Fields:
    """The fields of all layers; of those with one name (case does not count), the value of the last layer.

    This is where fields from elsewhere, like an assignee from rules of ownership, are added to a new ticket.
    """
    merged: dict[str, tuple[str, FieldValue]] = {}
    for layer in layers:
        merged.update({name.casefold(): (name, value) for name, value in layer.items()})
    return dict(merged.values())


def find_field(fields: Mapping[str, object], name: str) -> str:
    """The value of the field ``name`` (in lower case) as text, however the file writes the name; '' without one."""
    return next((str(value) for known, value in fields.items() if known.casefold() == name), "")


def describe_wrong_fields(place: str, problems: Mapping[str, str], owned: Collection[str] = ()) -> str:
    """What is wrong with fields, by name, and in which file; ``owned``: names (in lower case) that the file of owners gave."""
    by_file: dict[str, list[str]] = {}
    for name, words in problems.items():
        by_file.setdefault(_name_file(name, owned), []).append(f"the field {name!r} {words}")
    return to_safe_line(f"{place}: " + "; ".join(f"{'; '.join(lines)} ({file})" for file, lines in by_file.items()))


def describe_refused_fields(refusal: str, refused: Iterable[str], owned: Collection[str]) -> str:
    """A tracker's refusal of fields, and the files that they come from."""
    return f"{refusal} ({', '.join(sorted({_name_file(name, owned) for name in refused}))})"


def _name_file(field_name: str, owned: Collection[str]) -> str:
    return "FURROW_OWNERS_FILE" if field_name.casefold() in owned else "FURROW_TICKET_FIELDS"


def describe_incident(incident: Incident) -> dict[str, tuple[str, ...]]:
    """What rules match, by condition: the values of which one must match."""
    point = incident["failurePoint"]
    request = point["feedback"].partition(" → ")[0]
    return {
        "application": (incident["projectId"],),
        "route": (point["route"],),
        "endpoint": (request, request.partition(" ")[2] or request),
        "control": (point["target"], incident["label"]),
        "severity": (incident["severity"],),
        "kind": (incident["severityType"],),
        "environment": tuple(incident["environments"]),
    }


# Reading the file
# ---------------------------------------------------------------------------------------------------------------------


def load_tracker_plan(settings: Settings, tracker: str) -> TrackerPlan:
    """The part of the file for ``tracker``; empty without a file. Raises WrongTicketFile."""
    return load_ticket_plan(settings.ticket_fields).get(tracker, TrackerPlan())


def load_ticket_plan(path: str) -> TicketPlan:
    """Read the file at ``path``; '' is no file and an empty plan. Raises WrongTicketFile that names the place."""
    if not path:
        return {}
    try:
        content = _read_file(path)
        document = tomllib.loads(content.decode())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise WrongTicketFile(f"FURROW_TICKET_FIELDS: {path} cannot be read: {to_safe_line(reason)}") from None
    try:
        return parse_ticket_plan(document)
    except ValueError as error:
        raise WrongTicketFile(f"FURROW_TICKET_FIELDS: {path}: {to_safe_line(str(error))}") from None


def hash_ticket_file(path: str) -> str:
    """What identifies the content of the file (SHA-256, hex); '' without one, or when it cannot be read."""
    try:
        return hashlib.sha256(_read_file(path)).hexdigest() if path else ""
    except (OSError, ValueError):
        return ""


def _read_file(path: str) -> bytes:
    with Path(path).open("rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ValueError(f"it is larger than {MAX_FILE:,} bytes")
    return content


def parse_ticket_plan(document: Mapping[str, Any]) -> TicketPlan:
    """The plan of a TOML document. Raises ValueError that names the place."""
    _refuse_unknown("the file", document, TRACKER_NAMES)
    return {name: _parse_tracker(name, _table(name, part)) for name, part in document.items()}


def _parse_tracker(name: str, part: Mapping[str, Any]) -> TrackerPlan:
    _refuse_unknown(name, part, ("fields", "rules", *_TEXTS) if name in WITH_FIELDS else _TEXTS)
    rules = part.get("rules", [])
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        raise ValueError(f"{name}.rules must be up to {MAX_RULES} tables, [[{name}.rules]]")
    return TrackerPlan(
        fields=_parse_fields(f"{name}.fields", part.get("fields", {})),
        rules=tuple(_parse_rule(f"rule {number} of {name}", rule) for number, rule in enumerate(rules, 1)),
        title=_parse_template(f"{name}.title", part.get("title")),
        body=_parse_template(f"{name}.body", part.get("body")),
    )


def _parse_rule(place: str, rule: Any) -> Rule:
    table = _table(place, rule)
    _refuse_unknown(place, table, ("when", "fields"))
    when = _table(f"{place}, when", table.get("when"))
    _refuse_unknown(f"{place}, when", when, CONDITIONS)
    if not when:
        raise ValueError(f"{place} has no condition; what holds for all tickets belongs to fields")
    return Rule(
        {name: _parse_patterns(f"{place}, when.{name}", value) for name, value in when.items()},
        _parse_fields(f"{place}, fields", table.get("fields")),
    )


def _parse_patterns(place: str, value: Any) -> tuple[str, ...]:
    patterns = value if isinstance(value, list) else [value]
    if not 1 <= len(patterns) <= MAX_VALUES or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ValueError(f"{place} must be a text or a list of texts, like /checkout/*")
    return tuple(patterns)


def _parse_fields(place: str, value: Any) -> Fields:
    return merge_fields({name: _parse_field(place, name, value) for name, value in _table(place, value).items()})


def _parse_field(place: str, name: str, value: Any) -> FieldValue:
    if name.casefold() in _NOT_FIELDS:
        raise ValueError(f"{place}.{name} is no field: the text is made by the template {_NOT_FIELDS[name.casefold()]}")
    if isinstance(value, list):
        if not value or len(value) > MAX_VALUES or not all(_is_plain(entry) for entry in value):
            raise ValueError(f"{place}.{name} must be a list of 1 to {MAX_VALUES} texts or numbers")
        return tuple(value)
    if value == "" or not (_is_plain(value) or isinstance(value, (bool, date))):
        raise ValueError(f"{place}.{name} must be a text, a number, true or false, a date, or a list of texts")
    return value  # type: ignore[no-any-return]


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _parse_template(place: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEMPLATE:
        raise ValueError(f"{place} must be a text of at most {MAX_TEMPLATE:,} characters")
    return value


def _table(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{place} must be a table of names and values")
    return value


def _refuse_unknown(place: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    if unknown := [name for name in table if name not in known]:
        raise ValueError(f"{place} has no {unknown[0]!r}; there are {', '.join(known)}")
