"""Sign-in of people: sessions of the pages, and links that sign in once. Tokens are known here by their hashes only."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from stores.incidents.incident_database import Database

_KEPT_DAYS = 7
"""Days after which an expired session or link is deleted. Until then a used link is refused as used, not as unknown."""
_ADD_LINK = text("""
    INSERT INTO sign_in_links (token_hash, key_hash, role, expires_at) VALUES (:token_hash, :key_hash, :role, :expires_at)
""")
# One statement: of two browsers that open a link at once, one gets the row.
_USE_LINK = text("""
    UPDATE sign_in_links SET used_at = now()
    WHERE token_hash = :token_hash AND used_at IS NULL AND expires_at > now()
    RETURNING key_hash, role
""")
_ADD_SESSION = text("""
    INSERT INTO page_sessions (token_hash, key_hash, role, expires_at) VALUES (:token_hash, :key_hash, :role, :expires_at)
""")
_FIND_SESSION = text("""
    SELECT key_hash, role FROM page_sessions WHERE token_hash = :token_hash AND expires_at > now()
""")
_END_SESSION = text("DELETE FROM page_sessions WHERE token_hash = :token_hash")
_END_SESSIONS_OF_KEY = text("DELETE FROM page_sessions WHERE key_hash = :key_hash")
_FORGET = tuple(
    text(f"DELETE FROM {table} WHERE expires_at < now() - make_interval(days => {_KEPT_DAYS})")
    for table in ("page_sessions", "sign_in_links")
)


class SignedIn(NamedTuple):
    """What a session or a link stands for: the hash of an operator key, and ``viewer`` or ``operator``."""

    key_hash: str
    role: str


class PageSessions:
    """The sessions of signed-in people, and one-time links.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_sign_in_link(self, token_hash: str, holder: SignedIn, expires_at: datetime) -> None:
        """Store a link that signs in once, until ``expires_at``. Deletes what expired long ago."""
        values = {"token_hash": token_hash, "expires_at": expires_at, **holder._asdict()}
        with self._database.open_transaction() as connection:
            for statement in _FORGET:
                connection.execute(statement)
            connection.execute(_ADD_LINK, values)

    def use_sign_in_link(self, token_hash: str, session_hash: str, session_expires: datetime) -> SignedIn | None:
        """Use a link: begin the session ``session_hash``. None when the link is unknown, used or expired."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_USE_LINK, {"token_hash": token_hash}).one_or_none()
            if row is None:
                return None
            values = {"token_hash": session_hash, "expires_at": session_expires, **row._mapping}
            connection.execute(_ADD_SESSION, values)
            return SignedIn(*row)

    def begin_page_session(self, token_hash: str, holder: SignedIn, expires_at: datetime) -> None:
        """Begin a session. Deletes what expired long ago."""
        with self._database.open_transaction() as connection:
            for statement in _FORGET:
                connection.execute(statement)
            connection.execute(_ADD_SESSION, {"token_hash": token_hash, "expires_at": expires_at, **holder._asdict()})

    def find_page_session(self, token_hash: str) -> SignedIn | None:
        """The session, unless it is unknown, ended or expired."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_FIND_SESSION, {"token_hash": token_hash}).one_or_none()
            return None if row is None else SignedIn(*row)

    def end_page_session(self, token_hash: str) -> None:
        """End one session."""
        with self._database.open_transaction() as connection:
            connection.execute(_END_SESSION, {"token_hash": token_hash})

    def end_sessions_of_key(self, key_hash: str) -> int:
        """End all sessions of one key; returns how many there were."""
        with self._database.open_transaction() as connection:
            return connection.execute(_END_SESSIONS_OF_KEY, {"key_hash": key_hash}).rowcount
