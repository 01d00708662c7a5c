"""The lifecycle of an incident, as pure functions: statuses, transitions, rules, severity and title.

See docs/contracts/incidents-and-tickets.md, Incident. Nothing here reads a clock or a database. All times are times of
receipt, or were entered by a person (a fix, the end of a suppression): no client can choose them.

`apply_action` (people) and `apply_rules` return a new ``IncidentState`` and the ``HistoryChange`` to record; the other
functions look values up.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

from core.errors import PermanentError
from incidents.fixes import NO_FIX, Fix

Status = Literal["draft", "confirmed", "resolved", "regressed", "suppressed"]
Action = Literal["confirm", "suppress", "resolve", "reopen"]
Severity = Literal["Critical", "High", "Medium", "Low"]

RULE = "rule"
STATUSES: tuple[Status, ...] = ("draft", "confirmed", "resolved", "regressed", "suppressed")
EXPORTABLE: tuple[Status, ...] = ("confirmed", "regressed")

# What a person (or a closed ticket) may do.
TRANSITIONS: dict[tuple[Status, Action], Status] = {
    ("draft", "confirm"): "confirmed",
    ("draft", "suppress"): "suppressed",
    ("confirmed", "suppress"): "suppressed",
    ("resolved", "suppress"): "suppressed",
    ("regressed", "suppress"): "suppressed",
    ("confirmed", "resolve"): "resolved",
    ("regressed", "resolve"): "resolved",
    ("resolved", "reopen"): "confirmed",
    ("suppressed", "reopen"): "confirmed",
}

# What rules do (`apply_rules`): a suppression ends where it began, and goes on from there.
RULE_MOVES: tuple[tuple[Status, Status], ...] = (
    ("draft", "confirmed"),
    ("resolved", "regressed"),
    ("suppressed", "draft"),
    ("suppressed", "confirmed"),
    ("suppressed", "resolved"),
    ("suppressed", "regressed"),
)


def list_legal_moves() -> frozenset[tuple[Status, Status]]:
    """From which status to which an incident may go. The table ``incident_moves`` holds the same, and refuses others."""
    return frozenset((before, after) for (before, _), after in TRANSITIONS.items()) | frozenset(RULE_MOVES)


class IllegalTransition(PermanentError):
    """The incident's status does not allow the action (HTTP 409)."""


class ChangedMeanwhile(IllegalTransition):
    """Somebody moved the incident after the person who acts had seen it (HTTP 409)."""


class VersionChanged(ChangedMeanwhile):
    """The incident has another version than the request names (HTTP 412). ``version``: the one it has."""

    def __init__(self, version: int, seen: int, last: str) -> None:
        super().__init__(
            f"the incident was changed meanwhile: it has version {version} now, and the request names version {seen}; "
            f"the last change: {last}"
        )
        self.version = version


@dataclass(frozen=True)
class ConfirmRule:
    """When a draft is confirmed: ``min_sessions`` distinct sessions, or ``min_users`` distinct users, within ``window_days``.

    ``per_source``: maximum sessions that count for one source. A browser can send any user id, so users count only if distinct
    sources sent them. ``new_per_hour``: new incidents of a project in an hour above which new ones are held back
    (stores/incidents/incident_flood.py). ``open_sessions``: open sessions, at most ``per_source`` of each source, that draft an
    incident; 0: none do. Open sessions never confirm. ``new_per_source``: new incidents in an hour above which a source is
    a suspect (stores/incidents/incident_suspects.py). ``new_per_key``: the same for one ingest key
    (stores/incidents/incident_key_flood.py).
    """

    min_sessions: int = 3
    min_users: int = 2
    window_days: float = 7.0
    per_source: int = 2
    new_per_hour: int = 50
    open_sessions: int = 3
    new_per_source: int = 20
    new_per_key: int = 100


class Sighting(NamedTuple):
    """One live detection of an incident, as the confirm rule sees it.

    ``at``: receipt; ``user``: '' when unknown; ``source``: who sent it, 0 when unknown (all of these are one source).
    """

    at: datetime
    session: str
    user: str
    source: int


@dataclass(frozen=True)
class IncidentState:
    """What was decided about an incident; the rest of its row is computed from its detections."""

    status: Status = "draft"
    resolved_at: datetime | None = None
    suppressed_from: Status | None = None
    suppressed_until: datetime | None = None
    suppressed_sessions: int | None = None
    generation: int = 0
    fix_version: str = ""
    fix_environment: str = ""
    fix_next: bool = False

    @property
    def fix(self) -> Fix:
        """Where it was fixed, as far as it is known."""
        return Fix(self.fix_version, self.fix_environment, self.fix_next)


