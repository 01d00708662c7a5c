"""``furrow backup`` and ``furrow restore``: what one installation holds, as files in one directory, and back.

A backup is a directory: ``manifest.json`` (what it holds, with the checksum of each file), ``postgres/``, ``clickhouse/``
and ``files/`` (the spool with its dead letters, the secret that user ids are hashed with). It is written under another
name and renamed when it is whole. Prefect's own database is left out on purpose: runs are history, schedules come with the
code; blocks that were filled in in the Prefect UI are to be filled in again.

The spool is copied first and ClickHouse last, so that what lands meanwhile, in server mode, is in one of them or in both;
both is harmless, because events are deduplicated by their ids. Postgres is older than ClickHouse then, and with it the
watermark: what lies between is analysed again.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import kept_secrets
from core.errors import NotConfigured, PermanentError
from core.package import VERSION
from core.private_files import restrict_data_directory
from core.settings import Settings
from furrow.installation.data_lock import UNFINISHED, lock_data_directory
from stores import opening
from stores.events import event_backup
from stores.events.event_store import EventStore
from stores.incidents import incident_backup

FORMAT = 1
_MANIFEST = "manifest.json"
_SALT = kept_secrets.USER_SALT
_STOP = "stop it first: the embedded stores admit one process"


@dataclass(frozen=True)
class BackupSummary:
    """What a backup holds, or a restore brought back: rows by table, and the number of files beside the stores."""

    rows: dict[str, int]
    files: int
    size: int


def write_backup(settings: Settings, target: Path) -> BackupSummary:
    """Write a backup to ``target``, which must not exist. Embedded stores must not be in use: `furrow up` is stopped.

    Raises PermanentError with what to do, OSError when the disk is full; nothing is left at ``target`` then.
    """
    target = target.expanduser().absolute()
    if target.exists():
        raise PermanentError(f"{target} exists already; a backup is written to a new directory")
    if not settings.data_dir.is_dir():
        raise PermanentError(f"there is no data directory {settings.data_dir}; name it with --data-dir")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    try:
        with _open_stores(settings) as (events, incidents):
            summary = _write_backup_files(settings, part, events, incidents)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return summary


def restore_backup(settings: Settings, source: Path) -> BackupSummary:
    """Bring a backup back into empty stores and a new data directory. Every file is checked before anything is written.

    Raises PermanentError with what to do; after a failure in the middle, the data directory says that it is unfinished.
    """
    manifest = _read_checked_manifest(source)
    data = settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    if held := [name for name in ("spool", _SALT, UNFINISHED) if (data / name).exists()]:
        raise PermanentError(f"{data} is not empty (it holds {held[0]}); restore into a new data directory")
    marker = data / UNFINISHED
    with _open_stores(settings) as (events, incidents):
        marker.write_text(f"{source}\n", encoding="utf-8")
        if incidents and manifest["postgres"]:
            incident_backup.load_incident_tables(
                incidents, source / "postgres", incident_backup.IncidentDump(**manifest["postgres"])
            )
        if events and manifest["clickhouse"]:
            event_backup.load_event_tables(
                events, source / "clickhouse", event_backup.EventDump(**manifest["clickhouse"])
            )
    shutil.copytree(source / "files", data, dirs_exist_ok=True)
    restrict_data_directory(data)
    marker.unlink()
    return _summarise_manifest(manifest)


def _write_backup_files(
    settings: Settings, part: Path, events: EventStore | None, incidents: str | None
) -> BackupSummary:
    for name in ("files", "postgres", "clickhouse"):
        (part / name).mkdir(mode=0o700)
    _copy_spool_and_salt(settings, part / "files")
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "furrow": VERSION,
        "madeAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "postgres": asdict(incident_backup.dump_incident_tables(incidents, part / "postgres")) if incidents else None,
        "clickhouse": asdict(event_backup.dump_event_tables(events, part / "clickhouse")) if events else None,
    }
    manifest["files"] = {
        str(path.relative_to(part)): {"bytes": path.stat().st_size, "sha256": _file_sha256(path)}
        for path in sorted(part.rglob("*"))
        if path.is_file()
    }
    with (part / _MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    # Whatever the modes of what was copied: a backup is as confidential as the data directory.
    for path in part.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return _summarise_manifest(manifest)


def _copy_spool_and_salt(settings: Settings, target: Path) -> None:
    if (settings.data_dir / _SALT).exists():
        shutil.copy2(settings.data_dir / _SALT, target / _SALT)
    for path in sorted(settings.spool_dir.rglob("*")):
        if path.is_file():
            copy = target / "spool" / path.relative_to(settings.spool_dir)
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # it landed since: its events are in ClickHouse, read later
                shutil.copy2(path, copy)


@contextlib.contextmanager
def _open_stores(settings: Settings) -> Iterator[tuple[EventStore | None, str | None]]:
    """The event store and the URL of the incident store, the embedded ones started; None in the mode ``log``."""
    modes = [opening.read_store_mode(url) for url in (settings.event_store_url, settings.incident_store_url)]
    if modes == ["log", "log"]:
        raise NotConfigured("both stores are `log`: there is nothing but the spool to back up")
    with contextlib.ExitStack() as stack:
        if "embedded" in modes:
            stack.enter_context(lock_data_directory(settings.data_dir, _STOP))
        if modes[0] == "embedded":
            settings.events_dir.mkdir(exist_ok=True)
        if modes[1] == "embedded":
            server = opening.open_embedded_postgres(settings)
            stack.callback(server.stop)
            server.start()
        events = None if modes[0] == "log" else opening.open_event_store(settings)
        if events:
            stack.callback(events.close)
        yield events, opening.find_incident_store_url(settings)


def _read_checked_manifest(source: Path) -> dict[str, Any]:
    """The manifest of a whole and undamaged backup. Raises PermanentError."""
    try:
        manifest: dict[str, Any] = json.loads((source / _MANIFEST).read_text(encoding="utf-8"))
        number = manifest["format"]
    except FileNotFoundError:
        raise PermanentError(f"{source} is no backup: it has no {_MANIFEST}") from None
    except (ValueError, KeyError, TypeError):
        raise PermanentError(f"{source / _MANIFEST} is damaged") from None
    if number != FORMAT:
        raise PermanentError(f"the backup has format {number}, this version of Furrow reads {FORMAT}")
    for name, entry in manifest["files"].items():
        path = source / name
        if not path.is_file() or _file_sha256(path) != entry["sha256"]:
            raise PermanentError(f"the backup's file {name} is missing or damaged; nothing was restored")
    return manifest


def _summarise_manifest(manifest: dict[str, Any]) -> BackupSummary:
    rows = {
        table: count
        for store in ("clickhouse", "postgres")
        if manifest[store]
        for table, count in manifest[store]["rows"].items()
    }
    beside = [name for name in manifest["files"] if name.startswith("files/")]
    return BackupSummary(rows, len(beside), sum(file["bytes"] for file in manifest["files"].values()))


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
