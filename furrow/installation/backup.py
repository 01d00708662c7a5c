"""``furrow backup`` and ``furrow restore``: write the data of an installation to a directory of files, and restore it.

A backup contains ``manifest.json`` (the contents, with a checksum of each file), ``postgres/``, ``clickhouse/`` and
``files/``: the spool with its dead letters, the secret that user ids are hashed with, and the keys that the installation made.
It is written under a temporary name and renamed when it is complete. Prefect's database is not included
(docs/decisions/0009-backups-are-rows.md).

Order: spool, Postgres, ClickHouse. Events that land meanwhile, in server mode, are then in the spool or in ClickHouse or in
both, and events are deduplicated by their ids. The watermark in Postgres is older than ClickHouse: the events after it are
analysed again.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

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
_KEYS = (kept_secrets.INGEST_KEY, kept_secrets.OPERATOR_KEY)
_STOP = "stop it first: only one process can open the embedded stores"


@dataclass(frozen=True)
class BackupSummary:
    """Contents of a backup: rows by table, number of other files, and size of all files in bytes."""

    rows: dict[str, int]
    files: int
    size: int


class _ManifestFormat(msgspec.Struct):
    format: int


class _FileEntry(msgspec.Struct):
    bytes: int
    sha256: str


class _Manifest(msgspec.Struct):
    """The content of ``manifest.json``."""

    format: int
    furrow: str
    """Version of Furrow that wrote the backup."""
    madeAt: str
    postgres: incident_backup.IncidentDump | None
    clickhouse: event_backup.EventDump | None
    files: dict[str, _FileEntry]
    """By path relative to the backup, the manifest itself not included."""


def write_backup(settings: Settings, target: Path) -> BackupSummary:
    """Write a backup to ``target``, which must not exist. With embedded stores, `furrow up` must be stopped.

    Raises PermanentError with advice, and OSError when the disk is full; nothing is left at ``target`` then.
    """
    target = target.expanduser().absolute()
    if target.exists():
        raise PermanentError(f"{target} already exists; a backup needs a new directory")
    if not settings.data_dir.is_dir():
        raise PermanentError(f"there is no data directory {settings.data_dir}; set it with --data-dir")
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
    """Restore a backup into empty stores and a new data directory. All files are verified before anything is written.

    Raises PermanentError with advice. After a failure in the middle, the data directory is marked as unfinished.
    """
    manifest = _read_checked_manifest(source)
    data = settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    if held := [name for name in ("spool", _SALT, UNFINISHED) if (data / name).exists()]:
        raise PermanentError(f"{data} is not empty (it contains {held[0]}); restore into a new data directory")
    marker = data / UNFINISHED
    with _open_stores(settings) as (events, incidents):
        marker.write_text(f"{source}\n", encoding="utf-8")
        if incidents and manifest.postgres:
            incident_backup.load_incident_tables(incidents, source / "postgres", manifest.postgres)
        if events and manifest.clickhouse:
            event_backup.load_event_tables(events, source / "clickhouse", manifest.clickhouse)
    # Keys that stand in the data directory already are in use, perhaps in pages: they stay.
    kept = {name for name in _KEYS if (data / name).exists()}
    shutil.copytree(source / "files", data, ignore=lambda _folder, names: kept & set(names), dirs_exist_ok=True)
    restrict_data_directory(data)
    marker.unlink()
    return _summarise_manifest(manifest)


def _write_backup_files(
    settings: Settings, part: Path, events: EventStore | None, incidents: str | None
) -> BackupSummary:
    for name in ("files", "postgres", "clickhouse"):
        (part / name).mkdir(mode=0o700)
    _copy_spool_and_secrets(settings, part / "files")
    manifest = _Manifest(
        format=FORMAT,
        furrow=VERSION,
        madeAt=datetime.now(UTC).isoformat(timespec="seconds"),
        postgres=incident_backup.dump_incident_tables(incidents, part / "postgres") if incidents else None,
        clickhouse=event_backup.dump_event_tables(events, part / "clickhouse") if events else None,
        files={},
    )
    manifest.files = {
        str(path.relative_to(part)): _FileEntry(path.stat().st_size, _file_sha256(path))
        for path in sorted(part.rglob("*"))
        if path.is_file()
    }
    with (part / _MANIFEST).open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    # Copied files keep their modes otherwise: a backup is as confidential as the data directory.
    for path in part.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return _summarise_manifest(manifest)


def _copy_spool_and_secrets(settings: Settings, target: Path) -> None:
    for name in (_SALT, *_KEYS):
        if (settings.data_dir / name).exists():
            shutil.copy2(settings.data_dir / name, target / name)
    for path in sorted(settings.spool_dir.rglob("*")):
        if path.is_file():
            copy = target / "spool" / path.relative_to(settings.spool_dir)
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(
                FileNotFoundError
            ):  # it has landed: its events are in ClickHouse, which is copied later
                shutil.copy2(path, copy)


@contextlib.contextmanager
def _open_stores(settings: Settings) -> Iterator[tuple[EventStore | None, str | None]]:
    """The event store and the URL of the incident store; embedded stores are started. None for a store ``log``."""
    modes = [opening.read_store_mode(url) for url in (settings.event_store_url, settings.incident_store_url)]
    if modes == ["log", "log"]:
        raise NotConfigured("both stores are `log`: there is nothing to back up except the spool")
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


def _read_checked_manifest(source: Path) -> _Manifest:
    """The manifest of a backup whose files are all present and undamaged. Raises PermanentError."""
    try:
        content = (source / _MANIFEST).read_bytes()
        number = msgspec.json.decode(content, type=_ManifestFormat).format
        if number != FORMAT:
            raise PermanentError(f"the backup has format {number}; this version of Furrow reads format {FORMAT}")
        manifest = msgspec.json.decode(content, type=_Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise PermanentError(f"{source} is not a backup: it has no {_MANIFEST}") from None
    except msgspec.MsgspecError as error:
        raise PermanentError(f"{source / _MANIFEST} is damaged: {error}") from None
    for name, entry in manifest.files.items():
        path = source / name
        if not path.is_file() or _file_sha256(path) != entry.sha256:
            raise PermanentError(f"the backup's file {name} is missing or damaged; nothing was restored")
    return manifest


def _summarise_manifest(manifest: _Manifest) -> BackupSummary:
    rows: dict[str, int] = {}
    for dump in (manifest.clickhouse, manifest.postgres):
        rows |= dump.rows if dump else {}
    others = [name for name in manifest.files if name.startswith("files/")]
    return BackupSummary(rows, len(others), sum(file.bytes for file in manifest.files.values()))


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
