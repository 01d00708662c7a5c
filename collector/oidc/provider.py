"""The OpenID provider: its addresses, the login URL, and the exchange of a code for verified claims (OpenID Connect Core 1.0,
code flow with PKCE). Authlib asks; all calls block.

The claims of a person come from the ID token, which must be signed by a key of the provider, be for this client, be valid now,
and hold the nonce of this login. The userinfo answer completes them, when it is of the same person.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from collector.oidc.claims import find_claim
from collector.oidc.config import OidcConfig
from core.metrics import count_degraded
from core.oidc_settings import check_provider_url

Claims = Mapping[str, object]

SKEW_SECONDS: Final = 60
"""Difference between the clocks of the provider and of this machine that a token's times may have."""
_TIMEOUT_SECONDS: Final = 10.0
_KEPT_SECONDS: Final = 3600.0
"""Time after which the provider's addresses are read again."""
_PAUSE_SECONDS: Final = 3.0
"""Time after a failure in which the provider is not asked for its addresses: people who try again wait for nothing."""
_SIGNATURES: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that only the provider has: `none` and those with the client's secret are no proof."""
_NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OPTIONAL: Final = ("userinfo_endpoint", "end_session_endpoint")
_log = logging.getLogger("collector.oidc")


class ProviderAway(Exception):
    """The provider does not answer, or not as OpenID Connect says. The message is for people."""


class LoginRefused(Exception):
    """The provider, or the check of its token, refuses this login. The message is for people."""


@dataclass(frozen=True)
class ProviderMetadata:
    """The addresses of a provider, and the signatures that it uses."""

    addresses: Mapping[str, str]
    signatures: tuple[str, ...]
    posts_secret: bool
    """Whether it takes the client's secret in the body only."""
    read_at: float


