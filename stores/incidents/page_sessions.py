"""Sign-in of people: sessions of the pages, links that sign in once, visits to an OpenID provider. Tokens are known here by
their hashes only."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, text

from core.roles import Scope, is_person_role
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_detection import encode_json_text

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
_FIND_LINK = text("SELECT key_hash, role FROM sign_in_links WHERE token_hash = :token_hash")
_ADD_SESSION = text("""
    INSERT INTO page_sessions (token_hash, key_hash, role, person, scopes, project, expires_at)
    VALUES (:token_hash, :key_hash, :role, :person, CAST(:scopes AS jsonb), :project, :expires_at)
""")
_FIND_SESSION = text("""
    SELECT key_hash, role, person, scopes, project FROM page_sessions
    WHERE token_hash = :token_hash AND expires_at > now()
""")
_LIST_SESSIONS = text("""
    SELECT key_hash, role, person, scopes, project, session_id, created_at, expires_at FROM page_sessions
    WHERE expires_at > now() ORDER BY created_at DESC, session_id LIMIT :most
""")
_CHOOSE_PROJECT = text("""
    UPDATE page_sessions SET project = :project, role = :role
    WHERE token_hash = :token_hash AND expires_at > now() AND person IS NOT NULL
""")
_END_SESSION = text("DELETE FROM page_sessions WHERE token_hash = :token_hash")
_END_NUMBERED_SESSION = text("DELETE FROM page_sessions WHERE session_id = :session_id")
_END_SESSIONS_OF_KEY = text("DELETE FROM page_sessions WHERE key_hash = :key_hash")
_ADD_VISIT = text("""
    INSERT INTO provider_visits (state_hash, browser_hash, target, expires_at)
    VALUES (:state_hash, :browser_hash, :target, :expires_at)
""")
# The row goes whoever asks for it: a state that another browser has sent is known to others, and worth nothing any more.
_END_VISIT = text("""
    DELETE FROM provider_visits WHERE state_hash = :state_hash RETURNING browser_hash, target, expires_at > now() AS valid
