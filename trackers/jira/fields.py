"""Fields of new issues by the names that people know, checked and written as Jira's own description of its fields says.

What a field may hold comes from ``createmeta`` of the project and the issue type, read once for each tracker that is opened.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final
from urllib.parse import quote

from trackers.document import Paragraph, render_adf
from trackers.gate import WrongFields
from trackers.http_errors import to_safe_line
from trackers.jira.answers import FieldOption, IssueTypePage, NewIssueField, NewIssueFieldPage
from trackers.jira.client import JiraClient
from trackers.ticket_plan import describe_wrong_fields

FILLED: Final = frozenset({"project", "issuetype", "summary", "description", "labels", "priority", "reporter"})
"""Fields that Furrow or Jira fills in every ticket; the reporter is the token's account."""
TARGETS: Final = ("project", "issue_type")
"""Names that say where a ticket goes; they are no fields."""
_PAGE: Final = 200
_MOST_PAGES: Final = 20
_SHOWN: Final = 20
_OURS: Final = {"project", "issuetype", "summary", "description", "priority"}
# Names that people use for a field, and what it is called in Jira: its id, or the end of the name of its type.
_KNOWN: Final = {
    "cycle": ("gh-sprint",),
    "epic": ("gh-epic-link", "parent"),
    "estimate": ("jsw-story-points", "timetracking"),
    "team": ("atlassian-team",),
    "fix_version": ("fixVersions",),
    "affects_version": ("versions",),
    "due_date": ("duedate",),
}
_PATH: Final = " > "


class _WrongValue(Exception):
    """A value that the field cannot have; its words follow the field's name."""


class FieldWriter:
    """Fields of new issues of one site. Raises as ``Tracker`` says, and WrongFields."""

    def __init__(self, client: JiraClient, cloud: bool) -> None:
        self._client, self._cloud = client, cloud
        self._types: dict[str, dict[str, str]] = {}
        self._fields: dict[tuple[str, str], list[NewIssueField]] = {}

    def write_fields(
        self, project: str, issue_type: str, wanted: Mapping[str, object], owned: Collection[str] = ()
    ) -> dict[str, object]:
        """The part of the request that creates an issue. Raises WrongFields with everything that is wrong.

        ``owned``: names of fields (in lower case) that the file of owners gave.
        """
        known = self.read_fields(project, issue_type)
        written: dict[str, object] = {}
        problems: dict[str, str] = {}
        for name, value in wanted.items():
            if name.casefold() in TARGETS:
                continue
            try:
                field = _find_field(known, name)
                written[field.id] = _convert(field, value, self._cloud)
            except _WrongValue as wrong:
                problems[name] = str(wrong)
        for name in _missing_names(known, written):
            problems.setdefault(name, "is required")
        if problems:
            place = f"project {project}, issue type {issue_type}"
            raise WrongFields(describe_wrong_fields(place, problems, owned))
        return written

    def read_fields(self, project: str, issue_type: str) -> list[NewIssueField]:
        """The fields of new issues of this type. Raises WrongFields when the project has no such type."""
        if (project, issue_type) not in self._fields:
            path = f"issue/createmeta/{quote(project, safe='')}/issuetypes"
            types = self._read_types(project, path)
            if issue_type not in types:
                names = to_safe_line(", ".join(types) or "none")
                raise WrongFields(
                    f"project {project} has no issue type {issue_type!r}; it has {names} (FURROW_JIRA_ISSUE_TYPE)"
                )
            self._fields[project, issue_type] = self._read_pages(f"{path}/{quote(types[issue_type], safe='')}")
        return self._fields[project, issue_type]

    def _read_types(self, project: str, path: str) -> dict[str, str]:
        if project not in self._types:
            page = self._client.read(IssueTypePage, f"show {path}", path, maxResults=_PAGE)
            self._types[project] = {entry.name: str(entry.id) for entry in page.issue_types or page.values or ()}
        return self._types[project]

    def _read_pages(self, path: str) -> list[NewIssueField]:
        found: list[NewIssueField] = []
        for _ in range(_MOST_PAGES):
            more = {"startAt": len(found)} if found else {}
            page = self._client.read(NewIssueFieldPage, f"show {path}", path, maxResults=_PAGE, **more)
            fields = page.fields or page.values or []
            found += fields
            if not fields or page.total is None or len(found) >= page.total:
                break
        return found


def _missing_names(known: Iterable[NewIssueField], written: Mapping[str, object]) -> list[str]:
    return [
        field.name or field.id
        for field in known
        if field.required and not field.has_default_value and field.id not in FILLED and field.id not in written
    ]


