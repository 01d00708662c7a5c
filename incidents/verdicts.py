"""What people say of sessions of incidents, what their verdicts have in common, and which exceptions follow. Pure.

Nothing here decides: a proposal holds when a person accepted it, after its replay
(docs/contracts/incidents-and-tickets.md, Verdicts).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

# Pydantic reads typing's own TypedDict only from Python 3.12 on.
from typing_extensions import TypedDict

from ufse.exemptions import TRAFFIC_FIELDS, Exemption, identify_exemption

VerdictReason = Literal["known_slow", "expected_refusal", "test_traffic", "decorative_control", "other"]
ExemptionState = Literal["asked", "tried", "accepted", "rejected", "ended"]

REASONS: Final[Mapping[VerdictReason, str]] = {
    "known_slow": "known to be slow",
    "expected_refusal": "an expected refusal",
    "test_traffic": "test traffic",
    "decorative_control": "a decorative control",
    "other": "another reason",
}
"""The reasons for "no frustration", in words."""
AGREEING: Final = 3
"""Sessions that must agree before an exception is proposed: as many as make a draft trusted (the confirm rule)."""
KNOWN_SLOW_MS: Final = 30_000
"""Limit of a proposed slow request: gateways end a request after 30 s or less, so a longer wait is not how it usually is."""
MOST_TRAFFIC_SHARE: Final = 0.5
"""No environment or version that has more of the project's detections is proposed as test traffic: most users are in it."""
_ANSWER: Final = re.compile(r"((?:[A-Z]+ )?/.*) → (slow|[45][0-9][0-9])", re.DOTALL)


class VerdictRecord(TypedDict):
    """One person's verdict on a session of an incident, as the API and the pages' JSON show it."""

    incidentId: str
    sessionId: str
    detectionId: str
    frustrated: bool
    reason: VerdictReason | None
    text: str
    actor: str
    at: str
    engineVersion: str
    configHash: str


@dataclass(frozen=True)
class Verdict:
    """One person's verdict on a session of an incident, with the facts of the session's detection at that time."""

    project: str
    incident_id: str
    session_id: str
    actor: str
    detection_id: str
    frustrated: bool
    reason: VerdictReason | Literal[""]
    """'' when it was frustration."""
    note: str
    route: str
    target: str
    feedback: str
    signals: tuple[str, ...]
    rules: tuple[str, ...]
    environment: str
    app_version: str
    user_hash: str
    engine_version: str
    config_hash: str
    decided_at: datetime

    def to_json(self) -> VerdictRecord:
        """As the API shows it."""
        return {
            "incidentId": self.incident_id,
            "sessionId": self.session_id,
            "detectionId": self.detection_id,
            "frustrated": self.frustrated,
            "reason": self.reason or None,
            "text": self.note,
            "actor": self.actor,
            "at": self.decided_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "engineVersion": self.engine_version,
            "configHash": self.config_hash,
        }


@dataclass(frozen=True)
class Proposal:
    """An exception that ``sessions`` sessions speak for, and none against."""

    project: str
    exemption: Exemption
    sessions: int
    reason: VerdictReason

    @property
    def exemption_id(self) -> str:
        """The id under which the exception is kept, once somebody asks for its replay."""
        return identify_exemption(self.project, self.exemption)


def settle_sessions(verdicts: Iterable[Verdict]) -> tuple[list[Verdict], int]:
    """One verdict for each session of an incident, the newest, and how many sessions are disputed: people disagree about
    them, and they count for nothing.
    """
    found: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        found[verdict.incident_id, verdict.session_id].append(verdict)
    agreed = [own for own in found.values() if len({verdict.frustrated for verdict in own}) == 1]
    settled = [max(own, key=lambda verdict: (verdict.decided_at, verdict.actor)) for own in agreed]
    settled.sort(key=lambda verdict: (verdict.decided_at, verdict.incident_id, verdict.session_id), reverse=True)
    return settled, len(found) - len(agreed)


def count_common(settled: Iterable[Verdict]) -> dict[str, list[tuple[str, int]]]:
    """What the sessions without frustration have in common: by name of the fact, its values with their number of sessions,
    the most frequent first. Values of a single session are left out where there are several sessions.
    """
    calm = [verdict for verdict in settled if not verdict.frustrated]
    facts: Mapping[str, Callable[[Verdict], Iterable[str]]] = {
        "reason": lambda verdict: [REASONS[verdict.reason]] if verdict.reason else [],
        "control": lambda verdict: [verdict.target],
        "answer": lambda verdict: [verdict.feedback],
        "route": lambda verdict: [verdict.route],
        "signal": lambda verdict: verdict.signals,
        "rule": lambda verdict: verdict.rules,
        "environment": lambda verdict: [verdict.environment],
        "version": lambda verdict: [verdict.app_version],
    }
    least = 1 if len(calm) < 2 else 2
    common: dict[str, list[tuple[str, int]]] = {}
    for name, read in facts.items():
        counts = Counter(value for verdict in calm for value in set(read(verdict)) if value)
        shown = sorted(((value, n) for value, n in counts.items() if n >= least), key=lambda item: (-item[1], item[0]))
        if shown:
            common[name] = shown[:10]
    return common


