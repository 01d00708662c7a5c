"""Signatures of Standard Webhooks (standardwebhooks.com, version 1)."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from core.errors import PermanentError
from trackers import http_errors

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 24
_LONGEST: Final = 64


class Signer:
    """Signs messages with one secret."""

    def __init__(self, secret: SecretStr | None) -> None:
        """Raises PermanentError unless the secret is ``whsec_`` and 24 to 64 bytes in base64."""
        self.text = http_errors.read_credential(secret, "the webhook secret")
        try:
            self._key = base64.b64decode(self.text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            self._key = b""
        if not self.text.startswith(_PREFIX) or not _SHORTEST <= len(self._key) <= _LONGEST:
            raise PermanentError(
                f"the webhook secret is not of the form {_PREFIX}…: {_SHORTEST} to {_LONGEST} random bytes in base64"
            )

    def sign(self, id_: str, at: int, content: bytes) -> Mapping[str, str]:
        """The headers of a message; ``at``: seconds since 1970."""
        digest = hmac.digest(self._key, f"{id_}.{at}.".encode() + content, "sha256")
        return {
            "webhook-id": id_,
            "webhook-timestamp": str(at),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
