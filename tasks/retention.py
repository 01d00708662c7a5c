"""Deletion of old events and dead letters by whole days of receipt; events that wait for analysis are never deleted."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from prefect import task

from collector.senders.receipts import SALTS, renew_daily_salts
from core.settings import Settings
from stores.events import event_receipts, event_retention
from stores.events.event_retention import DroppedPartition
from stores.incidents import alert_outbox, silences
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY
from tasks.thresholds import confirm_rules, read_project_thresholds

ENDED_DAYS = 8
"""Days for which the outcome of a detection in an open session is kept, as long as the receipts of its sender."""
_log = logging.getLogger("furrow.retention")


@dataclass(frozen=True)
class RetentionLimit:
    """The first day (UTC, of receipt) that is kept.

    ``waiting``: it is earlier than requested, because its events wait for analysis.
    """

    day: date
    waiting: bool


@task(name="what is to be kept", **POLICY)
def find_retention_limit(days: int, today: date | None = None) -> RetentionLimit:
    """The first day to keep: ``days`` days before today, or earlier, the day of the oldest event that waits for analysis."""
    incidents = connections.incident_store()
    asked = (today or datetime.now(UTC).date()) - timedelta(days=days)
    if isinstance(incidents, LogIncidentStore):
        # It stores nothing: a real store that is configured later begins with the oldest stored event.
        return RetentionLimit(asked, waiting=False)
    cursor = incidents.queue.read_cursor()
    unread = event_retention.find_oldest_unread_ms(connections.event_store(), cursor.watermark_us, cursor.seen)
    oldest = min(
        moment_ms for moment_ms in (unread, incidents.queue.find_oldest_pending_ms(), _END_OF_TIME_MS) if moment_ms
    )
    waiting = datetime.fromtimestamp(oldest / 1000, UTC).date()
    return RetentionLimit(min(asked, waiting), waiting < asked)


@task(name="drop old events", **POLICY)
def drop_events(keep: RetentionLimit) -> list[DroppedPartition]:
    """Delete the days before ``keep`` from the event store: events, the sessions that began on them, and their counts."""
    dropped = event_retention.drop_old_partitions(connections.event_store(), keep.day)
    for entry in dropped:
        _log.info("dropped %s of %s: %d rows, %d bytes", entry.table, entry.day, entry.rows, entry.bytes)
    return dropped


@task(name="drop old counts", **POLICY)
def drop_counts(keep: RetentionLimit) -> int:
    """Delete the counts of sessions that reached the steps of incidents, of the days before ``keep``. Returns how many rows."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return 0
    midnight = datetime(keep.day.year, keep.day.month, keep.day.day, tzinfo=UTC)
    return store.reach.drop_counts_before(round(midnight.timestamp() * 1000))


@task(name="drop old dead letters", **POLICY)
def drop_dead_letters(keep: RetentionLimit) -> Counter[str]:
    """Delete the files of rejected events of the days before ``keep``: their name is the day of receipt."""
    gone: Counter[str] = Counter()
    for path in sorted((Settings().spool_dir / "dead-letters").glob("*.jsonl")):
        if (day := _day_of_file(path)) is not None and day < keep.day:
            size = path.stat().st_size
            path.unlink(missing_ok=True)
            gone.update({"days": 1, "bytes": size})
            _log.info("dropped the dead letters of %s: %d bytes", day, size)
    return gone


@task(name="forget senders", **POLICY)
def forget_senders() -> int:
    """Delete the senders of detections that no longer count, those of versions, expired receipts, and the salts of past days.

    Returns the number of detections. The TTL of the receipts would also delete them; the collector renews the salts each day.
    """
    now = datetime.now(UTC)
    path = Settings().data_dir / SALTS
    if path.exists():
        renew_daily_salts(path, now)
    event_receipts.drop_expired_receipts(connections.event_store(), now)
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return 0
    store.releases.forget_senders()
    return store.erasure.forget_sources(
        {p: rule.window_days for p, rule in confirm_rules(read_project_thresholds(store)).items()}
    )


@task(name="forget ended detections", **POLICY)
def forget_ended_detections() -> int:
    """Forget which detections of open sessions ended, and how, more than `ENDED_DAYS` ago. Returns how many."""
    store = connections.incident_store()
    return 0 if isinstance(store, LogIncidentStore) else store.erasure.forget_ended_detections(ENDED_DAYS)


@task(name="forget near misses", **POLICY)
def forget_near_misses() -> int:
    """Delete the near misses that were analysed more than `silences.KEPT_DAYS` ago. Returns how many."""
    store = connections.incident_store()
    return 0 if isinstance(store, LogIncidentStore) else store.erasure.forget_silences(silences.KEPT_DAYS)


@task(name="forget alerts", **POLICY)
def forget_alerts() -> int:
    """Delete the alerts that were sent, or snoozed, more than `alert_outbox.KEPT_DAYS` ago, and the snoozes that ended before.

    Returns how many alerts.
    """
    store = connections.incident_store()
    return 0 if isinstance(store, LogIncidentStore) else store.alert_outbox.forget_alerts(alert_outbox.KEPT_DAYS)


def _day_of_file(path: Path) -> date | None:
    try:
        return date.fromisoformat(path.stem)
    except ValueError:
        return None  # not a file of dead letters


_END_OF_TIME_MS = 253_402_300_000_000  # 9999-12-31
