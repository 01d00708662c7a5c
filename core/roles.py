"""What people and keys may do: one order of roles for keys, sessions and the mapping of an OpenID provider's groups."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeGuard, get_args

PersonRole = Literal["viewer", "operator", "admin"]
"""``viewer`` reads. ``operator`` also acts on incidents. ``admin`` also edits settings, keys and projects, reads the audit
log and ends sessions of others."""
KeyRole = Literal["ingest", "viewer", "operator", "admin"]
"""A key sends events (``ingest``), or has the role of a person."""

PERSON_ROLES: Final[tuple[PersonRole, ...]] = get_args(PersonRole)
"""In ascending order: each role may do what the roles before it may do."""
EVERY_PROJECT: Final = "*"
_MAX_GROUPS: Final = 500


@dataclass(frozen=True)
class Scope:
    """A role in one project, or in all projects (``*``)."""

    project: str
    role: PersonRole


def is_person_role(role: str) -> TypeGuard[PersonRole]:
    """Whether ``role`` is one that people have: not ``ingest``, not unknown."""
    return role in PERSON_ROLES


def includes_role(held: str, needed: KeyRole) -> bool:
    """Whether a holder of ``held`` may do what needs ``needed``. An unknown role includes nothing."""
    if not is_person_role(held) or not is_person_role(needed):
        return held == needed == "ingest"
    return PERSON_ROLES.index(held) >= PERSON_ROLES.index(needed)


def lower_role(first: PersonRole, second: PersonRole) -> PersonRole:
    """The role that may do less."""
    return min(first, second, key=PERSON_ROLES.index)


def join_scopes(scopes: "tuple[Scope, ...]") -> tuple[Scope, ...]:
    """One scope for each project, with its highest role; the widest first: all projects, then by role, then by name."""
    highest: dict[str, PersonRole] = {}
    for scope in scopes:
        known = highest.get(scope.project)
        if known is None or includes_role(scope.role, known):
            highest[scope.project] = scope.role
    joined = [Scope(project, role) for project, role in highest.items()]
    return tuple(
        sorted(
            joined, key=lambda scope: (scope.project != EVERY_PROJECT, -PERSON_ROLES.index(scope.role), scope.project)
        )
    )


def parse_group_roles(text: str) -> Mapping[str, tuple[Scope, ...]]:
    """The scopes of each group of a provider, from a JSON object like ``{"staff": "viewer", "shop": "operator:shop,blog"}``.

    Raises ValueError, without the text's values, for anything else.
    """
    try:
        groups = json.loads(text) if text.strip() else {}
    except ValueError:
        raise ValueError("it must be a JSON object of groups and roles") from None
    if not isinstance(groups, dict) or len(groups) > _MAX_GROUPS:
        raise ValueError(f"it must be a JSON object of at most {_MAX_GROUPS} groups and roles")
    return {group: _parse_scopes(value) for group, value in groups.items()}


def _parse_scopes(value: object) -> tuple[Scope, ...]:
    role, colon, projects = value.partition(":") if isinstance(value, str) else ("", "", "")
    named = [project.strip() for project in projects.split(",")] if colon else [EVERY_PROJECT]
    if not is_person_role(role.strip()) or not all(named):
        raise ValueError('the role of a group is "viewer", "operator" or "admin", or "viewer:PROJECT,PROJECT"')
    known: PersonRole = role.strip()  # type: ignore[assignment]  # checked above; strip() makes a new str
    return tuple(Scope(project, known) for project in named)
