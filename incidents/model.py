"""The values that the incident store takes and returns; plain data, no database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from typing_extensions import TypedDict

from core.errors import PermanentError, TransientError
from incidents.lifecycle import ConfirmRule, Severity, Status

if TYPE_CHECKING:
    # For the type checker alone: a collector needs no declarations at run time.
    from incidents.incident import Incident, IncidentDetail
    from ufse.detection import Detection, WhyNot

Json = dict[str, Any]
SessionKey = tuple[str, str]
"""A client session: its project and its id."""
# Rules by project id ('' is the default for the others), or one rule for all.
Rules = Mapping[str, ConfirmRule] | ConfirmRule
DEFAULT_RULE = ConfirmRule()


class NotFound(PermanentError):
    """There is no such row, or it belongs to another project (HTTP 404)."""


@dataclass(frozen=True)
class Cursor:
    """The position of a reader of the event store.

    ``watermark_us``: ``landed_at`` in epoch µs; ``seen``: the distinct ``landed_at`` inside the overlap that were read.
    """

    watermark_us: int = 0
    seen: tuple[int, ...] = ()


@dataclass(frozen=True)
class TouchedSession:
    """A client session with new events, to be analysed at ``due_ms``.

    ``session_hash`` is ClickHouse's UInt64; times are epoch ms. ``delays``: whether the new events may delay the analysis of a
    session that is in the queue already; events that nobody made may not. ``failed``: something in the
    new events may be negative feedback.
    """

    project: str
    session_id: str
    session_hash: int
    due_ms: int
    received_ms: int
    delays: bool = True
    failed: bool = False


@dataclass(frozen=True)
class PendingSession:
    """A client session in the queue.

    ``version`` changes with every new event: results for an older one are not recorded.

    ``received_ms``: first receipt (epoch ms) of an event that came since the last analysis; 0: unknown.
    """

    project: str
    session_id: str
    session_hash: int
    version: int
    attempts: int
    due_ms: int
    received_ms: int = 0


@dataclass(frozen=True)
class SessionOrigin:
    """The sender of the new events of a client session.

    ``source`` and ``before``: hashes of its sender under the salts of the day of receipt and of the day before; None: not
    known. ``mixed``: not all of its events come from the source that sent its first ones, or it is not known whether they do.
    ``key``: the number of the ingest key that they came with; 0: of a trusted sender, or not known.
    """

    source: int | None
    before: int | None
    mixed: bool = False
    key: int = 0


@dataclass(frozen=True)
class AnalysedSession:
    """The engine's result for one client session of ``visits`` visits: all detections that hold now.

    ``origin``: its sender; None: it is a source of its own. ``first_ms``: receipt of the first event that was read, epoch ms
    (0: not known). ``since_ms``: receipt of the oldest stored event, epoch ms. Older detections may rest on events that
    retention has dropped, so they are not retracted. ``rules``: the rules that keep visits with feedback silent;
    ``silences``: these visits.
    ``read_since_ms``: no event of it was received before, epoch ms.
    """

    pending: PendingSession
    detections: "tuple[Detection, ...]"
    visits: int = 0
    since_ms: int = 0
    first_ms: int = 0
    origin: SessionOrigin | None = None
    rules: tuple[str, ...] = ()
    read_since_ms: int = 0
    silences: "tuple[WhyNot, ...]" = ()


@dataclass(frozen=True)
class RecordResult:
    """The result of ``IncidentLedger.record_detections``.

    ``stored``: detections that are new, changed or returned; ``retracted``: those that no longer hold; ``contested``: those
    that stay because the events against them came from another source; ``stale``: sessions that got new events meanwhile
    (nothing written, they stay in the queue); ``completed`` and ``open_retracted``: open detections that the complete session
    shows too, and those that it does not; ``incidents``: all that were recomputed; ``confirmed`` and ``regressed``:
    those that a rule moved there now.
    """

    sessions: int = 0
    stored: int = 0
    retracted: int = 0
    stale: int = 0
    contested: int = 0
    completed: int = 0
    open_retracted: int = 0
    incidents: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    regressed: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenResult:
    """The result of ``IncidentLedger.record_open_detections``.

    ``found``: open detections that are new, changed or returned; ``retracted``: those that no longer hold; ``stale``: sessions
    that got new events meanwhile (looked at again by the next run); ``incidents``: all that were recomputed; ``drafted``: those
    that exist now because enough open sessions show them.
    """

    sessions: int = 0
    found: int = 0
    retracted: int = 0
    stale: int = 0
    incidents: tuple[str, ...] = ()
    drafted: tuple[str, ...] = ()


class Place(NamedTuple):
    """Where a page of a list begins: after the incident with this sort value (as Postgres writes it) and id."""

    value: str
    incident_id: str


@dataclass(frozen=True)
class IncidentQuery:
    """Filters of a list of incidents; a filter that is not set matches all.

    ``since``: last seen at or after; ``held``: held back from export in a flood; ``withdrawn``: only those, else none, that
    open sessions drafted and no session shows any more; ``words``: in the title, the failure point, the label or the id;
    ``version``, ``environment``, ``browser``: of at least one session; ``owner``: one of its owners; ``owned``: with an owner,
    or without one (both after `OwnerIndex.bring_up_to_date`); ``sort``: one of ``SORTS`` with "-" in front
    for descending; ``limit`` 1–1000; ``after``: where the page begins (``offset`` is then 0).
    """

    project: str | None = None
    status: tuple[Status, ...] = ()
    exported: bool | None = None
    held: bool | None = None
    withdrawn: bool = False
    severity: tuple[Severity, ...] = ()
    route: str | None = None
    since: datetime | None = None
    min_score: int | None = None
    words: str | None = None
    version: str | None = None
    environment: str | None = None
    browser: str | None = None
    owner: str | None = None
    owned: bool | None = None
    sort: str = "-lastSeen"
    limit: int = 100
    offset: int = 0
    after: Place | None = None


@dataclass(frozen=True)
class IncidentPage:
    """One page of incidents (list JSON, without history and examples) and how many match in all. ``after``: where the next page
    begins; None on the last one."""

    incidents: "tuple[Incident, ...]"
    total: int
    limit: int
    offset: int
    after: Place | None = None


class StoreCounts(TypedDict):
    """Counts of one project, or of the whole installation."""

    detections: int
    """Without those that were retracted."""
    retracted: int
    openDetections: int
    """Of sessions that go on."""
    incidents: dict[Status, int]
    tickets: dict[str, int]
    """By state."""
    unknownTicketStates: int
    """Tickets in a state of their tracker that nobody named (``ticketStates``)."""
    held: int
    """Incidents that a flood holds back from export."""
    deadSessions: int
    pendingSessions: int
    oldestDueMs: int
    """Due time of the longest due session, epoch ms; 0: the queue is empty."""
    cursors: dict[str, int]
    """Watermark (epoch µs) by reader. Always of the whole installation."""


@dataclass(frozen=True)
class TicketClaim:
    """An incident to file now, leased to the caller.

    ``client_id``: the ticket's identity (UUID v4), the same in each attempt. ``state``: before this claim ("new", "logged",
    "retry", "claimed" = the last exporter died, "export_failed", "filed" = the incident recurred). ``attempts`` includes this
    one. ``generation``: number of recurrences. ``key`` and ``url``: of the existing ticket, to be updated. ``token``: of this
    lease. ``replaces``: key of the former ticket, which was deleted in the tracker, or (``follows``) closed; '' without one.
    ``identity``: what the ticket is known by in its tracker.
    """

    incident: "IncidentDetail"
    client_id: UUID
    attempts: int
    state: str
    generation: int
    key: str | None = None
    url: str | None = None
    token: UUID | None = None
    replaces: str = ""
    follows: bool = False
    identity: str = ""


class LostLease(TransientError):
    """Another exporter holds this ticket now, or may take it at any moment: nothing is created or recorded for it."""


class SecondTicket(PermanentError):
    """The incident has another ticket at this tracker already; the one of the message is a second one."""


@dataclass(frozen=True)
class KeyRecord:
    """An API key: its SHA-256 (never the key), its first characters to recognise it, its role and its project."""

    key_hash: str
    prefix: str
    project: str
    role: str
    revoked: bool
    label: str = ""
    created_at: datetime | None = field(default=None, compare=False)
    last_used_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ProjectRecord:
    """A project, the browser origins that may send to it, and its settings."""

    id: str
    origins: list[str] = field(default_factory=list)
    settings: Json = field(default_factory=dict)
