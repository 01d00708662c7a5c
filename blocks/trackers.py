"""Where tickets go. There is no embedded tracker: a tracker is a server's, or log-only until it is configured."""

from typing import ClassVar, Literal

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from core.settings import Settings

TrackerMode = Literal["settings", "server", "log"]
_MODE_HELP = (
    "settings: FURROW_* decides. server: the fields below. "
    "log: tickets are logged as they would be filed, and wait until this tracker is configured."
)


class JiraBlock(Block):
    """A Jira site and the project that tickets go to."""

    _block_type_name: ClassVar[str] = "Furrow Jira"
    _block_type_slug: ClassVar[str] = "furrow-jira"
    _description: ClassVar[str] = "The Jira project that Furrow files tickets in (Cloud or Data Center)."

    mode: TrackerMode = Field("settings", description=_MODE_HELP)
    url: str = Field("", title="URL", description="Address of the site, like https://example.atlassian.net.")
    user: str = Field("", description="Account (e-mail) of the token; empty for a Data Center token.")
    token: SecretStr | None = Field(None, description="API token.")
    project: str = Field("", description="Key of the project.")
    kind: Literal["cloud", "datacenter"] = Field("cloud", description="Jira Cloud (v3) or Data Center (v2).")
    issue_type: str = Field("Bug", description="Type of the issues.")

    def apply_to_settings(self, settings: Settings) -> Settings:
        """``settings`` with what this block says about Jira put over it."""
        if self.mode == "settings":
            return settings
        off = self.mode == "log"
        return settings.model_copy(
            update={
                "jira_url": "" if off else self.url,
                "jira_user": self.user,
                "jira_token": self.token,
                "jira_project": self.project,
                "jira_kind": self.kind,
                "jira_issue_type": self.issue_type,
            }
        )


class LinearBlock(Block):
    """A Linear workspace and the team that tickets go to."""

    _block_type_name: ClassVar[str] = "Furrow Linear"
    _block_type_slug: ClassVar[str] = "furrow-linear"
    _description: ClassVar[str] = "The Linear team that Furrow files tickets in."

    mode: TrackerMode = Field("settings", description=_MODE_HELP)
    api_key: SecretStr | None = Field(None, title="API key", description="Personal or OAuth API key.")
    team: str = Field("", description="Key of the team, like ENG.")

    def apply_to_settings(self, settings: Settings) -> Settings:
        """``settings`` with what this block says about Linear put over it."""
        if self.mode == "settings":
            return settings
        off = self.mode == "log"
        return settings.model_copy(update={"linear_key": None if off else self.api_key, "linear_team": self.team})
