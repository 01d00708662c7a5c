"""API keys and origins, cached: the collector accepts events while Postgres is down, also after a restart
(docs/contracts/events.md, Answers).

Only the SHA-256 of a key is stored; the timing of a lookup reveals nothing about other keys. The cache is refreshed in the
background and kept on disk beside the spool (hashes only, mode 0600).
"""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from collector.access.origins import is_origin_allowed
from collector.access.projects import DEFAULTS, ProjectSettings, select_fitting_settings
from core.errors import FurrowError
from core.metrics import count_degraded
from core.roles import EVERY_PROJECT, PersonRole
from incidents.lifecycle import RULE

ALL_PROJECTS: Final = EVERY_PROJECT
DEFAULT_PROJECT: Final = "default"
TEST_KEY: Final = "test-key"
"""The ingest key of the documentation: valid only while no other machine can reach the collector."""
_FIRST_SECONDS = 1.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key allows: ``ingest`` (send events) or the role of a person (`core.roles`), in one project or (``*``) in all.
    The history of incidents shows ``name``. A person of an OpenID provider has a grant with an empty ``key_hash``."""

    project: str
    role: str
    key_hash: str
    name: str = ""

    def sees_project(self, project: str) -> bool:
        """Whether the key sees ``project``."""
        return self.project in (ALL_PROJECTS, project)


class KeyRecord(Protocol):
    """A key as the incident store keeps it."""

    @property
    def key_hash(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def revoked(self) -> bool: ...


class ProjectRecord(Protocol):
    """A project as the incident store keeps it."""

    @property
    def id(self) -> str: ...
    @property
    def origins(self) -> list[str]: ...
    @property
    def settings(self) -> dict[str, Any]: ...


class KeySource(Protocol):
    """The permanent store of keys: the incident store."""

    def read_api_keys(self) -> Sequence[KeyRecord]: ...
    def read_projects(self) -> Sequence[ProjectRecord]: ...
    def record_keys_used(self, used: Mapping[str, datetime]) -> None: ...


class _CachedKeys(msgspec.Struct, frozen=True):
    grants: dict[str, tuple[str, str]] = {}  # key hash → project, role
    origins: dict[str, list[str]] = {}  # project → origins
    names: dict[str, str] = {}  # key hash → the key's label or prefix
    settings: dict[str, dict[str, Any]] = {}  # project → its settings, as far as the collector reads them
    saved_at: float = 0.0


@dataclass(frozen=True)
class FixedKeys:
    """Keys of the configuration, as hashes. They are valid whatever the store holds."""

    grants: Mapping[str, Grant] = field(default_factory=dict)

    @classmethod
    def from_configured_keys(
        cls, ingest: Iterable[str], operator: Iterable[str], admin: Iterable[str] = ()
    ) -> "FixedKeys":
        """The grants of configured keys. Ingest keys write to the project ``default``; the others are for all projects.

        Empty keys are ignored, and so is ``test-key`` except for ingest.
        """
        roles: tuple[tuple[PersonRole, Iterable[str]], ...] = (("operator", operator), ("admin", admin))
        grants = [
            Grant(ALL_PROJECTS, role, hash_key(key), _configured_key_name(key))
            for role, keys in roles
            for key in keys
            if key and key != TEST_KEY
        ]
        grants += [Grant(DEFAULT_PROJECT, "ingest", hash_key(key), _configured_key_name(key)) for key in ingest if key]
        return cls({grant.key_hash: grant for grant in grants})


def hash_key(key: str) -> str:
    """The SHA-256 of a key in hex, which is stored instead of it. Keys are long and random: they need no salt or slow
    hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _configured_key_name(key: str) -> str:
    return "test key" if key == TEST_KEY else "configured key"


