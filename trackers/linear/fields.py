"""Fields of new issues in Linear by the names that people know, checked against the team's own states, cycles, projects and
members."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from trackers.gate import WrongFields
from trackers.linear import queries
from trackers.linear.answers import Cycle, IssueAnswer, Member, Named, TeamFields, TeamFieldsAnswer
from trackers.linear.client import LinearClient, MissingObject
from trackers.ticket_plan import describe_wrong_fields

TARGETS: Final = ("team",)
"""Names that say where a ticket goes; they are no fields."""
_SHOWN: Final = 20
_REFERRED: Final[Mapping[str, str]] = {
    "User": "assigneeId",
    "Project": "projectId",
    "Cycle": "cycleId",
    "WorkflowState": "stateId",
    "Issue": "parentId",
}
"""By name of an object of Linear: the field of an issue that refers to it."""
_SCALES: Final = {
    "exponential": (0, 1, 2, 4, 8, 16, 32, 64),
    "fibonacci": (0, 1, 2, 3, 5, 8, 13, 21),
    "linear": (0, 1, 2, 3, 4, 5, 6, 7),
    "tShirt": (0, 1, 2, 3, 5, 8, 13, 21),
}


class _WrongValue(Exception):
    """A value that the field cannot have; its words follow the field's name."""


class FieldWriter:
    """Fields of new issues of one workspace. Raises as ``Tracker`` says, and WrongFields."""

    def __init__(self, client: LinearClient) -> None:
        self._client = client
        self._teams: dict[str, TeamFields] = {}
        self._writers: Mapping[str, Callable[[TeamFields, object], dict[str, object]]] = {
            "project": lambda team, value: {"projectId": _find_named("projects", team.projects.nodes, value)},
            "cycle": lambda team, value: {"cycleId": _find_cycle(team, value)},
            "estimate": lambda team, value: {"estimate": _check_estimate(team, value)},
            "assignee": lambda team, value: {"assigneeId": _find_member(team.members.nodes, value)},
            "state": lambda team, value: {"stateId": _find_named("states", team.states.nodes, value)},
            "parent": lambda team, value: {"parentId": self._find_issue(value)},
            "due_date": lambda team, value: {"dueDate": _iso_date(value)},
            "labels": lambda team, value: {},
        }

    def write_fields(
        self, team_key: str, team_id: str, wanted: Mapping[str, object], owned: Collection[str] = ()
    ) -> dict[str, object]:
        """The part of the mutation that creates an issue. Raises WrongFields with everything that is wrong.

        ``owned``: names of fields (in lower case) that the file of owners gave.
        """
        further = {name: value for name, value in wanted.items() if name.casefold() not in TARGETS}
        if not further:
            return {}
        team = self._read_team(team_id)
        written: dict[str, object] = {}
        problems: dict[str, str] = {}
        for name, value in further.items():
            writer = self._writers.get(name.casefold())
            try:
                if writer is None:
                    raise _WrongValue(f"is unknown; there are {', '.join([*TARGETS, *self._writers])}")
                written |= writer(team, value)
            except _WrongValue as wrong:
                problems[name] = str(wrong)
        if problems:
            raise WrongFields(describe_wrong_fields(f"team {team_key}", problems, owned))
        return written

    def _read_team(self, team_id: str) -> TeamFields:
        if team_id not in self._teams:
            self._teams[team_id] = self._client.query(TeamFieldsAnswer, queries.TEAM_FIELDS, id=team_id).team
        return self._teams[team_id]

    def _find_issue(self, value: object) -> str:
        key = _text(value)
        try:
            issue = self._client.query(IssueAnswer, queries.ISSUE, id=key).issue
        except MissingObject:
            issue = None
        if issue is None:
            raise _WrongValue(f"names no issue: {key!r}")
        return issue.id


def find_refused_fields(refusal: str, written: Iterable[str]) -> set[str]:
    """Names in the file of those fields (``assigneeId`` and others) that were written and that a refusal of Linear is about:
    it names the field, or what the field refers to as not found."""
    words = set(re.findall(r"\w+", refusal))
    missing = {_REFERRED.get(name, "") for name in re.findall(r"entity not found: (\w+)", refusal, re.IGNORECASE)}
    return {name.removesuffix("Id") for name in (words | missing) & set(written)}


def read_labels(wanted: Mapping[str, object]) -> tuple[str, ...]:
    """The labels that the fields add."""
    for name, value in wanted.items():
        if name.casefold() == "labels":
            return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)
    return ()


def _find_named(what: str, known: Sequence[Named], value: object) -> str:
    text = _text(value)
    found = next((entry.id for entry in known if text.casefold() in (entry.name.casefold(), entry.id)), None)
    if found is None:
        raise _WrongValue(f"does not allow {text!r}; the team's {what} are {_names(entry.name for entry in known)}")
    return found


def _find_cycle(team: TeamFields, value: object) -> str:
    """``current``, or a cycle's number, name or id."""
    text = _text(value)
    if text.casefold() == "current":
        if team.active_cycle is None:
            raise _WrongValue("is 'current', but the team has no active cycle")
        return team.active_cycle.id
    found = next((cycle.id for cycle in team.cycles.nodes if text.casefold() in _cycle_names(cycle)), None)
    if found is None:
        shown = _names(cycle.name or f"{cycle.number:g}" for cycle in team.cycles.nodes)
        raise _WrongValue(f"does not allow {text!r}; it allows 'current' and the team's cycles {shown}")
    return found


def _cycle_names(cycle: Cycle) -> tuple[str, ...]:
    return (f"{cycle.number:g}", (cycle.name or "").casefold(), cycle.id)


def _find_member(members: Sequence[Member], value: object) -> str:
    text = _text(value).casefold()
    for member in members:
        if text in (member.email.casefold(), member.display_name.casefold(), member.name.casefold(), member.id):
            return member.id
    raise _WrongValue(f"does not allow {value!r}: nobody of the team has this e-mail address, name or id")


def _check_estimate(team: TeamFields, value: object) -> int:
    scale = _SCALES.get(team.issue_estimation_type)
    if team.issue_estimation_type == "notUsed":
        raise _WrongValue("cannot be set: the team does not use estimates")
    if isinstance(value, bool) or not isinstance(value, int) or (scale and value not in scale):
        raise _WrongValue(
            f"does not allow {value!r}; the team's scale is {', '.join(map(str, scale or ('a number',)))}"
        )
    return value


def _iso_date(value: object) -> str:
    try:
        return (value if isinstance(value, date) else date.fromisoformat(_text(value))).isoformat()[:10]
    except ValueError:
        raise _WrongValue(f"takes a date like 2026-01-31, not {value!r}") from None


def _text(value: object) -> str:
    if isinstance(value, (bool, tuple)):
        raise _WrongValue(f"takes one text, not {value!r}")
    return str(value)


def _names(names: Iterable[str]) -> str:
    known = list(names)
    more = [f"{len(known) - _SHOWN} more"] if len(known) > _SHOWN else []
    return ", ".join([*known[:_SHOWN], *more]) or "none"
