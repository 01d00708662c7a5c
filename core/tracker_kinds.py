"""The trackers that Furrow can file tickets in: one declaration each, in ``TRACKER_KINDS``.

Everything that lists trackers derives from the declarations: the settings, the blocks, the settings of projects, the choices of
``rerun-failed-exports``, ``furrow doctor``, the environment of each process, and the tables of docs/configuration.md. The code
of a tracker is in the package that its declaration names; `trackers.registry` loads it when it is needed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, Field, SecretStr

from core.setting_parts import ENGINE, OnlyFor


@dataclass(frozen=True)
class TargetSetting:
    """The setting of a Furrow project that names where in the tracker its tickets go; ``pattern`` limits its value."""

    name: str
    meaning: str
    expected: str
    pattern: str = r"[A-Za-z][A-Za-z0-9_]{0,49}"


@dataclass(frozen=True)
class BlockField:
    """A field of the tracker's Prefect block and the setting that it replaces. Type and default are those of the setting."""

    name: str
    setting: str
    description: str
    title: str | None = None


@dataclass(frozen=True)
class TrackerKind:
    """What Furrow needs to know of a tracker before it is used.

    ``name``: in the outbox, in commands and in ``furrow doctor``. ``title``: for people. ``module``: package with the function
    ``open_tracker``. ``switch``: setting without which the tracker is not configured and its tickets are logged.
    ``secret``, ``address``: settings with the token and with the URL. ``repair_settings``: settings to check when the tracker
    refuses tickets, in the words of ``furrow doctor``.
    """

    name: str
    title: str
    module: str
    settings: type[BaseModel]
    switch: str
    secret: str
    address: str
    target: TargetSetting
    block_description: str
    block_fields: tuple[BlockField, ...]
    setup_settings: str
    repair_settings: str

    @property
    def block_slug(self) -> str:
        """Slug of the block type in Prefect."""
        return f"furrow-{self.name}"

    @property
    def setup_advice(self) -> str:
        """What to do so that tickets are filed there."""
        return f"to file tickets, set {self.setup_settings}, or the block {self.block_slug} in the Prefect UI"

    @property
    def repair_advice(self) -> str:
        """What to check when it takes no tickets."""
        return f"check {self.repair_settings}, or the block {self.block_slug}"

    def is_configured(self, settings: BaseModel) -> bool:
        """Whether ``settings`` configure this tracker."""
        return bool(getattr(settings, self.switch))

    def without_switch(self) -> dict[str, object]:
        """The change of settings that turns this tracker off."""
        return {self.switch: self.settings.model_fields[self.switch].get_default()}


# Jira
# ----------------------------------------------------------------------------------------------------------------------


class JiraSettings(BaseModel):
    """Settings of Jira."""

    jira_url: Annotated[str, OnlyFor(ENGINE)] = Field(
        "", description="URL of the Jira site; empty: tickets are only logged."
    )
    jira_user: Annotated[str, OnlyFor(ENGINE)] = Field(
        "", description="Account (e-mail) of the Jira token; empty for a Data Center token."
    )
    jira_token: Annotated[SecretStr | None, OnlyFor(ENGINE)] = Field(None, description="Jira API token.")
    jira_project: Annotated[str, OnlyFor(ENGINE)] = Field(
        "", description="Key of the Jira project that gets the tickets."
    )
    jira_kind: Annotated[Literal["cloud", "datacenter"], OnlyFor(ENGINE)] = Field(
        "cloud", description="Jira Cloud (v3) or Data Center (v2)."
    )
    jira_issue_type: Annotated[str, OnlyFor(ENGINE)] = Field("Bug", description="Issue type of the tickets.")


