"""Alerts: find what people are to be alerted of, and send it to channels. Nothing here holds up detection or export."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from prefect import task

from blocks.documents import effective_settings
from core.alert_settings import AlertRules, build_alert_rules, parse_channels
from core.error_messages import describe_error
from core.errors import FurrowError, NotConfigured, TransientError
from core.metrics import count_degraded
from core.plurals import format_count
from core.project_settings import select_usable_settings
from core.settings import Settings
from incidents.alerts import DIGEST, AlertOccasion, AlertRow, SentMessage
from incidents.model import LostLease
from incidents.owners import OwnerRules, find_place_owner
from incidents.owners_file import open_owners_file
from stores.incidents.alert_outbox import AlertTarget
from stores.incidents.alert_search import SearchLimits
from stores.incidents.incident_store import IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY
from trackers.alerts.channel import Channel, ChannelContext, GoneMessage, NotSent, choose_wait, open_channel
from trackers.alerts.message import build_message, build_test_message
from trackers.transport import Reach


@dataclass
class FoundAlerts:
    """What a search found: occasions that no status shows, digests, and rows for channels."""

    findings: int = 0
    digests: int = 0
    rows: int = 0


@dataclass
class SentAlerts:
    """What became of the alerts of one channel."""

    channel: str
    alerts: int = 0
    messages: int = 0
    changed: int = 0
    left: int = 0
    error: FurrowError | None = None


@dataclass
class UnsentAlerts:
    """An error for each channel that did not take alerts that still wait, and a line for each that is no channel any more."""

    errors: list[TransientError] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)


@task(name="find alerts", **POLICY)
def find_alerts() -> FoundAlerts:
    """Search for occasions, and make a row for each channel that is owed one. The same again makes nothing more.

    Without a channel, occasions are passed over: what happens before there is one is never sent.
    """
    store, settings = _open_store(), effective_settings()
    known, now = list(parse_channels(settings.alert_urls)), datetime.now(UTC)
    rules = _AllRules(store, settings)
    found = FoundAlerts()
    if known:
        found.findings = store.alert_search.note_findings(list(rules.list_limits()))
        found.digests = _add_digests(store, rules, known, now)
    found.rows = store.alert_outbox.spread_occasions(lambda occasion: _choose_target(occasion, rules, known, now))
    return found


@task(name="send alerts", **{**POLICY, "retries": 0})
def send_alerts(channel_name: str) -> SentAlerts:
    """Send what one channel is owed, and bring messages up to date that it can change.

    A channel that does not take a message gets no other in this run; what is left waits in the store.
    """
    store, settings = _open_store(), effective_settings()
    done = SentAlerts(channel_name)
    rules, now = _AllRules(store, settings), datetime.now(UTC)
    awake = [project for project in rules.projects if not rules.of_project(project).is_quiet(now)]
    rows = store.alert_outbox.claim_alerts(channel_name, awake)
    changed = store.alert_outbox.find_changed_messages(channel_name)
    if not (rows or changed):
        return done
    try:
        channel = open_channel_by_name(channel_name, settings)
    except FurrowError as error:
        _fail(store, rows, done, error)
        return done
    with closing(channel):
        _send_rows(store, channel, rows, done)
        if done.error is None:
            _change_messages(store, channel, [message for message in changed if _is_awake(message, awake)], done)
    return done


def open_channel_by_name(name: str, settings: Settings) -> Channel:
    """The channel of this name. Raises NotConfigured when there is none, and PermanentError when its URL is none."""
    url = parse_channels(settings.alert_urls).get(name)
    if url is None:
        raise NotConfigured(f"FURROW_ALERT_URLS has no channel {name}")
    context = ChannelContext(Reach.from_setting(settings.tracker_private_networks), settings.alert_slack_url)
    return open_channel(url, context)


def send_test_alert(name: str, settings: Settings) -> None:
    """Send a test to one channel. Raises NotSent or PermanentError."""
    with closing(open_channel_by_name(name, settings)) as channel:
        channel.send_message(build_test_message(name))


@task(name="waiting alerts", **POLICY)
def describe_waiting_alerts(but: Sequence[str]) -> UnsentAlerts:
    """What channels, ``but`` for these, did not take so far."""
    unsent, known = UnsentAlerts(), parse_channels(effective_settings().alert_urls)
    for waiting in _open_store().alert_outbox.list_waiting_alerts():
        text = f"{waiting.channel}: {format_count(waiting.number, 'alert')} waiting"
        if waiting.channel not in known:
            unsent.unnamed.append(f"{text}; FURROW_ALERT_URLS does not name this channel any more")
        elif waiting.channel not in but:
            unsent.errors.append(TransientError(f"{text}: {waiting.reason}"))
    return unsent


# What goes where
# ----------------------------------------------------------------------------------------------------------------------


class _AllRules:
    """The rules of every project that has incidents or settings."""

    def __init__(self, store: IncidentStore, settings: Settings) -> None:
        self._settings = settings
        self._stored = {
            project.id: select_usable_settings(project.settings)[0] for project in store.keys.read_projects()
        }
        self._made: dict[str, AlertRules] = {}
        self._owner_rules: OwnerRules | None = None
        self.projects = sorted({*self._stored, *store.alert_search.list_projects()})

    def of_project(self, project: str) -> AlertRules:
        """The rules of a project."""
        if project not in self._made:
            self._made[project] = build_alert_rules(self._settings, self._stored.get(project, {}))
        return self._made[project]

    def find_owners(self, occasion: AlertOccasion) -> tuple[str, ...]:
        """The owners of the incident, the first one first: whom a person assigned it to, else those of the file of owners."""
        if occasion.assignee:
            return (occasion.assignee,)
        if self._owner_rules is None:
            self._owner_rules = open_owners_file(self._settings.owners_file).read_rules()
        owner = find_place_owner(occasion.place, self._owner_rules)
        return owner.names if owner else ()

    def list_limits(self) -> Iterator[SearchLimits]:
        """What to search for."""
        for project in self.projects:
            rules, stored = self.of_project(project), self._stored.get(project, {})
            yield SearchLimits(
                project=project,
                per_source=stored.get("confirmPerSource", self._settings.confirm_per_source),
                growth_sessions=rules.growth_sessions if "growing" in rules.kinds else None,
                growth_factor=rules.growth_factor,
                share_percent=rules.share_percent if "share" in rules.kinds else None,
                user_times=rules.user_times if "user" in rules.kinds else None,
            )


def _choose_target(occasion: AlertOccasion, rules: _AllRules, known: Sequence[str], now: datetime) -> AlertTarget:
    wanted = rules.of_project(occasion.project)
    if occasion.kind not in wanted.kinds or _is_past(occasion):
        return AlertTarget((), False)
    channels = wanted.choose_channels(known, rules.find_owners(occasion) if wanted.owners else ())
    return AlertTarget(channels, wanted.is_quiet(now))


def _is_past(occasion: AlertOccasion) -> bool:
    """Whether it is no news any more: decided meanwhile, or nobody shows it.

    That a fix did not hold is news also after the next one: the message says that it is resolved, and that it came back.
    """
    if occasion.kind == "open":
        return occasion.status != "draft" or occasion.withdrawn
    decided = ("suppressed",) if occasion.kind == "regressed" else ("resolved", "suppressed")
    return occasion.withdrawn or occasion.status in decided


def _add_digests(store: IncidentStore, rules: _AllRules, known: Sequence[str], now: datetime) -> int:
    made = 0
    for project in rules.projects:
        wanted = rules.of_project(project)
        if (due := wanted.find_due_digest(now)) is None:
            continue
        occasion, since = due
        channels = wanted.choose_channels(known)
        if not channels or store.alert_outbox.has_digest(project, occasion):
            continue
        facts = store.alert_search.collect_digest(project, since, now)
        made += store.alert_outbox.add_digest(project, occasion, channels, facts, wanted.is_quiet(now))
    return made


# Sending
# ----------------------------------------------------------------------------------------------------------------------


def _send_rows(store: IncidentStore, channel: Channel, rows: Sequence[AlertRow], done: SentAlerts) -> None:
    group = effective_settings().alert_group
    for batch in group_rows(rows, group):
        if done.error is None:
            _send_batch(store, channel, batch, done)
        else:
            done.left += len(batch)
    if done.left:
        store.alert_outbox.release_claim(rows[0].token)


def group_rows(rows: Sequence[AlertRow], most: int) -> list[list[AlertRow]]:
    """The messages: each digest is one; alerts are one each, or one for all if there are more than ``most``, or came in
    quiet hours.

    First comes what may have arrived, each message with the rows that it had, and so with its id.
    """
    repeated: dict[UUID, list[AlertRow]] = {}
    for row in rows:
        if row.doubtful and row.message_id is not None:
            repeated.setdefault(row.message_id, []).append(row)
    others = [row for row in rows if not (row.doubtful and row.message_id is not None)]
    digests = [[row] for row in others if row.kind == DIGEST]
    alerts = [row for row in others if row.kind != DIGEST]
    if len(alerts) > most:
        return [*repeated.values(), alerts, *digests]
    waited = [row for row in alerts if row.quiet]
    singles = [[row] for row in alerts if not row.quiet]
    return [*repeated.values(), *([waited] if waited else []), *singles, *digests]


def _send_batch(store: IncidentStore, channel: Channel, batch: Sequence[AlertRow], done: SentAlerts) -> None:
    try:
        message_id = store.alert_outbox.begin_sending(batch)
    except LostLease:
        # Another run goes on with them.
        count_degraded("alerts", "lost_lease")
        return
    message = build_message(batch, effective_settings().pages_url, str(message_id))
    try:
        reference = channel.send_message(message)
    except FurrowError as error:
        _fail(store, batch, done, error)
        return
    store.alert_outbox.record_sent(batch, reference)
    done.alerts += len(batch)
    done.messages += 1


def _fail(store: IncidentStore, rows: Sequence[AlertRow], done: SentAlerts, error: FurrowError) -> None:
    """The rows wait; how long, follows from their attempts."""
    count_degraded("alerts", type(error).__name__)
    done.error = error
    if rows:
        refusal = error if isinstance(error, NotSent) else NotSent(str(error), doubtful=False)
        wait_s = choose_wait(refusal, max(row.attempts for row in rows))
        store.alert_outbox.record_failed(rows, describe_error(error), wait_s, refusal.doubtful)


def _change_messages(store: IncidentStore, channel: Channel, messages: Sequence[SentMessage], done: SentAlerts) -> None:
    """Write messages anew whose incidents have another state. It is the same text each time, so that repeating is harmless."""
    for message in messages:
        text = build_message(message.rows, effective_settings().pages_url, str(message.message_id))
        try:
            channel.change_message(message.message, text)
            done.changed += 1
        except GoneMessage:
            # A person deleted it, or it is too old: it stays as it is.
            count_degraded("alerts", "message_gone")
        except FurrowError as error:
            count_degraded("alerts", type(error).__name__)
            done.error = error
            return
        store.alert_outbox.record_changed(message)


def _is_awake(message: SentMessage, awake: Sequence[str]) -> bool:
    return all(row.project in awake for row in message.rows)


def _open_store() -> IncidentStore:
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        raise NotConfigured("the incident store is log-only: there is nothing to alert of")
    return store