""")
_FORGET_VISITS = text("DELETE FROM provider_visits WHERE expires_at < now()")
_FORGET = tuple(
    text(f"DELETE FROM {table} WHERE expires_at < now() - make_interval(days => {_KEPT_DAYS})")
    for table in ("page_sessions", "sign_in_links")
)
_MOST_SESSIONS = 500


@dataclass(frozen=True)
class SignedIn:
    """What a session or a link stands for.

    Either ``key_hash``, the hash of a key, with the most that its holder may do (``role``); or ``person``, a provider's
    person, with the ``scopes`` of their groups, the ``project`` of these that they look at, and the ``role`` in it.
    """

    key_hash: str
    role: str
    person: str = ""
    scopes: tuple[Scope, ...] = ()
    project: str = ""


@dataclass(frozen=True)
class OpenPageSession:
    """A session that has not ended, for those who may end it. ``session_id`` names it and opens nothing."""

    session_id: int
    holder: SignedIn
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class ProviderVisit:
    """A browser that was sent to the provider and came back: the page that it asked for."""

    target: str


class PageSessions:
    """The sessions of signed-in people, one-time links, and visits to a provider.

    Thread-safe; each call is one transaction. Raises what `Database` raises.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_sign_in_link(self, token_hash: str, holder: SignedIn, expires_at: datetime) -> None:
        """Store a link that signs in once, until ``expires_at``. Deletes what expired long ago."""
        values = {
            "token_hash": token_hash,
            "expires_at": expires_at,
            "key_hash": holder.key_hash,
            "role": holder.role,
        }
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
            holder = SignedIn(row.key_hash, row.role)
            connection.execute(_ADD_SESSION, _session_values(session_hash, holder, session_expires))
            return holder

    def find_sign_in_link(self, token_hash: str) -> SignedIn | None:
        """The holder of a link, also of one that was used or has expired within a week; None for an unknown one."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_FIND_LINK, {"token_hash": token_hash}).one_or_none()
            return None if row is None else SignedIn(row.key_hash, row.role)

    def begin_page_session(self, token_hash: str, holder: SignedIn, expires_at: datetime) -> None:
        """Begin a session. Deletes what expired long ago."""
        with self._database.open_transaction() as connection:
            for statement in _FORGET:
                connection.execute(statement)
            connection.execute(_ADD_SESSION, _session_values(token_hash, holder, expires_at))

    def find_page_session(self, token_hash: str) -> SignedIn | None:
        """The session, unless it is unknown, ended or expired."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_FIND_SESSION, {"token_hash": token_hash}).one_or_none()
            return None if row is None else _read_holder(row)

    def list_page_sessions(self) -> list[OpenPageSession]:
        """The sessions that have not ended, at most 500, the newest first."""
        with self._database.open_transaction() as connection:
            return [
                OpenPageSession(row.session_id, _read_holder(row), row.created_at, row.expires_at)
                for row in connection.execute(_LIST_SESSIONS, {"most": _MOST_SESSIONS})
            ]

    def choose_project(self, token_hash: str, scope: Scope) -> None:
        """Let a provider's person look at ``scope``, which is one of their scopes, from now on."""
        values = {"token_hash": token_hash, "project": scope.project, "role": scope.role}
        with self._database.open_transaction() as connection:
            connection.execute(_CHOOSE_PROJECT, values)

    def end_page_session(self, token_hash: str) -> None:
        """End one session."""
        with self._database.open_transaction() as connection:
            connection.execute(_END_SESSION, {"token_hash": token_hash})

    def end_numbered_session(self, session_id: int) -> bool:
        """End the session with this id; whether there was one."""
        with self._database.open_transaction() as connection:
            return connection.execute(_END_NUMBERED_SESSION, {"session_id": session_id}).rowcount > 0

    def end_sessions_of_key(self, key_hash: str) -> int:
        """End all sessions of one key; returns how many there were."""
        with self._database.open_transaction() as connection:
            return connection.execute(_END_SESSIONS_OF_KEY, {"key_hash": key_hash}).rowcount

    def begin_provider_visit(self, state_hash: str, browser_hash: str, target: str, expires_at: datetime) -> None:
        """Remember that a browser was sent to the provider. Deletes visits that have expired."""
        values = {"state_hash": state_hash, "browser_hash": browser_hash, "target": target, "expires_at": expires_at}
        with self._database.open_transaction() as connection:
            connection.execute(_FORGET_VISITS)
            connection.execute(_ADD_VISIT, values)

    def end_provider_visit(self, state_hash: str, browser_hash: str) -> ProviderVisit | None:
        """The visit, once: None when it is unknown, over, expired, or of another browser (then it is over, too)."""
        with self._database.open_transaction() as connection:
            row = connection.execute(_END_VISIT, {"state_hash": state_hash}).one_or_none()
            return ProviderVisit(row.target) if row and row.valid and row.browser_hash == browser_hash else None


def _session_values(token_hash: str, holder: SignedIn, expires_at: datetime) -> dict[str, object]:
    scopes = [{"project": scope.project, "role": scope.role} for scope in holder.scopes]
    return {
        "token_hash": token_hash,
        "expires_at": expires_at,
        "role": holder.role,
        "key_hash": holder.key_hash or None,
        "person": clean_for_postgres(holder.person) or None,
        "scopes": encode_json_text(scopes) if scopes else None,
        "project": holder.project or None,
    }


def _read_holder(row: "Row[tuple[object, ...]]") -> SignedIn:
    scopes = tuple(Scope(kept["project"], kept["role"]) for kept in row.scopes or () if is_person_role(kept["role"]))
    return SignedIn(row.key_hash or "", row.role, row.person or "", scopes, row.project or "")
