"""An OpenID provider that issues whatever ID token a test asks for: forged, expired, of another client."""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from joserfc.util import urlsafe_b64encode

from tests.fakes.server import Answer, Fake, Request

Claims = dict[str, Any]


class HostileProvider(Fake):
    """Answers as a provider does; ``change_claims`` and ``sign`` make the ID token of the next login."""

    name = "openid"

    def __init__(self) -> None:
        super().__init__()
        self.key = RSAKey.generate_key(2048, {"kid": "known", "use": "sig"})
        self.nonce = ""
        self.change_claims: Callable[[Claims], Claims] = lambda claims: claims
        self.sign: Callable[[Claims], str] = self.sign_properly
        self.userinfo: Mapping[str, Any] = {}
        self.metadata: Mapping[str, Any] = {}

    def sign_properly(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": "known"}, claims, self.key)

    def sign_with_another_key(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": "known"}, claims, RSAKey.generate_key(2048))

    def sign_with_an_unknown_key(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": "other"}, claims, RSAKey.generate_key(2048))

    def sign_with_the_public_key_as_secret(self, claims: Claims) -> str:
        """The classic confusion: an HMAC with the public key, which everybody knows."""
        payload = self.sign_properly(claims).split(".")[1].encode()
        signed = urlsafe_b64encode(b'{"alg":"HS256","kid":"known"}') + b"." + payload
        mac = hmac.new(self.key.as_pem(private=False), signed, hashlib.sha256).digest()
        return (signed + b"." + urlsafe_b64encode(mac)).decode()

    def sign_with_the_client_secret(self, claims: Claims) -> str:
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("s" * 32), algorithms=["HS256"])

    def sign_not_at_all(self, claims: Claims) -> str:
        parts = jwt.encode({"alg": "RS256"}, claims, self.key).split(".")
        return ".".join([urlsafe_b64encode(b'{"alg":"none"}').decode(), parts[1], ""])

    def handle(self, request: Request) -> Answer:
        if request.path == "/.well-known/openid-configuration":
            return Answer(200, self._describe())
        if request.path == "/jwks":
            return Answer(200, {"keys": [self.key.as_dict(private=False)]})
        if request.path == "/me":
            return Answer(200, self.userinfo)
        if request.path == "/token":
            return Answer(200, {"access_token": "at", "token_type": "Bearer", "id_token": self._issue_token()})
        return Answer(404)

    def _describe(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/auth",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks",
            "userinfo_endpoint": f"{self.address}/me",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.metadata,
        }

    def _issue_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.address,
            "sub": "mallory",
            "aud": "furrow",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "email": "mallory@example.com",
            "groups": ["/furrow/admins"],
        }
        return self.sign(self.change_claims(claims))
