"""The incident store: everything that Furrow keeps in Postgres.

Each object runs its own statements. `incidents.lifecycle` decides about statuses, without a database.
"""

from typing import Self

from sqlalchemy import text

from incidents.lifecycle import ConfirmRule, IllegalTransition
from incidents.model import (
    AnalysedSession,
    Cursor,
    IncidentPage,
    IncidentQuery,
    KeyRecord,
    NotFound,
    OpenResult,
    PendingSession,
    ProjectRecord,
    RecordResult,
    SessionOrigin,
    TicketClaim,
    TouchedSession,
)
from stores.incidents import incident_schema
from stores.incidents.alert_outbox import AlertOutbox
from stores.incidents.alert_search import AlertSearch
from stores.incidents.audit_log import AuditLog
from stores.incidents.channel_tests import ChannelTests
from stores.incidents.exemption_ledger import ExemptionLedger
from stores.incidents.incident_database import Database
from stores.incidents.incident_erasure import IncidentErasure
from stores.incidents.incident_flood import Flood, FloodGate
from stores.incidents.incident_ledger import IncidentLedger
from stores.incidents.incident_merge import IncidentMerger
from stores.incidents.incident_outbox import Outbox, WaitingTickets
from stores.incidents.incident_owners import OwnerIndex
from stores.incidents.incident_reach import ReachLedger
from stores.incidents.incident_read import IncidentReader, IncidentSummary
from stores.incidents.incident_review import ReviewReader
from stores.incidents.key_registry import KeyRegistry
from stores.incidents.open_alerts import OpenAlerts
from stores.incidents.page_sessions import PageSessions
from stores.incidents.project_routes import ProjectRoutes
from stores.incidents.releases import ReleaseBook
from stores.incidents.saved_views import SavedViews
from stores.incidents.session_queue import SessionQueue
from stores.incidents.setting_edits import SettingEdits
from stores.incidents.silences import SilenceReader
from stores.incidents.stored_detections import StoredDetection, StoredDetections
from stores.incidents.ticket_file_checks import TicketFileChecks
from stores.incidents.ticket_hints import TicketHints
from stores.incidents.ticket_states import TicketStates
from stores.incidents.ticket_upkeep import TicketUpkeep
from stores.incidents.tracker_checks import TrackerChecks
from stores.incidents.tracker_gates import TrackerGates
from stores.incidents.verdict_ledger import VerdictLedger

__all__ = [
    "AnalysedSession",
    "ConfirmRule",
    "Cursor",
    "Flood",
    "IllegalTransition",
    "IncidentPage",
    "IncidentQuery",
    "IncidentStore",
    "IncidentSummary",
    "KeyRecord",
    "NotFound",
    "OpenResult",
    "PendingSession",
    "ProjectRecord",
    "RecordResult",
    "SessionOrigin",
    "StoredDetection",
    "TicketClaim",
    "TouchedSession",
    "WaitingTickets",
]


class IncidentStore:
    """One Postgres database of Furrow, and the objects that work on it. Thread-safe; each of their calls is one transaction.

    They raise TransientError when the same call may succeed later (connection lost, lock timeout, server shutting down) and
    PermanentError otherwise; messages never hold the password of the URL.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.queue = SessionQueue(database)
        self.ledger = IncidentLedger(database)
        self.incidents = IncidentReader(database)
        self.merger = IncidentMerger(database)
        self.routes = ProjectRoutes(database)
        self.owners = OwnerIndex(database)
        self.releases = ReleaseBook(database)
        self.detections = StoredDetections(database)
        self.outbox = Outbox(database)
        self.tickets = TicketUpkeep(database)
        self.states = TicketStates(database)
        self.hints = TicketHints(database)
        self.gates = TrackerGates(database)
        self.file_checks = TicketFileChecks(database)
        self.floods = FloodGate(database)
        self.alerts = OpenAlerts(database)
        self.alert_outbox = AlertOutbox(database)
        self.alert_search = AlertSearch(database)
        self.erasure = IncidentErasure(database)
        self.reach = ReachLedger(database)
        self.keys = KeyRegistry(database)
        self.people = PageSessions(database)
        self.audit = AuditLog(database)
        self.review = ReviewReader(database)
        self.silences = SilenceReader(database)
        self.edits = SettingEdits(database)
        self.views = SavedViews(database)
        self.checks = TrackerChecks(database)
        self.channel_tests = ChannelTests(database)
        self.verdicts = VerdictLedger(database)
        self.exemptions = ExemptionLedger(database)

    @classmethod
    def connect(cls, url: str) -> Self:
        """A store at ``postgresql://`` or ``postgres://``; the first call connects."""
        return cls(Database(url))

    def migrate(self) -> None:
        """Bring the schema up to date; harmless when it is, and safe when several processes do it at once.

        Raises SchemaTooNew, and changes nothing, when a newer Furrow has upgraded it.
        """
        with self._database.open_transaction() as connection:
            incident_schema.migrate(connection)

    def check_schema(self) -> None:
        """Raise SchemaTooNew if a newer Furrow has upgraded this database; changes nothing."""
        with self._database.open_transaction() as connection:
            incident_schema.check_schema_version(connection)

    def ping(self) -> None:
        """Raise unless the server answers."""
        with self._database.open_transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()
