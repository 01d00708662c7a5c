"""The secrets with which trackers sign their webhooks; a part of `core.settings.Settings`."""

from typing import Annotated, Final

from pydantic import BaseModel, Field, SecretStr, field_validator

from core.setting_parts import COLLECTOR, OnlyFor

SHORTEST_SECRET: Final = 16
"""Fewest characters of a secret: whoever sees a signed request may try secrets at leisure."""
_SENT_TO: Final = "at `POST /v1/webhooks/{}`; not set: webhooks of {} are refused, and states are polled."


class TicketWebhookSettings(BaseModel):
    """One secret for each tracker whose webhooks are taken."""

    jira_webhook_secret: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description=f"Secret of Jira's webhooks {_SENT_TO.format('jira', 'Jira')}"
    )
    linear_webhook_secret: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description=f"Signing secret of Linear's webhooks {_SENT_TO.format('linear', 'Linear')}"
    )
    github_webhook_secret: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description=f"Secret of GitHub's webhooks {_SENT_TO.format('github', 'GitHub')}"
    )
    gitlab_webhook_secret: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description=f"Secret token of GitLab's webhooks {_SENT_TO.format('gitlab', 'GitLab')}"
    )

    @field_validator("jira_webhook_secret", "linear_webhook_secret", "github_webhook_secret", "gitlab_webhook_secret")
    @classmethod
    def _check_length(cls, value: SecretStr | None) -> SecretStr | None:
        secret = value.get_secret_value().strip() if value is not None else ""
        if not secret:
            return None
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"it needs at least {SHORTEST_SECRET} characters")
        return SecretStr(secret)


def collect_webhook_secrets(settings: TicketWebhookSettings) -> dict[str, SecretStr]:
    """The secrets that are set, by the name of the tracker."""
    found = {
        "jira": settings.jira_webhook_secret,
        "linear": settings.linear_webhook_secret,
        "github": settings.github_webhook_secret,
        "gitlab": settings.gitlab_webhook_secret,
    }
    return {tracker: secret for tracker, secret in found.items() if secret is not None}
