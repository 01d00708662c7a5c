"""API keys and origins, cached so that intake survives Postgres being down, even over a restart (events.md,
Answers).

A key is known by its SHA-256 alone; looking a hash up reveals nothing about other keys by its timing. The
cache is refreshed in the background and kept on disk next to the spool (hashes only, mode 0600).
"""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from collector.access.projects import DEFAULTS, ProjectSettings, fitting_of
from core.errors import FurrowError
from core.metrics import degraded
from incidents.lifecycle import RULE

Role = Literal["ingest", "operator"]

ALL_PROJECTS: Final = "*"
DEFAULT_PROJECT: Final = "default"
TEST_KEY: Final = "test-key"
"""The ingest key that everyone knows: valid only while this machine alone can reach the collector."""
_FIRST_SECONDS = 1.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key may do: ``ingest`` (send events) or ``operator`` (see incidents and act on them), in one project or
    (``*``) in all; ``name`` stands for it in the history of incidents."""

    project: str
    role: str
    key_hash: str
    name: str = ""

    def sees(self, project: str) -> bool:
        """Whether the key may see that project."""
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
    """Where keys are kept for good: the incident store."""

    def keys(self) -> Sequence[KeyRecord]: ...
    def projects(self) -> Sequence[ProjectRecord]: ...
    def note_keys_used(self, used: Mapping[str, datetime]) -> None: ...


class _Cached(msgspec.Struct, frozen=True):
    grants: dict[str, tuple[str, str]] = {}  # key hash → project, role
    origins: dict[str, list[str]] = {}  # project → origins
    names: dict[str, str] = {}  # key hash → the key's label or prefix
    settings: dict[str, dict[str, Any]] = {}  # project → its settings, as far as the collector reads them
    saved_at: float = 0.0


@dataclass(frozen=True)
class FixedKeys:
    """Keys of the configuration; they are valid whatever the store says. Raises nothing, holds hashes
    only."""

    grants: Mapping[str, Grant] = field(default_factory=dict)

    @classmethod
    def of(cls, ingest: Iterable[str], operator: Iterable[str]) -> "FixedKeys":
        """Ingest keys write to the project ``default``; operator keys see all projects. Empty keys are
        ignored, and ``test-key`` as an operator's."""
        grants = [
            Grant(ALL_PROJECTS, "operator", hash_key(key), _fixed_name(key))
            for key in operator
            if key and key != TEST_KEY
        ]
        grants += [Grant(DEFAULT_PROJECT, "ingest", hash_key(key), _fixed_name(key)) for key in ingest if key]
        return cls({grant.key_hash: grant for grant in grants})


def hash_key(key: str) -> str:
    """What is stored of a key: its SHA-256 in hex. Keys are long and random, so that no salt or slow hash is
    needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _fixed_name(key: str) -> str:
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
        """``source`` gives the store (it may raise FurrowError) or is None; ``allow_loopback``: pages of this
        machine may send."""
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
        self._use(self._load() if source else _Cached())

    def start(self) -> None:
        """Refresh now and every ``refresh_seconds`` in the background."""
        if self._source and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="keys", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop refreshing."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def grant(self, key: str) -> Grant | None:
        """What the key may do; None when it is unknown or revoked."""
        return self.grant_of_hash(hash_key(key))

    def grant_of_hash(self, key_hash: str) -> Grant | None:
        """As ``grant``, for a key of which the hash alone was kept."""
        fixed = self._fixed.get(key_hash)
        if fixed is not None:
            return fixed
        grant = self._grants.get(key_hash)
        if grant is not None:
            self._used[key_hash] = time.time()
        return grant

    def allows(self, origin: str, project: str) -> bool:
        """Whether pages of ``origin`` may send to ``project``."""
        return self._is_allowed(origin, self._cached.origins.get(project, ()))

    def allows_somewhere(self, origin: str) -> bool:
        """Whether pages of ``origin`` may send to any project: a preflight carries no key, and so names
        none."""
        return self._is_allowed(origin, self._any_origin)

    def settings(self, project: str) -> ProjectSettings:
        """The project's own numbers; those of a project that is not in the store are the defaults."""
        return self._settings.get(project, DEFAULTS)

    @property
    def is_blind(self) -> bool:
        """Whether the store has never been read, in this process or an earlier one: an unknown key may be a good one."""
        return self._source is not None and not self._cached.saved_at

    def age_seconds(self) -> float | None:
        """Seconds since the store was last read; None when it never was."""
        return time.time() - self._cached.saved_at if self._cached.saved_at else None

    def refresh(self) -> bool:
        """Read the store once; False (counted, the old snapshot stays) when it does not answer."""
        if self._source is None:
            return True
        try:
            store = self._source()
            keys, projects = store.keys(), store.projects()
        except FurrowError as error:
            self.source_fails = str(error)
            degraded("keys", "store_unreachable")
            return False
        self.source_fails = ""
        cached = _Cached(
            {key.key_hash: (key.project, key.role) for key in keys if not key.revoked},
            {project.id: list(project.origins) for project in projects},
            {key.key_hash: _name_of(key) for key in keys if not key.revoked},
            {project.id: fitting_of(project.settings) for project in projects},
            time.time(),
        )
        self._use(cached)
        self._tell_used(store)
        try:
            self._save(cached)
        except OSError:
            degraded("keys", "cache_not_saved")
        return True

    def _tell_used(self, store: KeySource) -> None:
        used, self._used = self._used, {}
        # Sorted, so that two collectors lock the rows in one order; copied at once, because requests write meanwhile.
        times = {key_hash: datetime.fromtimestamp(at, UTC) for key_hash, at in sorted(used.items())}
        if not times:
            return
        try:
            store.note_keys_used(times)
        except FurrowError:
            degraded("keys", "last_use_not_noted")
            self._used = {**used, **self._used}

    def _run(self) -> None:
        read = self.refresh()
        # The collector starts before its store does: until that has answered once, it is asked often.
        while not self._stop.wait(self._refresh_seconds if read else min(_FIRST_SECONDS, self._refresh_seconds)):
            read = self.refresh() or read

    def _use(self, cached: _Cached) -> None:
        grants = {
            key_hash: Grant(_writable(project, role), role, key_hash, cached.names.get(key_hash, "key"))
            for key_hash, (project, role) in cached.grants.items()
        }
        any_origin = frozenset(origin for origins in cached.origins.values() for origin in origins)
        self._settings = {project: ProjectSettings.of(stored) for project, stored in cached.settings.items()}
        self._cached, self._grants, self._any_origin = cached, grants, any_origin

    def _is_allowed(self, origin: str, origins: Iterable[str]) -> bool:
        if origin in origins or "*" in origins:
            return True
        return self._allow_loopback and _host(origin) in _LOOPBACK

    def _load(self) -> _Cached:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Cached)
        except FileNotFoundError:
            return _Cached()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            degraded("keys", "cache_unreadable")
            return _Cached()

    def _save(self, cached: _Cached) -> None:
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


def _writable(project: str, role: str) -> str:
    # Events need one project to go to; an operator's key without a project is one for all.
    if role == "operator":
        return project or ALL_PROJECTS
    return DEFAULT_PROJECT if project in ("", ALL_PROJECTS) else project


def _name_of(key: KeyRecord) -> str:
    name = key.label.strip() or key.prefix or "key"
    return f"key {name}" if name == RULE else name  # nobody acts in the rules' name


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
