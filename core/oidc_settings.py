"""The settings of sign-in by OpenID Connect; a part of `core.settings.Settings`."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from core.hosts import LOOPBACK_NAMES
from core.roles import parse_group_roles
from core.setting_parts import COLLECTOR, OnlyFor


class OidcSettings(BaseModel):
    """An OpenID provider that people sign in with; off without an issuer."""

    oidc_issuer: str = Field(
        "",
        description="Issuer of the OpenID provider that people sign in with on the review pages, exactly as its discovery "
        "document states it (`https://login.example.com/realms/staff`); empty: none. Sign-in by link and by key goes on.",
    )
    oidc_client_id: str = Field(
        "", validate_default=True, description="Id under which Furrow is registered at the provider."
    )
    oidc_client_secret: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(
        None, description="Secret of this client at the provider; not set: a public client, which PKCE alone protects."
    )
    oidc_groups: str = Field(
        "",
        validate_default=True,
        description="JSON object: what the members of a group may do. `viewer`, `operator` or `admin` in all projects, or in "
        'some: `{"staff": "viewer", "shop-team": "operator:shop,blog"}`. Whoever is in none of these groups is refused.',
    )
    oidc_groups_claim: str = Field(
        "groups",
        min_length=1,
        description="Claim of the ID token, else of the userinfo answer, that holds the groups: a name, or a path like "
        "`realm_access.roles`.",
    )
    oidc_scopes: str = Field(
        "openid profile email", description="Scopes that are asked for, separated by spaces; `openid` is one of them."
    )
    oidc_name: str = Field(
        "", max_length=60, description="Name of the provider on the sign-in page; empty: the host of the issuer."
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        if value:
            check_provider_url(value)
            if urlsplit(value).query or urlsplit(value).fragment:
                raise ValueError("an issuer has neither a query nor a fragment")
        return value

    @field_validator("oidc_client_id", "oidc_groups")
    @classmethod
    def _check_needed(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("oidc_issuer") and not value:
            raise ValueError("it is needed with FURROW_OIDC_ISSUER")
        return value

    @field_validator("oidc_groups")
    @classmethod
    def _check_groups(cls, value: str) -> str:
        parse_group_roles(value)
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _check_scopes(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("`openid` must be one of the scopes")
        return value


def check_provider_url(url: str) -> None:
    """Raise ValueError unless ``url`` is https, or http on this machine: tokens and the client's secret go there."""
    parts = urlsplit(url)
    if not parts.hostname or not (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_NAMES)
    ):
        raise ValueError("it must be an https URL; http only for a provider on this machine")