@dataclass(frozen=True)
class Evidence:
    """The live detections that can change an incident's status.

    ``sessions``: affected sessions, at most ``ConfirmRule.per_source`` of each source. ``sightings`` (in any order, as the
    others): all that count, for a draft or an incident that would become one again. ``since_fix``: those of sessions that
    STARTED, and were received, after ``IncidentState.resolved_at``, in a version and environment that can show the fix not to
    hold (``fixes.choose_showing_versions``). ``fix_versions``: their versions. ``since_until``: those received at or after
    ``IncidentState.suppressed_until``.
    """

    sessions: int
    since_fix: Sequence[Sighting] = field(default=())
    since_until: Sequence[Sighting] = field(default=())
    sightings: Sequence[Sighting] = field(default=())
    fix_versions: Sequence[str] = field(default=())


@dataclass(frozen=True)
class HistoryChange:
    """One row of the history: who moved the incident, from which status to which, and the reason."""

    actor: str
    before: Status | None
    after: Status
    reason: str


def list_allowed_actions(status: Status, held: bool = False) -> tuple[Action, ...]:
    """The actions that a person may take in this status. A ``held`` incident can be confirmed once more."""
    actions = tuple(action for (before, action) in TRANSITIONS if before == status)
    return ("confirm", *actions) if held and status in EXPORTABLE else actions


def confirm_held_incident(state: IncidentState, reason: str, actor: str) -> HistoryChange:
    """The change for an incident that is confirmed already and held back in a flood. Its status stays."""
    return HistoryChange(actor, state.status, state.status, f"released from the flood: {reason}")


def apply_action(
    state: IncidentState,
    action: Action,
    reason: str,
    actor: str,
    *,
    now: datetime,
    sessions: int = 0,
    until: datetime | None = None,
    more_sessions: int | None = None,
    fix: Fix = NO_FIX,
) -> tuple[IncidentState, HistoryChange]:
    """Apply a person's ``action``.

    ``now``: the time of the fix, for "resolve"; ``fix``: where it is. "suppress" ends when the detections received at or
    after ``until`` satisfy the confirm rule, or after ``more_sessions`` beyond the current ``sessions``; without both it does
    not end. Raises IllegalTransition.
    """
    after = TRANSITIONS.get((state.status, action))
    if after is None:
        may = ", ".join(list_allowed_actions(state.status)) or "nothing"
        raise IllegalTransition(f"an incident that is {state.status} cannot {action}; it may: {may}")
    change = HistoryChange(actor, state.status, after, reason)
    if action == "resolve":
        change = replace(change, reason=f"fixed in {fix}: {reason}") if str(fix) else change
        return replace_fix(replace(state, status=after, resolved_at=now), fix), change
    if action == "suppress":
        threshold = None if more_sessions is None else sessions + more_sessions
        return _suppress_state(state, until, threshold), change
    if state.status == "resolved":
        # "Reopen" revokes the fix: the ticket must be updated.
        reopened = replace(state, status=after, resolved_at=None, generation=state.generation + 1)
        return replace_fix(reopened, NO_FIX), change
    return _unsuppress_state(state, after), change


def replace_fix(state: IncidentState, fix: Fix) -> IncidentState:
    """The state with another place of the fix."""
    return replace(state, fix_version=fix.version, fix_environment=fix.environment, fix_next=fix.next_release)


def apply_rules(
    state: IncidentState, evidence: Evidence, rule: ConfirmRule
) -> tuple[IncidentState, list[HistoryChange]]:
    """Apply the rules until the status no longer changes (at most: unsuppressed, then regressed or confirmed)."""
    changes: list[HistoryChange] = []
    while (move := _find_next_move(state, evidence, rule)) is not None:
        moved, reason = move
        changes.append(HistoryChange(RULE, state.status, moved.status, reason))
        state = moved
    return state, changes


def _find_next_move(state: IncidentState, evidence: Evidence, rule: ConfirmRule) -> tuple[IncidentState, str] | None:
    if state.status == "draft":
        reason = find_confirm_reason(rule, evidence.sightings)
        return (replace(state, status="confirmed"), reason) if reason else None
    if state.status == "resolved" and state.resolved_at is not None:
        seen = find_confirm_reason(rule, evidence.since_fix)
        reason = _describe_regression(state.fix, _format_utc_minute(state.resolved_at), evidence, seen)
        return (replace(state, status="regressed", generation=state.generation + 1), reason) if seen else None
    if state.status == "suppressed":
        reason = _find_unsuppress_reason(state, evidence, rule)
        return (_unsuppress_state(state, state.suppressed_from or "draft"), reason) if reason else None
    return None


