"""What a person's claims say: their name in the history, and what their groups allow."""

import re
from collections.abc import Mapping
from typing import Final

from core.roles import Scope, join_scopes
from incidents.lifecycle import RULE

_MAX_NAME: Final = 100
_MAX_GROUPS: Final = 10_000
_NOT_TEXT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")


def find_claim(claims: Mapping[str, object], path: str) -> object:
    """The claim with this name; else the one at a path like ``realm_access.roles``; None when there is none."""
    if path in claims:
        return claims[path]
    found: object = claims
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def read_groups(claims: Mapping[str, object], path: str) -> tuple[str, ...]:
    """The groups of a person: a list of texts, or one text; anything else is no group."""
    found = find_claim(claims, path)
    listed = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return tuple(group for group in listed[:_MAX_GROUPS] if isinstance(group, str))


def find_scopes(groups: tuple[str, ...], allowed: Mapping[str, tuple[Scope, ...]]) -> tuple[Scope, ...]:
    """What membership in ``groups`` allows, the widest first; empty when none of them is in ``allowed``."""
    return join_scopes(tuple(scope for group in groups for scope in allowed.get(group, ())))


def make_person_name(claims: Mapping[str, object]) -> str:
    """The name that the history shows: ``Ann Bell (ann@example.com)``, of at most 100 characters.

    People choose their display name at many providers, so that the e-mail address, else the user name, else the subject stands
    beside it. An address that the provider calls unverified counts for nothing.
    """
    email = _read_text(claims, "email") if claims.get("email_verified") is not False else ""
    unique = email or _read_text(claims, "preferred_username") or _read_text(claims, "sub")
    name = _read_text(claims, "name")
    shown = f"{name[: _MAX_NAME - len(unique) - 3]} ({unique})" if name and name != unique else unique
    # The steps of rules have this name in the history.
    return f"person {shown}" if shown.casefold() == RULE else shown or "unnamed person"


def _read_text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    return _NOT_TEXT.sub("", value).strip()[: _MAX_NAME // 2] if isinstance(value, str) else ""
