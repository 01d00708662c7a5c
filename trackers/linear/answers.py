"""The parts of Linear's GraphQL answers that Furrow reads: one type for the ``data`` of each document in `queries`."""

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Nodes(msgspec.Struct, Generic[T]):
    """A connection: a page of objects."""

    nodes: list[T] = msgspec.field(default_factory=list)


class Team(msgspec.Struct):
    """A team with the key that people know it by."""

    id: str
    key: str


class TeamAnswer(msgspec.Struct):
    """Teams with a key."""

    teams: Nodes[Team]


class Reference(msgspec.Struct):
    """An object of which only the id was requested."""

    id: str


class Label(msgspec.Struct, rename="camel"):
    """A label; ``team`` is None for a label of the workspace. A group of labels cannot be put on an issue."""

    id: str
    name: str
    is_group: bool = False
    team: Reference | None = None


class LabelAnswer(msgspec.Struct, rename="camel"):
    """Labels with some names."""

    issue_labels: Nodes[Label]


class NewLabel(msgspec.Struct):
    """A label that was created; ``name`` is that of the request."""

    id: str
    name: str | None = None


class CreatedLabel(msgspec.Struct, rename="camel"):
    """Payload of the mutation."""

    issue_label: NewLabel


class CreateLabelAnswer(msgspec.Struct, rename="camel"):
    """A created label."""

    issue_label_create: CreatedLabel


class Named(msgspec.Struct):
    """A state or a project of a team."""

    id: str
    name: str


class Cycle(msgspec.Struct):
    """A cycle of a team; many have a number only."""

    id: str
    number: float = 0.0
    name: str | None = None


class Member(msgspec.Struct, rename="camel"):
    """A member of a team."""

    id: str
    name: str = ""
    display_name: str = ""
    email: str = ""


class TeamFields(msgspec.Struct, rename="camel"):
    """What fields of an issue may hold in a team."""

    issue_estimation_type: str = ""
    active_cycle: Cycle | None = None
    cycles: Nodes[Cycle] = msgspec.field(default_factory=lambda: Nodes[Cycle]())
    states: Nodes[Named] = msgspec.field(default_factory=lambda: Nodes[Named]())
    projects: Nodes[Named] = msgspec.field(default_factory=lambda: Nodes[Named]())
    members: Nodes[Member] = msgspec.field(default_factory=lambda: Nodes[Member]())


class TeamFieldsAnswer(msgspec.Struct):
    """The fields of one team."""

    team: TeamFields


class State(msgspec.Struct):
    """A state of a team's workflow; ``position`` orders the states."""

    type: str
    id: str = ""
    position: float = 0.0


class Issue(msgspec.Struct, rename="camel"):
    """An issue, as far as its fields were requested. Times are text in ISO 8601."""

    id: str
    identifier: str
    url: str | None = None
    created_at: str | None = None
    archived_at: str | None = None
    completed_at: str | None = None
    canceled_at: str | None = None
    trashed: bool | None = None
    state: State | None = None
    title: str | None = None
    description: str | None = None
    priority: float | None = None


class IssueAnswer(msgspec.Struct):
    """One issue; None when there is none."""

    issue: Issue | None = None


class NamedState(msgspec.Struct):
    """A state of a workflow as people see it."""

    name: str
    type: str


class Person(msgspec.Struct, rename="camel"):
    """A person of the workspace."""

    display_name: str = ""


class RelatedIssue(msgspec.Struct):
    """The other end of a relation."""

    identifier: str


class Relation(msgspec.Struct, rename="camel"):
    """What an issue is to another, like ``duplicate``."""

    type: str
    related_issue: RelatedIssue


class Bot(msgspec.Struct):
    """An integration that did something."""

    name: str | None = None


class Change(msgspec.Struct, rename="camel"):
    """A line of an issue's history; ``to_state``: None if its state stayed."""

    created_at: str
    to_state: NamedState | None = None
    actor: Person | None = None
    bot_actor: Bot | None = None


class StatedIssue(msgspec.Struct, rename="camel"):
    """Where an issue stands. Times are text in ISO 8601."""

    id: str
    identifier: str
    state: NamedState
    trashed: bool | None = None
    completed_at: str | None = None
    canceled_at: str | None = None
    assignee: Person | None = None
    relations: Nodes[Relation] = msgspec.field(default_factory=Nodes)
    comments: Nodes[Reference] = msgspec.field(default_factory=Nodes)
    history: Nodes[Change] = msgspec.field(default_factory=Nodes)


class StatedIssuesAnswer(msgspec.Struct):
    """Issues that changed."""

    issues: Nodes[StatedIssue]


class FormerKeys(msgspec.Struct, rename="camel"):
    """An issue's identifiers in the teams that it was in before."""

    id: str
    previous_identifiers: list[str] | None = None


class FormerKeysAnswer(msgspec.Struct):
    """The former identifiers of one issue."""

    issue: FormerKeys | None = None


class CreatedIssue(msgspec.Struct):
    """Payload of the mutations that create or update an issue."""

    success: bool
    issue: Issue | None = None


class CreateIssueAnswer(msgspec.Struct, rename="camel"):
    """A created issue."""

    issue_create: CreatedIssue


class UpdateIssueAnswer(msgspec.Struct, rename="camel"):
    """An updated issue."""

    issue_update: CreatedIssue


class Attachment(msgspec.Struct):
    """An attachment, with its URL and its issue."""

    url: str | None = None
    issue: Issue | None = None


class AttachmentAnswer(msgspec.Struct, rename="camel"):
    """Attachments with a URL, each with its issue."""

    attachments_for_url: Nodes[Attachment] = msgspec.field(name="attachmentsForURL")


class CommentAnswer(msgspec.Struct):
    """One comment; None when there is none."""

    comment: Reference | None = None


class Workflow(msgspec.Struct, rename="camel"):
    """The states of a team, and the one of new issues."""

    states: Nodes[State]
    default_issue_state: State | None = None


class IssueOfTeam(msgspec.Struct):
    """An issue of which only the team was requested."""

    team: Workflow


class StatesAnswer(msgspec.Struct):
    """The states in which an issue can be."""

    issue: IssueOfTeam


class Extensions(msgspec.Struct, rename="camel"):
    """What Linear adds to an error."""

    code: str | int | None = None
    user_presentable_message: str | None = None


class Error(msgspec.Struct):
    """An error of a GraphQL answer."""

    message: str | None = None
    extensions: Extensions | None = None

    @property
    def code(self) -> str:
        """The error's code in upper case; '' when it has none."""
        return str(self.extensions.code or "").upper() if self.extensions else ""

    @property
    def text(self) -> str:
        """Its message, and the text for people in parentheses where that differs."""
        message = self.message or ""
        shown = self.extensions.user_presentable_message if self.extensions else ""
        return f"{message} ({shown})" if shown and shown != message else message


class Envelope(msgspec.Struct):
    """The body of an answer; ``data`` is decoded once it is known that there are no errors."""

    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[Error] | None = None


def parse_linear_time(text: str | None) -> datetime | None:
    """A time of Linear; None when there is none or it cannot be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