class OpenIdProvider:
    """One provider. Thread-safe. Raises ProviderAway and LoginRefused."""

    def __init__(self, config: OidcConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._metadata: ProviderMetadata | None = None
        self._failed_at = -_PAUSE_SECONDS
        self._keys: KeySet | None = None

    def make_login_url(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where the browser goes to sign in."""
        address = self._read_metadata().addresses["authorization_endpoint"]
        with self._open_session(redirect_uri) as session:
            url, _ = session.create_authorization_url(address, state=state, code_verifier=verifier, nonce=nonce)
        return str(url)

    def exchange_code(self, code: str, redirect_uri: str, nonce: str, verifier: str) -> Claims:
        """The verified claims of the person whom ``code`` signs in."""
        metadata = self._read_metadata()
        with self._open_session(redirect_uri) as session:
            token = _fetch_token(session, metadata, code, verifier)
            claims = self._verify_id_token(session, metadata, token, nonce)
            return self._complete_claims(session, metadata, claims)

    def make_logout_url(self) -> str:
        """Where a person ends their session at the provider; '' when it has no such page, or does not answer."""
        try:
            address = self._read_metadata().addresses.get("end_session_endpoint", "")
        except ProviderAway:
            return ""
        joint = "&" if "?" in address else "?"
        return f"{address}{joint}{urlencode({'client_id': self._config.client_id})}" if address else ""

    def _verify_id_token(
        self, session: OAuth2Session, metadata: ProviderMetadata, token: Mapping[str, object], nonce: str
    ) -> Claims:
        encoded = token.get("id_token")
        if not isinstance(encoded, str):
            raise LoginRefused("The provider sent no ID token.")
        try:
            decoded = self._decode_id_token(session, metadata, encoded)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": self._config.issuer},
                    # Authlib compares the audience only where it is asked to.
                    "aud": {"essential": True, "value": self._config.client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._config.client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(leeway=SKEW_SECONDS)
        except JoseError as error:
            raise LoginRefused(f"The provider's ID token is not valid: {error.error}, {error.description}.") from None
        except (ValueError, TypeError, KeyError):
            raise LoginRefused("The provider's ID token is not valid.") from None
        return dict(claims)

    def _decode_id_token(self, session: OAuth2Session, metadata: ProviderMetadata, encoded: str) -> Any:
        registry = JWSRegistry(algorithms=list(metadata.signatures), strict_check_header=False)
        try:
            return jwt.decode(encoded, self._keys or self._read_keys(session, metadata), registry=registry)
        except (InvalidKeyIdError, ValueError):
            # The provider has changed its keys since.
            return jwt.decode(encoded, self._read_keys(session, metadata), registry=registry)

    def _complete_claims(self, session: OAuth2Session, metadata: ProviderMetadata, claims: Claims) -> Claims:
        address = metadata.addresses.get("userinfo_endpoint")
        if not address or (find_claim(claims, self._config.groups_claim) is not None and "email" in claims):
            return claims
        answer = session.get(address, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        more = _read_json(answer)
        if more.get("sub") != claims["sub"]:
            raise LoginRefused("The provider's userinfo answer is of another person than its ID token.")
        return {**more, **claims}

    def _read_metadata(self) -> ProviderMetadata:
        with self._lock:
            known = self._metadata
            if known is None or time.monotonic() - known.read_at > _KEPT_SECONDS:
                if time.monotonic() - self._failed_at < _PAUSE_SECONDS:
                    raise ProviderAway("The provider does not answer.")
                # Until the new addresses are there, this is a failure.
                self._failed_at = time.monotonic()
                url = f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration"
                with self._open_session("") as session:
                    known = self._check_metadata(
                        _read_json(session.get(url, withhold_token=True, allow_redirects=False))
                    )
                self._metadata, self._failed_at = known, -_PAUSE_SECONDS
            return known

    def _check_metadata(self, content: Mapping[str, object]) -> ProviderMetadata:
        if content.get("issuer") != self._config.issuer:
            raise ProviderAway(
                f"The provider calls itself {str(content.get('issuer'))[:200]!r}, and FURROW_OIDC_ISSUER is "
                f"{self._config.issuer!r}."
            )
        addresses = {}
        for name in (*_NEEDED, *_OPTIONAL):
            address = content.get(name)
            if address is None and name in _OPTIONAL:
                continue
            try:
                check_provider_url(address if isinstance(address, str) else "")
            except ValueError:
                raise ProviderAway(f"The provider's discovery document has no valid {name}.") from None
            addresses[name] = str(address)
        stated = content.get("id_token_signing_alg_values_supported")
        signatures = tuple(name for name in _SIGNATURES if name in stated) if isinstance(stated, list) else ("RS256",)
        if not signatures:
            raise ProviderAway("The provider signs ID tokens with none of the signatures that are accepted.")
        methods = content.get("token_endpoint_auth_methods_supported")
        posts = isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods
        return ProviderMetadata(addresses, signatures, posts, time.monotonic())

    def _read_keys(self, session: OAuth2Session, metadata: ProviderMetadata) -> KeySet:
        answer = session.get(metadata.addresses["jwks_uri"], withhold_token=True, allow_redirects=False)
        content = _read_json(answer)
        try:
            self._keys = KeySet.import_key_set(dict(content))  # type: ignore[arg-type]  # checked by the import
        except (JoseError, ValueError, TypeError, KeyError):
            raise ProviderAway("The provider's keys cannot be read.") from None
        return self._keys

    @contextmanager
    def _open_session(self, redirect_uri: str) -> Iterator[OAuth2Session]:
        """A session with the provider; what goes wrong on the way there becomes ProviderAway, counted."""
        secret = self._config.client_secret
        posts = self._metadata is not None and self._metadata.posts_secret
        session = OAuth2Session(
            client_id=self._config.client_id,
            client_secret=secret.get_secret_value() if secret else None,
            token_endpoint_auth_method=("client_secret_post" if posts else "client_secret_basic") if secret else "none",
            scope=self._config.scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            default_timeout=_TIMEOUT_SECONDS,
        )
        try:
            with session:
                yield session
        except requests.RequestException as error:
            count_degraded("oidc", "provider_unreachable")
            _log.warning("the OpenID provider did not answer: %s", type(error).__name__)
            raise ProviderAway("The provider does not answer.") from None
        except ProviderAway as error:
            count_degraded("oidc", "provider_answer")
            _log.warning("the OpenID provider: %s", error)
            raise


def _fetch_token(session: OAuth2Session, metadata: ProviderMetadata, code: str, verifier: str) -> Mapping[str, object]:
    try:
        token: Mapping[str, object] = session.fetch_token(
            metadata.addresses["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            allow_redirects=False,
        )
    except OAuthError as error:
        raise LoginRefused(f"The provider refuses this login: {str(error.error)[:100]}.") from None
    except ValueError:
        raise ProviderAway("The provider's answer to the login's code is not JSON.") from None
    if not token.get("access_token"):
        raise LoginRefused("The provider sent no token.")
    return token


def _read_json(answer: requests.Response) -> Mapping[str, object]:
    if answer.status_code != 200:
        raise ProviderAway(f"The provider answers {answer.status_code} instead of what OpenID Connect needs.")
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ProviderAway("The provider's answer is not a JSON object.")
    return content
