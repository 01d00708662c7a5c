"""The identity of events: an event that is sent again gets the same id."""

import hashlib
import json
from functools import lru_cache

import msgspec

from collector.contract.fields import validate_session_id
from collector.privacy import hash_user, stored_session
from collector.privacy.cache import Cache

_CANONICAL = msgspec.json.Encoder(order="deterministic")


class Identity:
    """Computes the event ids of one batch or file: from the client's key, or from the event as sent and the number of equal
    events before it.

    ``user_hashes`` and ``sessions`` map a sent id to its stored form; they live as long as the batch.
    """

    def __init__(self, project: str, salt: bytes) -> None:
        self.user_hashes = Cache(lambda user_id: hash_user(project, user_id, salt))
        self.sessions = Cache(lambda session_id: stored_session(project, session_id, salt))
        self._prefix, self._by_content = _begin_hash(project)  # the hash is copied for each event
        self._seen: dict[str, int] = {}

    def find_stored_session(self, session_id: object) -> str:
        """The stored form of a session id as sent. Raises Rejected for an invalid one."""
        return self.sessions[validate_session_id(session_id)]

    def identify_by_key(self, session_id: str, key: str) -> str:
        content = f"{len(session_id)}:{session_id}{key}".encode("utf-8", "replace")
        return _format_uuid(hashlib.sha256(self._prefix + b"key" + content).hexdigest())

    def identify_by_content(self, event: object) -> str:
        sha = self._by_content.copy()
        try:
            # Sorted keys: a proxy may write the same JSON in another order when it sends again.
            sha.update(_CANONICAL.encode(event))
        except (OverflowError, ValueError):
            sha.update(json.dumps(event, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace"))
        digest = sha.hexdigest()
        before = self._seen.get(digest, 0)
        self._seen[digest] = before + 1
        if before:
            digest = hashlib.sha256(bytes.fromhex(digest) + before.to_bytes(8, "big")).hexdigest()
        return _format_uuid(digest)


@lru_cache(maxsize=1_024)
def _begin_hash(project: str) -> "tuple[bytes, hashlib._Hash]":
    prefix = hashlib.sha256(project.encode("utf-8", "replace")).digest()
    return prefix, hashlib.sha256(prefix)


def _format_uuid(digest: str) -> str:
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