class KeyRing:
    """Keys and origins of all projects. Reading is lock-free: a refresh replaces the whole snapshot."""

    def __init__(
        self,
        cache_file: Path,
        fixed: FixedKeys,
        source: Callable[[], KeySource] | None,
        *,
        refresh_seconds: float = 15.0,
        allow_loopback: bool = False,
    ) -> None:
        """``source`` returns the store (it may raise FurrowError); None: there is no store. ``allow_loopback``: pages of
        this machine may send events."""
        self._file = cache_file
        self._fixed = fixed.grants
        self._source = source
        self._refresh_seconds = refresh_seconds
        self._allow_loopback = allow_loopback
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._used: dict[str, float] = {}  # key hash → when (epoch s), since the last refresh that succeeded
        self.source_fails = ""
        """Why the last refresh failed; empty when it succeeded or there is no store."""
        self._replace_snapshot(self._load_cached_keys() if source else _CachedKeys())

    def start_refreshing(self) -> None:
        """Refresh now and every ``refresh_seconds`` in the background."""
        if self._source and self._thread is None:
            self._thread = threading.Thread(target=self._refresh_periodically, name="keys", daemon=True)
            self._thread.start()

    def stop_refreshing(self) -> None:
        """Stop refreshing."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def find_grant(self, key: str) -> Grant | None:
        """What the key allows; None when it is unknown or revoked."""
        return self.find_grant_by_hash(hash_key(key))

    def find_grant_by_hash(self, key_hash: str) -> Grant | None:
        """As `find_grant`, by the hash of the key."""
        fixed = self._fixed.get(key_hash)
        if fixed is not None:
            return fixed
        grant = self._grants.get(key_hash)
        if grant is not None:
            self._used[key_hash] = time.time()
        return grant

    def allows_origin(self, origin: str, project: str) -> bool:
        """Whether pages of ``origin`` may send to ``project``."""
        return self._is_origin_allowed(origin, self._cached.origins.get(project, ()))

    def allows_origin_somewhere(self, origin: str) -> bool:
        """Whether pages of ``origin`` may send to at least one project: a preflight has no key, so that its project is not
        known."""
        return self._is_origin_allowed(origin, self._any_origin)

    def find_project_settings(self, project: str) -> ProjectSettings:
        """The project's own settings; the defaults for a project that is not in the store."""
        return self._settings.get(project, DEFAULTS)

    @property
    def has_never_read_store(self) -> bool:
        """Whether the store has never been read, in this process or an earlier one: an unknown key may be valid."""
        return self._source is not None and not self._cached.saved_at

    def refresh_keys(self) -> bool:
        """Read the store once. False when it does not answer: this is counted, and the old snapshot stays."""
        if self._source is None:
            return True
        try:
            store = self._source()
            keys, projects = store.read_api_keys(), store.read_projects()
        except FurrowError as error:
            self.source_fails = str(error)
            count_degraded("keys", "store_unreachable")
            return False
        self.source_fails = ""
        cached = _CachedKeys(
            {key.key_hash: (key.project, key.role) for key in keys if not key.revoked},
            {project.id: list(project.origins) for project in projects},
            {key.key_hash: _key_display_name(key) for key in keys if not key.revoked},
            {project.id: select_fitting_settings(project.settings) for project in projects},
            time.time(),
        )
        self._replace_snapshot(cached)
        self._report_used_keys(store)
        try:
            self._save_cached_keys(cached)
        except OSError:
            count_degraded("keys", "cache_not_saved")
        return True

    def _report_used_keys(self, store: KeySource) -> None:
        used, self._used = self._used, {}
        # Sorted, so that two collectors lock the rows in the same order; copied at once, because requests write meanwhile.
        times = {key_hash: datetime.fromtimestamp(at, UTC) for key_hash, at in sorted(used.items())}
        if not times:
            return
        try:
            store.record_keys_used(times)
        except FurrowError:
            count_degraded("keys", "last_use_not_noted")
            self._used = {**used, **self._used}

    def _refresh_periodically(self) -> None:
        read = self.refresh_keys()
        # The collector starts before its store: until the store has answered once, it is asked often.
        while not self._stop.wait(self._refresh_seconds if read else min(_FIRST_SECONDS, self._refresh_seconds)):
            read = self.refresh_keys() or read

    def _replace_snapshot(self, cached: _CachedKeys) -> None:
        grants = {
            key_hash: Grant(_effective_project(project, role), role, key_hash, cached.names.get(key_hash, "key"))
            for key_hash, (project, role) in cached.grants.items()
        }
        any_origin = frozenset(origin for origins in cached.origins.values() for origin in origins)
        self._settings = {
            project: ProjectSettings.from_stored_settings(stored) for project, stored in cached.settings.items()
        }
        self._cached, self._grants, self._any_origin = cached, grants, any_origin

    def _is_origin_allowed(self, origin: str, origins: Iterable[str]) -> bool:
        if is_origin_allowed(origin, origins):
            return True
        return self._allow_loopback and _origin_host(origin) in _LOOPBACK

    def _load_cached_keys(self) -> _CachedKeys:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_CachedKeys)
        except FileNotFoundError:
            return _CachedKeys()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            count_degraded("keys", "cache_unreadable")
            return _CachedKeys()

    def _save_cached_keys(self, cached: _CachedKeys) -> None:
        fresh = self._file.with_suffix(f".{os.getpid()}.new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(cached))
                file.flush()
                os.fdatasync(file.fileno())
            os.replace(fresh, self._file)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise


def _effective_project(project: str, role: str) -> str:
    # Events belong to exactly one project; a person's key without a project is for all projects.
    if role != "ingest":
        return project or ALL_PROJECTS
    return DEFAULT_PROJECT if project in ("", ALL_PROJECTS) else project


def _key_display_name(key: KeyRecord) -> str:
    name = key.label.strip() or key.prefix or "key"
    return f"key {name}" if name == RULE else name  # the history would show the person's action as the rule's


@lru_cache(maxsize=1_024)  # strangers choose the texts: bounded
def _origin_host(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
