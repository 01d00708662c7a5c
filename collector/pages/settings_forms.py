"""Reads the forms of the page of settings: each function returns what a form wants, or raises ApiError (400)."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from collector.access.keys import ALL_PROJECTS
from collector.http_errors import ApiError
from collector.pages.people import last_value
from collector.pages.settings_view import LISTS, OWNER_LISTS, TARGETS, list_section_settings, owners_to_text
from core.api_keys import LABEL_LENGTH
from core.errors import WrongUse
from core.project_changes import merge_settings, normalize_origin
from core.project_settings import PARTED, is_project_id
from core.roles import KeyRole, is_person_role
from core.tracker_kinds import TRACKER_NAMES

if TYPE_CHECKING:
    from incidents.model import ProjectRecord

Form = dict[str, list[str]]
_MOST_ORIGINS: Final = 100
_NUMBER_LENGTH: Final = 20
_SHOWN: Final = 200
_PREFIX: Final = re.compile(r"[A-Za-z0-9_\-]{1,40}")


def read_project(form: Form) -> str:
    """The project that a form names."""
    project = last_value(form, "project")
    if not is_project_id(project):
        raise ApiError(
            400,
            "invalid_body",
            "A project id has at most 64 characters: letters and digits, and after the first character also _ . -",
        )
    return project


def read_new_key(form: Form) -> tuple[str, KeyRole, str]:
    """The project, role and label of the key that a form asks for."""
    role, label = last_value(form, "role"), last_value(form, "label").strip()
    if role == "ingest":
        known: KeyRole = "ingest"
    elif is_person_role(role):
        known = role
    else:
        raise ApiError(400, "invalid_body", "A key has the role ingest, viewer, operator or admin.")
    if len(label) > LABEL_LENGTH or not label.isprintable():
        raise ApiError(400, "invalid_body", f"A label has at most {LABEL_LENGTH} characters, on one line.")
    everywhere = role != "ingest" and last_value(form, "everywhere") == "on"
    return ALL_PROJECTS if everywhere else read_project(form), known, label


def read_revoked_key(form: Form) -> tuple[str, str]:
    """The prefix and project of the key that a form revokes."""
    prefix, project = last_value(form, "prefix"), last_value(form, "key_project")
    if not _PREFIX.fullmatch(prefix) or not (project == ALL_PROJECTS or is_project_id(project)):
        raise ApiError(400, "invalid_body", "The form names no key.")
    return prefix, project


def read_tracker(form: Form) -> str:
    """The tracker that a form asks about."""
    tracker = last_value(form, "tracker")
    if tracker not in TRACKER_NAMES:
        raise ApiError(400, "invalid_body", "The form names no tracker.")
    return tracker


def read_origins(form: Form) -> list[str]:
    """The origins of a form, one a line, as browsers send them."""
    lines = _split_lines(last_value(form, "origins"))
    if len(lines) > _MOST_ORIGINS:
        raise ApiError(400, "invalid_body", f"A project has at most {_MOST_ORIGINS} origins.")
    try:
        return list(dict.fromkeys(normalize_origin(line) for line in lines))
    except WrongUse as error:
        raise ApiError(400, "invalid_body", _begin_sentence(str(error))) from None


def change_settings(form: Form, record: "ProjectRecord") -> tuple[dict[str, object], str]:
    """The project's settings with the values of the form's section, and what was changed, in words.

    An empty field removes a setting. A field that holds what is stored changes nothing, so that a stored value which is no
    longer valid stays until a person changes it.
    """
    names = [name for name in list_section_settings(last_value(form, "section")) if f"set.{name}" in form]
    if not names:
        raise ApiError(400, "invalid_body", "The form names no settings.")
    stored = record.settings if isinstance(record.settings, dict) else {}
    changes: dict[str, object] = {}
    removed: list[str] = []
    for name in names:
        text, before = last_value(form, f"set.{name}"), _find_stored(stored, name)
        value = _parse_owners(text, before) if name in OWNER_LISTS else _parse_value(name, text)
        if value is None and before is not None:
            removed.append(name)
        elif value is not None and value != before:
            changes[name] = value
    try:
        merged = merge_settings(stored, changes, removed)
    except WrongUse as error:
        raise ApiError(400, "invalid_body", _begin_sentence(str(error))[:1_000]) from None
    words = [f"{name} = {_shorten(json.dumps(value, ensure_ascii=False))}" for name, value in changes.items()]
    words += [f"{name} to its default" for name in removed]
    return merged, ", ".join(words)


def _find_stored(stored: Mapping[str, object], name: str) -> object:
    whole, _, part = name.partition(".")
    value = stored.get(whole)
    if not part:
        return value
    return value.get(part) if whole in PARTED and isinstance(value, dict) else None


def _parse_value(name: str, text: str) -> object:
    """The value of a field; None for an empty one. Text that is no number stays text, which no number setting accepts."""
    if name in LISTS:
        return _split_lines(text) or None
    plain = text.strip()
    if not plain:
        return None
    if name in TARGETS or len(plain) > _NUMBER_LENGTH:
        return plain[:_SHOWN]
    try:
        value = json.loads(plain)
    except ValueError:
        return plain
    return value if type(value) in (int, float) else plain


def _parse_owners(text: str, before: object) -> object:
    """The object of lines like ``@team-pay = pay, ops``; None without lines. Text that is none stays text, which is refused."""
    lines = _split_lines(text)
    if lines == _split_lines(owners_to_text(before)):
        return before
    owners: dict[str, list[str]] = {}
    for line in lines:
        owner, sign, names = line.rpartition("=")
        if not sign or not owner.strip() or owner.strip() in owners:
            return line
        owners[owner.strip()] = [name.strip() for name in names.split(",") if name.strip()]
    return owners or None


def _split_lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in re.split(r"\r\n|\r|\n", text) if line.strip()))


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _begin_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
