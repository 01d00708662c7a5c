"""Who owns an incident: the person or team that it was assigned to, else the owners of the first rule that fits.

The rules are lines of a file (`incidents.owners_file`, docs/owners.md). **The first rule that fits decides.** In GitHub's file
CODEOWNERS, the last one does.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from incidents.owner_patterns import Pattern, Place, find_request

if TYPE_CHECKING:
    # For the type checker alone: a collector needs no declarations at run time.
    from incidents.incident import Incident, OwnerRecord

_MEANING: Final = 1
"""Raise it when the same rules decide otherwise than before."""
_REMEMBERED: Final = 10_000
"""Places whose rule is remembered."""


@dataclass(frozen=True)
class OwnerRule:
    """One line: who owns what all ``patterns`` fit. ``text``: the line as written, without owners and comments; ``project``:
    the project in whose section it stands, '' for all."""

    line: int
    text: str
    patterns: tuple[Pattern, ...]
    owners: tuple[str, ...]
    project: str = ""

    def fits(self, place: Place) -> bool:
        """Whether the rule holds for the place."""
        return self.project in ("", place.app) and all(pattern.fits(place) for pattern in self.patterns)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line. The other lines hold. Line 0: the file itself."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass(frozen=True)
class Owner:
    """Who owns an incident. ``names``: the first one gets the ticket; ``line`` and ``rule``: of the rule that decided;
    ``person``: who assigned it, '' if a rule decided; ``accounts``: of the first name, by key (``jira``, ``linear-user``)."""

    names: tuple[str, ...]
    line: int = 0
    rule: str = ""
    person: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """What decided, in words."""
        return f"assigned by {self.person}" if self.person else f"line {self.line}: {self.rule}"

    def to_json(self) -> "OwnerRecord":
        """The owner as answers show it."""
        return {
            "names": list(self.names),
            "decidedBy": "person" if self.person else "rule",
            "line": self.line or None,
            "rule": self.rule or None,
            "reason": self.reason,
        }


@dataclass(frozen=True, eq=False)
class OwnerRules:
    """The rules of a file, in its order, and the accounts of owners at trackers (owner → key → account).

    ``is_known``: false while the file could not be read, not even once.
    """

    rules: tuple[OwnerRule, ...] = ()
    accounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    is_known: bool = True
    _known: dict[Place, OwnerRule | None] = field(default_factory=dict, repr=False)

    @cached_property
    def digest(self) -> str:
        """What tells rules that may decide otherwise apart: 32 hex digits. Accounts and lines do not matter."""
        shown = [(rule.project, [(each.kind, each.text) for each in rule.patterns], rule.owners) for rule in self.rules]
        return hashlib.sha256(repr((_MEANING, shown)).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def find_rule(self, place: Place) -> OwnerRule | None:
        """The first rule that fits; None without one."""
        if place not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[place] = next((rule for rule in self.rules if rule.fits(place)), None)
        return self._known.get(place)

    def find_accounts(self, name: str) -> Mapping[str, str]:
        """The accounts of an owner, with or without ``@`` before its name."""
        return self.accounts.get(name) or self.accounts.get(f"@{name}") or {}


NO_OWNERS: Final = OwnerRules()


def describe_place(incident: "Incident") -> Place:
    """What rules look at of an incident."""
    point = incident["failurePoint"]
    return Place(
        incident["projectId"], point["route"], find_request(point["feedback"]), point["target"], incident["label"]
    )


def find_place_owner(place: Place, rules: OwnerRules) -> Owner | None:
    """The owner of a place by the rules alone; None where no rule fits, or the rule names nobody."""
    rule = rules.find_rule(place)
    if rule is None or not rule.owners:
        return None
    return Owner(rule.owners, rule.line, rule.text, accounts=rules.find_accounts(rule.owners[0]))


def owner_of(incident: "Incident", rules: OwnerRules | None = None) -> Owner | None:
    """Who owns the incident: whom a person assigned it to, else the first rule that fits; None if nobody does.

    ``rules``: None reads those of the setting FURROW_OWNERS_FILE, again only after the file changed.
    """
    if rules is None:
        from incidents.owners_file import read_configured_rules

        rules = read_configured_rules()
    if name := incident["assignee"]:
        return Owner((name,), person=incident["assignedBy"] or "a person", accounts=rules.find_accounts(name))
    return find_place_owner(describe_place(incident), rules)