def _describe_regression(fix: Fix, fixed_at: str, evidence: Evidence, seen: str) -> str:
    if not str(fix):
        return f"came back: {seen}, started after the fix of {fixed_at}"
    versions = sorted({version[:_REASON_LENGTH] for version in evidence.fix_versions if version})
    more = f" and {len(versions) - _REASON_VERSIONS} more versions" if len(versions) > _REASON_VERSIONS else ""
    named = f" in {', '.join(versions[:_REASON_VERSIONS])}{more}" if versions else ""
    sessions = _format_count(len({sighting.session for sighting in evidence.since_fix}), "session")
    sources = _format_count(len({sighting.source for sighting in evidence.since_fix}), "source")
    return f"came back{named}: {sessions} of {sources} since {fixed_at}, fixed in {fix}; {seen}"


def _suppress_state(state: IncidentState, until: datetime | None, threshold: int | None) -> IncidentState:
    return replace(
        state,
        status="suppressed",
        suppressed_from=state.status,
        suppressed_until=until,
        suppressed_sessions=threshold,
    )


def _unsuppress_state(state: IncidentState, after: Status) -> IncidentState:
    return replace(state, status=after, suppressed_from=None, suppressed_until=None, suppressed_sessions=None)


def _find_unsuppress_reason(state: IncidentState, evidence: Evidence, rule: ConfirmRule) -> str:
    if state.suppressed_until is not None and (seen := find_confirm_reason(rule, evidence.since_until)):
        return f"suppressed until {_format_utc_minute(state.suppressed_until)}, since then: {seen}"
    if state.suppressed_sessions is not None and evidence.sessions >= state.suppressed_sessions:
        return f"suppressed until {state.suppressed_sessions} sessions: {evidence.sessions} affected now"
    return ""


@dataclass(frozen=True)
class OpenDraft:
    """How far an incident rests on sessions that go on.

    ``only_open``: no complete session has shown it so far. ``opened``: enough open sessions showed it while it was a draft.
    ``withdrawn``: it rested on open sessions, and none of them shows it any more.
    """

    only_open: bool = False
    opened: bool = False
    withdrawn: bool = False


def judge_open_draft(
    draft: OpenDraft, status: Status, rule: ConfirmRule, *, complete: bool, sessions: int, counted: int
) -> tuple[OpenDraft, list[HistoryChange]]:
    """What open sessions make of an incident, and the history of it.

    ``complete``: a complete session shows it. ``sessions``: open sessions that show it now; ``counted``: those of them that
    count. A draft that rested on open sessions alone is withdrawn when none is left. It returns when a complete session, or
    enough open ones, show it.
    """
    enough = 0 < rule.open_sessions <= counted
    only_open = draft.only_open and not complete
    withdrawn = only_open and status == "draft" and (not enough if draft.withdrawn else not sessions)
    opened = (draft.opened and not withdrawn) or (enough and status == "draft")
    changes = []
    if withdrawn and not draft.withdrawn:
        changes.append(HistoryChange(RULE, status, status, "withdrawn: no session shows it any more"))
    elif draft.withdrawn and not withdrawn and status == "draft":
        what = "a complete session shows it" if complete else f"{_format_count(sessions, 'open session')} show it"
        changes.append(HistoryChange(RULE, status, status, f"no longer withdrawn: {what}"))
    return OpenDraft(only_open, opened, withdrawn), changes


def find_confirm_reason(rule: ConfirmRule, sightings: Sequence[Sighting]) -> str:
    """The reason why ``sightings`` satisfy ``rule``; '' when they do not.

    Any window of ``window_days`` of receipt counts, not only the last one: so the result does not depend on whether old and
    new sessions were analysed in one batch or in two.
    """
    days = f"within {rule.window_days:g} days"
    for seen in _count_in_windows(sightings, timedelta(days=rule.window_days), rule.per_source):
        if seen.sessions >= rule.min_sessions:
            return f"{_format_count(seen.sessions, 'session')} {days} (the rule asks for {rule.min_sessions})"
        if seen.users >= rule.min_users:
            return f"{_format_count(seen.users, 'user')} {days} (the rule asks for {rule.min_users})"
    return ""