def propose_exemptions(
    settled: Sequence[Verdict], shares: Mapping[tuple[str, str, str], float], least: int = AGREEING
) -> list[Proposal]:
    """The exceptions that at least ``least`` sessions without frustration agree on and no session with frustration contradicts.

    ``settled``: of ``settle_sessions``. ``shares``: by (project, field, value), the part of the project's detections that
    has the value; see MOST_TRAFFIC_SHARE. Ordered by sessions, then by text.
    """
    votes: dict[tuple[str, Exemption], list[Verdict]] = defaultdict(list)
    for verdict in settled:
        if not verdict.frustrated:
            for exemption in list_exemptions(verdict):
                votes[verdict.project, exemption].append(verdict)
    against = [verdict for verdict in settled if verdict.frustrated]
    found = []
    for (project, exemption), own in votes.items():
        share = shares.get((project, exemption.traffic_field, exemption.value), 0.0)
        opposed = any(verdict.project == project and _would_silence(exemption, verdict) for verdict in against)
        if len(own) >= least and not opposed and share <= MOST_TRAFFIC_SHARE:
            reason = own[0].reason or "other"
            found.append(Proposal(project, exemption, len(own), reason))
    return sorted(found, key=lambda proposal: (-proposal.sessions, proposal.project, proposal.exemption.describe()))


def split_answer(feedback: str) -> tuple[str, str]:
    """Request and result of a failure point's feedback: ``("POST /api/cart", "409")``; ('', '') where it names none."""
    matched = _ANSWER.fullmatch(feedback)
    return (matched[1], matched[2]) if matched else ("", "")


def list_exemptions(verdict: Verdict) -> Iterator[Exemption]:
    """The exceptions that the reason of a verdict speaks for."""
    endpoint, result = split_answer(verdict.feedback)
    try:
        if verdict.reason == "expected_refusal" and result.isdigit():
            yield Exemption("expected_answer", endpoint=endpoint, status=int(result))
        elif verdict.reason == "known_slow" and result == "slow":
            yield Exemption("known_slow", endpoint=endpoint, limit_ms=KNOWN_SLOW_MS)
        elif verdict.reason == "decorative_control" and verdict.target and verdict.route:
            yield Exemption("decorative_control", route=verdict.route, target=verdict.target)
        elif verdict.reason == "test_traffic":
            values = (verdict.environment, verdict.app_version, verdict.user_hash)
            for field, value in zip(TRAFFIC_FIELDS, values, strict=True):
                if value:
                    yield Exemption("test_traffic", traffic_field=field, value=value)
    except ValueError:
        return  # a text of a browser that no exception can hold: too long, or not printable


def _would_silence(exemption: Exemption, verdict: Verdict) -> bool:
    """Whether the exception speaks about the failure point or the sender of a session with frustration."""
    if exemption.kind == "test_traffic":
        return getattr(verdict, exemption.traffic_field) == exemption.value  # type: ignore[no-any-return]
    if exemption.kind == "decorative_control":
        same = (verdict.route, verdict.target) == (exemption.route, exemption.target)
        return same and "rage" in verdict.signals
    endpoint, result = split_answer(verdict.feedback)
    wanted = "slow" if exemption.kind == "known_slow" else str(exemption.status)
    return (endpoint, result) == (exemption.endpoint, wanted)


class IncidentTrial(TypedDict):
    """What a replay found for one incident. ``left``: sessions of it that no exception would silence, as they are stored."""

    incidentId: str
    title: str
    status: str
    silenced: int
    left: int
    below: bool
    """It is confirmed or regressed, and what is left would not confirm it."""


class TrialResult(TypedDict):
    """What a replay of stored sessions with an exception found. It names no session: sessions may be erased."""

    start: str
    end: str
    analysed: int
    """Sessions of the window that could hold a detection, analysed with and without the exception."""
    complete: bool
    """False: the replay ended at its limit of time, before the end of the window."""
    failed: int
    """Sessions over which the engine failed; they are in no count."""
    silenced: int
    """Sessions with at least one detection fewer."""
    appeared: int
    """Sessions with a detection that they do not have without the exception."""
    confirmedByPerson: int
    """Silenced sessions of which a person said that they were frustrated."""
    refutedByPerson: int
    """Silenced sessions of which people said only that they were not."""
    incidents: list[IncidentTrial]
    """At most 50, those with the most silenced sessions first."""
    incidentsBelow: int


class ExemptionEntry(TypedDict):
    """One line of an exception's history."""

    at: str
    actor: str
    state: ExemptionState
    reason: str


class ExemptionRecord(TypedDict):
    """An exception of a project as the API and the pages show it."""

    exceptionId: str
    projectId: str
    kind: str
    text: str
    """What it says, in words."""
    content: dict[str, str | int]
    state: ExemptionState
    actor: str
    """Who brought it into this state."""
    changedAt: str
    result: TrialResult | None
    history: list[ExemptionEntry]


ExemptionStep = Literal["accept", "reject", "end"]
STEPS: Final[Mapping[tuple[ExemptionState, ExemptionStep], ExemptionState]] = {
    ("tried", "accept"): "accepted",
    ("asked", "reject"): "rejected",
    ("tried", "reject"): "rejected",
    ("accepted", "end"): "ended",
}
"""What a person may do with an exception. It is accepted only after its replay."""
