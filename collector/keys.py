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
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from furrow.errors import FurrowError
from furrow.metrics import degraded

Role = Literal["ingest", "operator"]

ALL_PROJECTS: Final = "*"
DEFAULT_PROJECT: Final = "default"
DEVELOPMENT_INGEST_KEY: Final = "test-key"
DEVELOPMENT_OPERATOR_KEY: Final = "test-operator-key"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key may do: ``ingest`` (send events) or ``operator`` (read incidents), in one project or (``*``)
    in all."""

    project: str
    role: str
    key_hash: str

    def sees(self, project: str) -> bool:
        """Whether the key may see that project."""
        return self.project in (ALL_PROJECTS, project)


class KeyRecord(Protocol):
    """A key as the incident store keeps it."""

    @property
    def key_hash(self) -> str: ...
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


class KeySource(Protocol):
    """Where keys are kept for good: the incident store."""

    def keys(self) -> Sequence[KeyRecord]: ...
    def projects(self) -> Sequence[ProjectRecord]: ...


class _Cached(msgspec.Struct, frozen=True):
    grants: dict[str, tuple[str, str]] = {}  # key hash → project, role
    origins: dict[str, list[str]] = {}  # project → origins
    saved_at: float = 0.0


@dataclass(frozen=True)
class FixedKeys:
    """Keys of the configuration; they are valid whatever the store says. Raises nothing, holds hashes
    only."""

    grants: Mapping[str, Grant] = field(default_factory=dict)

    @classmethod
    def of(cls, ingest: Iterable[str], operator: Iterable[str]) -> "FixedKeys":
        """Ingest keys write to the project ``default``; operator keys see all projects. Empty keys are
        ignored."""
        grants = [Grant(DEFAULT_PROJECT, "ingest", hash_key(key)) for key in ingest if key]
        grants += [Grant(ALL_PROJECTS, "operator", hash_key(key)) for key in operator if key]
        return cls({grant.key_hash: grant for grant in grants})


def hash_key(key: str) -> str:
    """What is stored of a key: its SHA-256 in hex. Keys are long and random, so that no salt or slow hash is
    needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


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
        key_hash = hash_key(key)
        return self._fixed.get(key_hash) or self._grants.get(key_hash)

    def allows(self, origin: str, project: str) -> bool:
        """Whether pages of ``origin`` may send to ``project``."""
        return self._is_allowed(origin, self._cached.origins.get(project, ()))

    def allows_somewhere(self, origin: str) -> bool:
        """Whether pages of ``origin`` may send to any project: a preflight carries no key, and so names
        none."""
        return self._is_allowed(origin, self._any_origin)

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
            time.time(),
        )
        self._use(cached)
        try:
            self._save(cached)
        except OSError:
            degraded("keys", "cache_not_saved")
        return True

    def _run(self) -> None:
        self.refresh()
        while not self._stop.wait(self._refresh_seconds):
            self.refresh()

    def _use(self, cached: _Cached) -> None:
        grants = {
            key_hash: Grant(_writable(project, role), role, key_hash)
            for key_hash, (project, role) in cached.grants.items()
        }
        any_origin = frozenset(origin for origins in cached.origins.values() for origin in origins)
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


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