JIRA: Final = TrackerKind(
    name="jira",
    title="Jira",
    module="trackers.jira",
    settings=JiraSettings,
    switch="jira_url",
    secret="jira_token",
    address="jira_url",
    target=TargetSetting("jiraProject", "Jira project that gets its tickets", "a project's key, like OPS"),
    block_description="The Jira project that Furrow files tickets in (Cloud or Data Center).",
    block_fields=(
        BlockField("url", "jira_url", "Address of the site, like https://example.atlassian.net.", "URL"),
        BlockField("user", "jira_user", "Account (e-mail) of the token; empty for a Data Center token."),
        BlockField("token", "jira_token", "API token."),
        BlockField("project", "jira_project", "Key of the project."),
        BlockField("kind", "jira_kind", "Jira Cloud (v3) or Data Center (v2)."),
        BlockField("issue_type", "jira_issue_type", "Type of the issues."),
    ),
    setup_settings="FURROW_JIRA_URL, FURROW_JIRA_TOKEN and FURROW_JIRA_PROJECT",
    repair_settings="FURROW_JIRA_URL, _USER, _TOKEN, _PROJECT and _ISSUE_TYPE",
)


# Linear
# ----------------------------------------------------------------------------------------------------------------------


class LinearSettings(BaseModel):
    """Settings of Linear."""

    linear_key: Annotated[SecretStr | None, OnlyFor(ENGINE)] = Field(
        None, description="Linear API key; empty: tickets are only logged."
    )
    linear_team: Annotated[str, OnlyFor(ENGINE)] = Field(
        "", description="Key of the Linear team that gets the tickets."
    )
    linear_url: Annotated[str, OnlyFor(ENGINE)] = Field(
        "https://api.linear.app/graphql", description="URL of Linear's API."
    )


LINEAR: Final = TrackerKind(
    name="linear",
    title="Linear",
    module="trackers.linear",
    settings=LinearSettings,
    switch="linear_key",
    secret="linear_key",
    address="linear_url",
    target=TargetSetting("linearTeam", "Linear team that gets its tickets", "a team's key, like ENG"),
    block_description="The Linear team that Furrow files tickets in.",
    block_fields=(
        BlockField("api_key", "linear_key", "Personal or OAuth API key.", "API key"),
        BlockField("team", "linear_team", "Key of the team, like ENG."),
    ),
    setup_settings="FURROW_LINEAR_KEY and FURROW_LINEAR_TEAM",
    repair_settings="FURROW_LINEAR_KEY and FURROW_LINEAR_TEAM",
)


# GitHub Issues
# ----------------------------------------------------------------------------------------------------------------------


class GitHubSettings(BaseModel):
    """Settings of GitHub Issues."""

    github_token: Annotated[SecretStr | None, OnlyFor(ENGINE)] = Field(
        None, description="GitHub token with the permission Issues: read and write; empty: tickets are only logged."
    )
    github_repository: Annotated[str, OnlyFor(ENGINE)] = Field(
        "", description="GitHub repository that gets the tickets, as owner/name."
    )
    github_url: Annotated[str, OnlyFor(ENGINE)] = Field(
        "https://api.github.com", description="URL of GitHub's API; for GitHub Enterprise `https://HOST/api/v3`."
    )


GITHUB: Final = TrackerKind(
    name="github",
    title="GitHub",
    module="trackers.github",
    settings=GitHubSettings,
    switch="github_token",
    secret="github_token",
    address="github_url",
    target=TargetSetting(
        "githubRepository",
        "GitHub repository that gets its tickets",
        "a repository, like acme/shop",
        r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}",
    ),
    block_description="The GitHub repository that Furrow files tickets in, as issues.",
    block_fields=(
        BlockField("token", "github_token", "Token with the permission Issues: read and write."),
        BlockField("repository", "github_repository", "The repository, like acme/shop."),
        BlockField("url", "github_url", "Address of the API; for GitHub Enterprise https://HOST/api/v3.", "URL"),
    ),
    setup_settings="FURROW_GITHUB_TOKEN and FURROW_GITHUB_REPOSITORY",
    repair_settings="FURROW_GITHUB_TOKEN, _REPOSITORY and _URL",
)


# GitLab Issues
# ----------------------------------------------------------------------------------------------------------------------


