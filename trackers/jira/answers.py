"""The parts of Jira's answers that Furrow reads. Cloud and Data Center answer alike unless it is said here."""

from datetime import datetime

import msgspec


class Category(msgspec.Struct):
    """Category of a status: ``new``, ``indeterminate`` or ``done``."""

    key: str = ""


class Status(msgspec.Struct, rename="camel"):
    """Status of an issue."""

    status_category: Category | None = None
    name: str = ""


class Priority(msgspec.Struct):
    """Priority of an issue."""

    name: str = ""


class IssueFields(msgspec.Struct):
    """Fields of an issue, as far as they were requested. Times are text in ISO 8601; ``description`` is ADF or wiki markup."""

    summary: str | None = None
    description: object = None
    priority: Priority | None = None
    labels: list[str] | None = None
    status: Status | None = None
    resolutiondate: str | None = None
    archiveddate: str | None = None


class Named(msgspec.Struct):
    """A resolution, a version, or another thing with a name."""

    name: str = ""


class Person(msgspec.Struct, rename="camel"):
    """An account."""

    display_name: str | None = None


class LinkType(msgspec.Struct):
    """A type of links; ``outward`` says what an issue is to its outward issue, like "duplicates"."""

    name: str = ""
    outward: str = ""


class LinkedIssue(msgspec.Struct):
    """The other end of a link."""

    key: str = ""


class IssueLink(msgspec.Struct, rename="camel"):
    """A link of an issue, with one of its ends."""

    type: LinkType | None = None
    outward_issue: LinkedIssue | None = None


class Comments(msgspec.Struct):
    """How many comments an issue has; their texts are not read."""

    total: int | None = None


class IssueState(msgspec.Struct, rename="camel"):
    """The fields of an issue that say where it stands. Times are text in ISO 8601; Data Center lacks some."""

    labels: list[str] | None = None
    status: Status | None = None
    resolution: Named | None = None
    resolutiondate: str | None = None
    statuscategorychangedate: str | None = None
    assignee: Person | None = None
    fix_versions: list[Named] | None = None
    issuelinks: list[IssueLink] | None = None
    comment: Comments | None = None


class StatedIssue(msgspec.Struct):
    """An issue of a search for states."""

    id: str | int = ""
    key: str = ""
    fields: IssueState | None = None


class StatedIssuePage(msgspec.Struct, rename="camel"):
    """A page of a search for states. Data Center sends ``total``, Cloud ``nextPageToken``."""

    issues: list[StatedIssue] | None = None
    next_page_token: str | None = None
    total: int | None = None


class ChangedField(msgspec.Struct, rename="camel"):
    """A change of one field. Data Center does not send ``fieldId``."""

    field: str = ""
    to_string: str | None = None


class ChangeEntry(msgspec.Struct):
    """What an account changed at once. ``author``: None when it is gone."""

    author: Person | None = None
    items: list[ChangedField] | None = None


class IssueChanges(msgspec.Struct, rename="camel"):
    """The changes of one issue, the oldest first."""

    issue_id: str | int = ""
    change_histories: list[ChangeEntry] | None = None


class ChangesPage(msgspec.Struct, rename="camel"):
    """Changes of several issues (Cloud)."""

    issue_change_logs: list[IssueChanges] | None = None
    next_page_token: str | None = None


class ChangeLog(msgspec.Struct):
    """All changes of an issue (Data Center), the oldest first."""

    histories: list[ChangeEntry] | None = None


class LoggedIssue(msgspec.Struct):
    """An issue with its changes (Data Center)."""

    changelog: ChangeLog | None = None


class Issue(msgspec.Struct):
    """An issue; ``properties`` are its entity properties by key, which any app may write."""

    key: str = ""
    fields: IssueFields | None = None
    properties: dict[str, object] | None = None

    @property
    def labels(self) -> list[str]:
        """Its labels; none where they were not requested."""
        return (self.fields.labels if self.fields else None) or []


class IssuePage(msgspec.Struct):
    """A page of search results."""

    issues: list[Issue] | None = None


class CreatedIssue(msgspec.Struct):
    """Answer to the request that creates an issue."""

    id: str | int = ""
    key: str = ""


class CommentProperty(msgspec.Struct):
    """An entity property of a comment."""

    key: str = ""
    value: object = None


class Comment(msgspec.Struct):
    """A comment, with its properties if they were requested."""

    properties: list[CommentProperty] | None = None


class CommentPage(msgspec.Struct):
    """A page of comments."""

    comments: list[Comment] | None = None


class TransitionField(msgspec.Struct, rename="camel"):
    """A field on the screen of a transition, with the values that it may have."""

    allowed_values: list[Priority] | None = None


class Transition(msgspec.Struct):
    """A transition that the issue's workflow allows now, and the status that it leads to. ``fields``: if requested."""

    id: str | int
    name: str = ""
    to: Status | None = None
    fields: dict[str, TransitionField] | None = None


class TransitionList(msgspec.Struct):
    """The transitions of an issue."""

    transitions: list[Transition] | None = None


class Account(msgspec.Struct, rename="camel"):
    """The account of the token. Data Center sends ``name``, Cloud does not."""

    display_name: str | None = None
    email_address: str | None = None
    name: str | None = None


class Permission(msgspec.Struct, rename="camel"):
    """A permission of the account in a project."""

    have_permission: bool | None = None


class PermissionAnswer(msgspec.Struct):
    """Permissions by name."""

    permissions: dict[str, Permission] | None = None


class IssueType(msgspec.Struct):
    """A type of issues."""

    id: str | int = ""
    name: str = ""


class IssueTypePage(msgspec.Struct, rename="camel"):
    """The types of issues of a project. Data Center sends them as ``values``."""

    issue_types: list[IssueType] | None = None
    values: list[IssueType] | None = None


class FieldSchema(msgspec.Struct):
    """The type of a field: ``items`` of a list, ``system`` or ``custom`` name of the field."""

    type: str = ""
    items: str | None = None
    system: str | None = None
    custom: str | None = None


class FieldOption(msgspec.Struct):
    """A value that a field may have. Options of select fields have ``value``, others ``name`` or ``key``."""

    id: str | int = ""
    value: str | None = None
    name: str | None = None
    key: str | None = None
    children: "list[FieldOption] | None" = None

    @property
    def text(self) -> str:
        """What people see of it."""
        return self.value or self.name or self.key or str(self.id)


class NewIssueField(msgspec.Struct, rename="camel"):
    """A field of the screen for new issues. Data Center sends its id as ``key``."""

    field_id: str | None = None
    key: str | None = None
    name: str | None = None
    required: bool | None = None
    has_default_value: bool | None = None
    schema: FieldSchema | None = None
    allowed_values: list[FieldOption] | None = None

    @property
    def id(self) -> str:
        """Its id, like ``labels``; '' when the answer holds none."""
        return self.field_id or self.key or ""


class NewIssueFieldPage(msgspec.Struct, rename="camel"):
    """The fields of new issues, a page of ``total``. Data Center sends them as ``values``."""

    fields: list[NewIssueField] | None = None
    values: list[NewIssueField] | None = None
    total: int | None = None


class Refusal(msgspec.Struct, rename="camel"):
    """The body of an error, in all the forms that Jira and its proxies use."""

    errors: object = None
    error_messages: object = None
    error_message: object = None
    message: object = None


def status_category(status: Status | None) -> str:
    """Key of the status's category; '' when unknown."""
    return status.status_category.key if status and status.status_category else ""


def parse_jira_time(text: str | None) -> datetime | None:
    """A time of Jira; None when there is none or it cannot be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
