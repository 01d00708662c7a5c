"""The OpenID provider of this installation, from the settings."""

from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.roles import Scope, parse_group_roles
from core.settings import Settings


class OidcConfig(BaseModel):
    """What the collector needs to know of the provider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    scopes: str = "openid profile email"
    groups_claim: str = "groups"
    groups: Annotated[
        Mapping[str, tuple[Scope, ...]], Field(description="What each group may do; other groups may do nothing.")
    ]
    name: Annotated[str, Field(description="What the sign-in page calls the provider.")] = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The provider of ``FURROW_OIDC_…``; None without ``FURROW_OIDC_ISSUER``."""
        if not settings.oidc_issuer:
            return None
        secret = settings.oidc_client_secret
        return cls(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            # Containers pass an empty secret where there is none.
            client_secret=secret if secret and secret.get_secret_value() else None,
            scopes=settings.oidc_scopes,
            groups_claim=settings.oidc_groups_claim,
            groups=parse_group_roles(settings.oidc_groups),
            name=settings.oidc_name,
        )

    @property
    def label(self) -> str:
        """What people call the provider: its name, else its host."""
        return self.name or urlsplit(self.issuer).hostname or self.issuer