class GitLabSettings(BaseModel):
    """Settings of GitLab Issues."""

    gitlab_token: Annotated[SecretStr | None, OnlyFor(ENGINE)] = Field(
        None, description="GitLab token with the scope api; empty: tickets are only logged."
    )
    gitlab_project: Annotated[str, OnlyFor(ENGINE)] = Field(
        "", description="GitLab project that gets the tickets, as group/name."
    )
    gitlab_url: Annotated[str, OnlyFor(ENGINE)] = Field("https://gitlab.com", description="URL of the GitLab site.")


GITLAB: Final = TrackerKind(
    name="gitlab",
    title="GitLab",
    module="trackers.gitlab",
    settings=GitLabSettings,
    switch="gitlab_token",
    secret="gitlab_token",
    address="gitlab_url",
    target=TargetSetting(
        "gitlabProject",
        "GitLab project that gets its tickets",
        "a project's path, like acme/web/shop",
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}){1,20}",
    ),
    block_description="The GitLab project that Furrow files tickets in, as issues.",
    block_fields=(
        BlockField("token", "gitlab_token", "Token with the scope api."),
        BlockField("project", "gitlab_project", "Path of the project, like acme/web/shop."),
        BlockField("url", "gitlab_url", "Address of the site.", "URL"),
    ),
    setup_settings="FURROW_GITLAB_TOKEN and FURROW_GITLAB_PROJECT",
    repair_settings="FURROW_GITLAB_TOKEN, _PROJECT and _URL",
)


# Webhook
# ----------------------------------------------------------------------------------------------------------------------


class WebhookSettings(BaseModel):
    """Settings of the webhook."""

    webhook_url: Annotated[str, OnlyFor(ENGINE)] = Field(
        "", description="URL that gets tickets as signed events; empty: tickets are only logged."
    )
    webhook_secret: Annotated[SecretStr | None, OnlyFor(ENGINE)] = Field(
        None, description="Secret that signs the events: `whsec_` and 24 to 64 random bytes in base64."
    )
    webhook_topic: Annotated[str, OnlyFor(ENGINE)] = Field(
        "", description="Topic that is in each event, so that the receiver can tell where it goes."
    )


WEBHOOK: Final = TrackerKind(
    name="webhook",
    title="Webhook",
    module="trackers.webhook",
    settings=WebhookSettings,
    switch="webhook_url",
    secret="webhook_secret",
    address="webhook_url",
    target=TargetSetting(
        "webhookTopic", "topic of its events at the webhook", "a name, like web/shop", r"[A-Za-z0-9_.:/-]{1,100}"
    ),
    block_description="The receiver that Furrow sends tickets to as signed events (CloudEvents, Standard Webhooks).",
    block_fields=(
        BlockField("url", "webhook_url", "Address of the receiver.", "URL"),
        BlockField("secret", "webhook_secret", "Secret of the form whsec_…."),
        BlockField("topic", "webhook_topic", "Topic that is in each event."),
    ),
    setup_settings="FURROW_WEBHOOK_URL and FURROW_WEBHOOK_SECRET",
    repair_settings="FURROW_WEBHOOK_URL, _SECRET and _TOPIC",
)


# The registry: a new tracker is entered in the two lines below.
# ----------------------------------------------------------------------------------------------------------------------

TRACKER_KINDS: Final = (JIRA, LINEAR, GITHUB, GITLAB, WEBHOOK)
"""Every tracker, in the order in which they get their tickets."""


class TrackerSettings(WebhookSettings, GitLabSettings, GitHubSettings, LinearSettings, JiraSettings):
    """The settings of all trackers; a part of `core.settings.Settings`."""


TRACKER_NAMES: Final = tuple(kind.name for kind in TRACKER_KINDS)

# Prefect shows the names as a choice. A type checker cannot know them.
if TYPE_CHECKING:
    TrackerName = str
else:
    TrackerName = Literal[TRACKER_NAMES]


def find_tracker_kind(name: str) -> TrackerKind | None:
    """The declaration of the tracker ``name``; None when there is no such tracker."""
    return next((kind for kind in TRACKER_KINDS if kind.name == name), None)