def _find_field(known: Sequence[NewIssueField], name: str) -> NewIssueField:
    wanted = name.casefold()
    found = [field for field in known if field.id == name]
    found = found or [field for field in known if (field.name or "").casefold() == wanted]
    found = found or [field for field in known if field.id.casefold() == wanted]
    for alias in () if found else _KNOWN.get(wanted, ()):
        found = found or [field for field in known if alias == field.id or _custom_type(field) == alias]
    if not found:
        raise _WrongValue(f"is not on the screen for new issues; there are {_names(field.name for field in known)}")
    if len(found) > 1:
        raise _WrongValue(f"is there {len(found)} times: use one of the ids {_names(field.id for field in found)}")
    if found[0].id in _OURS:
        raise _WrongValue("is filled by Furrow")
    return found[0]


def _names(names: Iterable[str | None]) -> str:
    known = [name for name in names if name]
    more = [f"{len(known) - _SHOWN} more"] if len(known) > _SHOWN else []
    return ", ".join([*known[:_SHOWN], *more]) or "none"


def _custom_type(field: NewIssueField) -> str:
    return (field.schema.custom or "").rpartition(":")[2] if field.schema else ""


# Values
# ---------------------------------------------------------------------------------------------------------------------


def _convert(field: NewIssueField, value: object, cloud: bool) -> object:
    """The value as Jira wants it, by the type of the field."""
    kind = field.schema.type if field.schema else "string"
    if kind == "array":
        items = field.schema.items or "string" if field.schema else "string"
        if _custom_type(field) == "gh-sprint":
            return _convert_entry(field, "number", value, cloud)
        values = value if isinstance(value, tuple) else (value,)
        return [_convert_entry(field, items, entry, cloud) for entry in values]
    if kind == "option-with-child":
        return _convert_cascading(field, value)
    if isinstance(value, tuple):
        raise _WrongValue("takes one value, not a list")
    return _convert_entry(field, kind, value, cloud)


def _convert_entry(field: NewIssueField, kind: str, value: object, cloud: bool) -> object:
    match kind:
        case "number":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise _WrongValue(f"takes a number, not {value!r}")
            return value
        case "date":
            return _iso_date(value)
        case "datetime":
            return value.isoformat() if isinstance(value, datetime) else _text(value)
        case "user":
            return {"accountId" if cloud else "name": _text(value)}
        case "group":
            return {"name": _text(value)}
        case "option" | "component" | "version" | "priority" | "securitylevel" | "resolution":
            return {"id": str(_find_option(field.allowed_values, value).id)}
        case "issuelink":
            return {"key": _text(value)}
        case "project":
            return {"key": _text(value)}
        case "timetracking":
            return {"originalEstimate": _text(value)}
    text = _text(value)
    if any(letter.isspace() for letter in text) and field.id == "labels":
        raise _WrongValue(f"takes labels without spaces, not {text!r}")
    if field.allowed_values and field.schema and field.schema.items != "string":
        return {"id": str(_find_option(field.allowed_values, value).id)}
    if cloud and (_custom_type(field) == "textarea" or field.id == "environment"):
        return render_adf((Paragraph((text,)),))
    return text


def _convert_cascading(field: NewIssueField, value: object) -> object:
    """``Parent`` or ``Parent > Child``, also as a list of two."""
    parts = value if isinstance(value, tuple) else tuple(_text(value).split(_PATH))
    if not 1 <= len(parts) <= 2:
        raise _WrongValue(f"takes an option and one below it, like 'Hardware{_PATH}Laptop', not {value!r}")
    parent = _find_option(field.allowed_values, parts[0])
    if len(parts) == 1:
        return {"id": str(parent.id)}
    return {"id": str(parent.id), "child": {"id": str(_find_option(parent.children, parts[1]).id)}}


def _find_option(options: Sequence[FieldOption] | None, value: object) -> FieldOption:
    wanted = str(value).casefold()
    found = [option for option in options or () if wanted in (option.text.casefold(), str(option.id).casefold())]
    if not found:
        raise _WrongValue(f"does not allow {value!r}; it allows {_names(option.text for option in options or ())}")
    return next((option for option in found if option.text == str(value)), found[0])


def _iso_date(value: object) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    try:
        return (value if isinstance(value, date) else date.fromisoformat(_text(value))).isoformat()
    except ValueError:
        raise _WrongValue(f"takes a date like 2026-01-31, not {value!r}") from None


def _text(value: object) -> str:
    if isinstance(value, (bool, tuple)):
        raise _WrongValue(f"takes a text, not {value!r}")
    return str(value)
