"""The incident store as the collector uses it. Blocking calls run in their own threads: a slow database does not block the
threads that intake needs."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread

from collector.access.keys import KeySource
from collector.http_errors import ApiError
from core.errors import FurrowError, TransientError
from core.metrics import count_degraded
from core.roles import Scope
from incidents.alerts import Snooze
from incidents.audit import AuditAction
from incidents.lifecycle import Action, ConfirmRule, IllegalTransition, Status, VersionChanged
from incidents.model import IncidentPage, IncidentQuery, NotFound, Place, ProjectRecord, StoreCounts
from incidents.model import KeyRecord as StoredKey
from incidents.owners import OwnerRules
from incidents.releases import NewRelease, ReleaseRecord
from incidents.verdicts import (
    ExemptionRecord,
    ExemptionState,
    ExemptionStep,
    Proposal,
    Verdict,
    VerdictReason,
)

if TYPE_CHECKING:
    # For the type checker alone: a collector needs no declarations at run time.
    from incidents.fixes import Fix
    from incidents.incident import IncidentDetail
    from stores.incidents.audit_log import AuditPage, AuditPlace
    from stores.incidents.channel_tests import ChannelTest
    from stores.incidents.incident_review import (
        CursorPage,
        DeadSession,
        SessionView,
        Trend,
        WaitingExport,
    )
    from stores.incidents.page_sessions import OpenPageSession, ProviderVisit, SignedIn
    from stores.incidents.saved_views import SavedView
    from stores.incidents.setting_edits import NewKey, SettingChange
    from stores.incidents.silences import Silence
    from stores.incidents.tracker_checks import TrackerCheck
    from stores.incidents.verdict_ledger import VerdictKey
    from ufse.detection import Detection
    from ufse.grouping.learned import RouteRules

_log = logging.getLogger("collector.store")
_THREADS: Final = 8
_MAX_WAITING: Final = 64
_T = TypeVar("_T")


class IncidentReader(Protocol):
    """Reads incidents."""

    def list_incidents(self, query: IncidentQuery) -> IncidentPage: ...
    def read_incident(self, incident_id: str, project: str | None = None) -> "IncidentDetail | None": ...
    def read_store_counts(self, project: str | None = None) -> StoreCounts: ...


class IncidentLedger(Protocol):
    """Writes what operators decide and detect."""

    def apply_action(
        self,
        incident_id: str,
        action: Action,
        reason: str,
        actor: str,
        project: str | None = None,
        until: datetime | None = None,
        sessions: int | None = None,
        *,
        expected: Status | None = None,
        fix: "Fix" = ...,
        version: int | None = None,
    ) -> "IncidentDetail": ...
    def assign_incident(
        self,
        incident_id: str,
        assignee: str | None,
        reason: str,
        actor: str,
        project: str | None = None,
        *,
        version: int | None = None,
    ) -> "IncidentDetail": ...
    def record_external_detection(self, detection: "Detection", rules: ConfirmRule) -> tuple[str, bool]: ...


class IncidentMerger(Protocol):
    """Merges and splits incidents."""

    def merge_incidents(
        self,
        source: str,
        target: str,
        reason: str,
        actor: str,
        project: str | None,
        rules: ConfirmRule,
        version: int | None = None,
    ) -> "IncidentDetail": ...
    def split_incident(
        self,
        source: str,
        point: str,
        reason: str,
        actor: str,
        project: str | None,
        rules: ConfirmRule,
        version: int | None = None,
    ) -> "IncidentDetail": ...


class TicketHints(Protocol):
    """Has tickets read soon."""

    def note_tickets(self, tracker: str, keys: Sequence[str], client_ids: Sequence[UUID] = ()) -> int: ...


class ReleaseBook(Protocol):
    """Keeps releases of projects."""

    def add_release(self, release: NewRelease, actor: str) -> list[str]: ...
    def list_releases(
        self, project: str | None, environment: str | None = None, limit: int = 100
    ) -> list[ReleaseRecord]: ...


class RouteRuleSource(Protocol):
    """Reads what the routes of projects show."""

    def read_rules(self, projects: Sequence[str]) -> "dict[str, RouteRules]": ...


class OwnerIndex(Protocol):
    """Keeps who owns which incident, for lists by owner."""

    def bring_up_to_date(self, rules: OwnerRules) -> int: ...


class AlertOutbox(Protocol):
    """Snoozes incidents."""

    def snooze_incident(self, incident_id: str, until: datetime, actor: str, reason: str = "") -> None: ...
    def wake_incident(self, incident_id: str, actor: str) -> bool: ...
    def find_snooze(self, incident_id: str) -> Snooze | None: ...


class ProjectSource(KeySource, Protocol):
    """Reads keys and projects."""

    def list_known_projects(self) -> list[str]: ...
    def read_api_keys(self) -> list[StoredKey]: ...
    def read_projects(self) -> list[ProjectRecord]: ...


class PageSessions(Protocol):
    """Sign-in of people; tokens are known by their hashes."""

    def add_sign_in_link(self, token_hash: str, holder: "SignedIn", expires_at: datetime) -> None: ...
    def use_sign_in_link(self, token_hash: str, session_hash: str, session_expires: datetime) -> "SignedIn | None": ...
    def begin_page_session(self, token_hash: str, holder: "SignedIn", expires_at: datetime) -> None: ...
    def find_page_session(self, token_hash: str) -> "SignedIn | None": ...
    def end_page_session(self, token_hash: str) -> None: ...
    def find_sign_in_link(self, token_hash: str) -> "SignedIn | None": ...
    def list_page_sessions(self) -> "list[OpenPageSession]": ...
    def end_numbered_session(self, session_id: int) -> bool: ...
    def choose_project(self, token_hash: str, scope: Scope) -> None: ...
    def begin_provider_visit(self, state_hash: str, browser_hash: str, target: str, expires_at: datetime) -> None: ...
    def end_provider_visit(self, state_hash: str, browser_hash: str) -> "ProviderVisit | None": ...


class AuditLog(Protocol):
    """Adds to the audit log and reads it."""

    def add_audit_entry(
        self, actor: str, action: AuditAction, project: str, subject: str = "", reason: str = ""
    ) -> None: ...
    def list_audit_entries(
        self,
        project: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: "AuditPlace | None" = None,
        most: int = 200,
    ) -> "AuditPage": ...


class ReviewReader(Protocol):
    """Reads for the review pages."""

    def list_page(self, query: IncidentQuery, after: Place | None, days: int) -> "CursorPage": ...
    def read_trend(self, incident_id: str, last_seen: datetime, days: int) -> "Trend": ...
    def find_neighbours(self, incident_id: str, status: Status, project: str | None) -> tuple[str, str]: ...
    def read_session(self, project: str, session_id: str) -> "SessionView": ...
    def list_waiting_exports(self, project: str | None) -> "list[WaitingExport]": ...
    def list_dead_sessions(self, project: str | None) -> "list[DeadSession]": ...
    def retry_export(self, incident_id: str, tracker: str, actor: str, project: str | None) -> None: ...


class SilenceReader(Protocol):
    """Reads near misses."""

    def list_silences(self, project: str | None, rule: str | None) -> "list[Silence]": ...
    def count_silences(self, project: str | None) -> dict[str, int]: ...


class SettingEdits(Protocol):
    """Changes of keys and projects, with who changed what."""

    def create_key(self, key: "NewKey", actor: str) -> None: ...
    def revoke_key(self, prefix: str, project: str, actor: str) -> bool: ...
    def change_project(
        self,
        before: ProjectRecord,
        origins: Sequence[str],
        settings: Mapping[str, object],
        actor: str,
        change: str,
    ) -> None: ...
    def list_changes(self, project: str | None) -> "list[SettingChange]": ...


class TrackerChecks(Protocol):
    """Questions whether a tracker takes tickets."""

    def ask_about_tracker(self, tracker: str, actor: str) -> None: ...
    def list_checks(self) -> "list[TrackerCheck]": ...


class ChannelTests(Protocol):
    """Tests of the channels of alerts."""

    def ask_for_test(self, actor: str) -> None: ...
    def read_test(self) -> "ChannelTest | None": ...


class SavedViews(Protocol):
    """Named filters of the list of incidents."""

    def list_views(self, owner: str) -> "list[SavedView]": ...
    def save_view(self, view: "SavedView") -> None: ...
    def remove_view(self, owner: str, name: str) -> bool: ...


class VerdictLedger(Protocol):
    """Writes and reads what people say of sessions."""

    def save_verdict(self, key: "VerdictKey", reason: VerdictReason | None, note: str = "") -> list[Verdict]: ...
    def drop_verdict(self, key: "VerdictKey") -> list[Verdict]: ...
    def list_verdicts(
        self, project: str | None = None, incident_id: str | None = None, session_id: str | None = None
    ) -> list[Verdict]: ...
    def read_traffic_shares(self, projects: Sequence[str]) -> dict[tuple[str, str, str], float]: ...


class ExemptionLedger(Protocol):
    """Keeps the exceptions of projects."""

    def ask_for_trial(self, proposal: Proposal, actor: str, reason: str = "") -> None: ...
    def move_exemption(
        self,
        exemption_id: str,
        step: ExemptionStep,
        reason: str,
        actor: str,
        project: str | None = None,
        *,
        expected: ExemptionState | None = None,
    ) -> None: ...
    def list_exemptions(self, project: str | None) -> list[ExemptionRecord]: ...


class Incidents(Protocol):
    """The parts of the incident store that the collector uses."""

    @property
    def keys(self) -> ProjectSource: ...
    @property
    def incidents(self) -> IncidentReader: ...
    @property
    def ledger(self) -> IncidentLedger: ...
    @property
    def merger(self) -> IncidentMerger: ...
    @property
    def releases(self) -> ReleaseBook: ...
    @property
    def hints(self) -> TicketHints: ...
    @property
    def routes(self) -> RouteRuleSource: ...
    @property
    def owners(self) -> OwnerIndex: ...
    @property
    def alert_outbox(self) -> AlertOutbox: ...
    @property
    def people(self) -> PageSessions: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def review(self) -> ReviewReader: ...
    @property
    def silences(self) -> SilenceReader: ...
    @property
    def edits(self) -> SettingEdits: ...
    @property
    def views(self) -> SavedViews: ...
    @property
    def checks(self) -> TrackerChecks: ...
    @property
    def channel_tests(self) -> ChannelTests: ...
    @property
    def verdicts(self) -> VerdictLedger: ...
    @property
    def exemptions(self) -> ExemptionLedger: ...
    def close(self) -> None: ...


class StoreCalls:
    """Calls of the incident store: 8 at once, 64 queued; further ones get 503."""

    def __init__(self, store: Incidents | None) -> None:
        self._store = store
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._waiting = 0

    @property
    def is_configured(self) -> bool:
        """Whether a store is configured; it may be unreachable."""
        return self._store is not None

    async def ask_store(self, call: Callable[[Incidents], _T]) -> _T:
        """The result of ``call``. Raises ApiError: 404, 409, 412, or 503 when there is no store or it does not answer."""
        store = self._store
        if store is None:
            raise ApiError(503, "no_incident_store", "this collector has no incident store", retry_after=60)
        if self._waiting >= _MAX_WAITING:
            raise ApiError(503, "overloaded", "too many requests at once", retry_after=1)
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(lambda: call(store), limiter=self._threads)
        except NotFound:
            raise ApiError(404, "not_found", "no such incident") from None
        except VersionChanged as error:
            raise ApiError(412, "version_changed", str(error)) from None
        except IllegalTransition as error:
            raise ApiError(409, "illegal_transition", str(error)) from None
        except FurrowError as error:
            count_degraded("incident_store", "transient" if isinstance(error, TransientError) else "permanent")
            _log.warning("the incident store did not answer: %s", error)
            raise ApiError(
                503, "incident_store_unavailable", "the incident store does not answer", retry_after=5
            ) from None
        finally:
            self._waiting -= 1
