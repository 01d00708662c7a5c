"""The owner of an incident as fields of a new ticket: the assignee, and in Linear the team."""

from collections.abc import Mapping
from typing import Final

from incidents.owners import Owner
from trackers.ticket_plan import Fields

ACCOUNTS: Final[Mapping[str, Mapping[str, str]]] = {
    "jira": {"jira": "assignee"},
    "linear": {"linear-user": "assignee", "linear-team": "team"},
}
"""By tracker: which account of an owner (docs/owners.md) fills which field."""


def choose_owner_fields(owner: Owner | None, tracker: str) -> Fields:
    """The fields that the owner's accounts at this tracker fill; empty without an owner or an account."""
    if owner is None:
        return {}
    wanted = ACCOUNTS.get(tracker, {})
    return {field: owner.accounts[key] for key, field in wanted.items() if key in owner.accounts}