class _WindowCounts(NamedTuple):
    """The counts of one window."""

    sessions: int
    users: int


def _count_in_windows(sightings: Sequence[Sighting], width: timedelta, per_source: int) -> Iterator[_WindowCounts]:
    """The counts of the window that ends with each sighting (both ends included)."""
    ordered = sorted(sightings)
    sessions: Counter[tuple[int, str]] = Counter()
    of_source: Counter[int] = Counter()  # distinct sessions
    users: Counter[str] = Counter()
    claimants: Counter[int] = Counter()  # sources that sent a user
    oldest = counted = 0

    def count_sighting(sighting: Sighting, amount: int) -> int:
        """Add or remove a sighting. Returns the change of the number of counted sessions."""
        before = min(of_source[sighting.source], per_source)
        change = _add_to_counter(sessions, (sighting.source, sighting.session), amount)
        _add_to_counter(of_source, sighting.source, change)
        if sighting.user:
            _add_to_counter(users, sighting.user, amount)
            _add_to_counter(claimants, sighting.source, amount)
        return min(of_source[sighting.source], per_source) - before

    for newest in ordered:
        counted += count_sighting(newest, 1)
        while newest.at - ordered[oldest].at > width:
            counted += count_sighting(ordered[oldest], -1)
            oldest += 1
        yield _WindowCounts(counted, min(len(users), len(claimants)))


_Key = TypeVar("_Key")


def _add_to_counter(counter: Counter[_Key], key: _Key, amount: int) -> int:
    """Change a count. Returns the change of the number of distinct keys."""
    before = key in counter
    if amount:
        counter[key] += amount
    if not counter[key]:
        del counter[key]
    return (key in counter) - before


# Severity by impact (what the failure did to the majority) and number of sessions. Each row: minimum sessions → severity; the
# last row is for fewer. A column to the right is never more severe for the same number. "A failure that ends a
# flow outranks a rejection that is overcome; more sessions outrank fewer" (incidents-and-tickets.md).
Impact = Literal["ended", "open", "overcome"]
SEVERITIES: dict[Impact, tuple[tuple[int, Severity], ...]] = {
    "ended": ((50, "Critical"), (5, "High"), (0, "Medium")),
    "open": ((200, "Critical"), (50, "High"), (10, "Medium"), (0, "Low")),
    "overcome": ((500, "High"), (100, "Medium"), (0, "Low")),
}

# Priority = severity, one step lower when the median confidence (score / 100; High starts at 0.8) is below this.
CERTAIN = 0.9
PRIORITIES: dict[Severity, tuple[str, str]] = {
    "Critical": ("P0", "P1"),
    "High": ("P1", "P2"),
    "Medium": ("P2", "P3"),
    "Low": ("P3", "P4"),
}


def classify_impact(sessions: int, ended: int, overcome: int) -> Impact:
    """The effect of the failure on at least half of the ``sessions``: it ended their flow, was overcome later, or neither."""
    if ended * 2 >= sessions:
        return "ended"
    return "overcome" if overcome * 2 >= sessions else "open"


def look_up_severity(impact: Impact, sessions: int) -> Severity:
    """The severity for an impact and a number of sessions."""
    return next(severity for least, severity in SEVERITIES[impact] if sessions >= least)


def look_up_priority(severity: Severity, confidence: float) -> str:
    """P0 (at once) to P4; ``confidence`` is that of the median session, 0–1."""
    certain, less_certain = PRIORITIES[severity]
    return certain if confidence >= CERTAIN else less_certain


_REASON_LENGTH, _REASON_VERSIONS = 60, 3
_LABEL_LENGTH = 60


def format_incident_title(
    feedback: str, target: str, label: str, route: str, sessions: int, impact: Impact, still_open: bool = False
) -> str:
    """The title: what fails, where, for how many: ``POST /api/orders → 500 on "Pay now" (/checkout): 37 sessions blocked``.

    ``still_open``: these sessions go on, and no complete one shows it.
    """
    what = feedback or "Failure"
    if label:
        short = label if len(label) <= _LABEL_LENGTH else label[: _LABEL_LENGTH - 1] + "…"
        what += f' on "{short}"'
    elif target:
        what += f" on {target}"
    where = f" ({route})" if route else ""
    how = "blocked" if impact == "ended" else "affected"
    return f"{what}{where}: {_format_count(sessions, 'open session' if still_open else 'session')} {how}"


def _format_count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _format_utc_minute(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
