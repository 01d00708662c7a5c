"""A store that looks like a shop on a Saturday: incidents of many kinds, versions, tickets and near misses."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from incidents.impact import BucketCount
from incidents.incident import Incident
from incidents.lifecycle import ConfirmRule
from stores.incidents.incident_reach import IncidentStep, compute_incident_code
from stores.incidents.incident_store import AnalysedSession, Cursor, IncidentQuery, IncidentStore, TouchedSession
from tests.integration.incident_store_cases import detection, iso


class Problem(NamedTuple):
    """A failure point, and how many sessions it has."""

    key: str
    route: str
    feedback: str
    label: str
    target: str
    sessions: int


PROBLEMS = (
    Problem("payment", "/checkout/payment", "POST /api/payments → 500", "Pay now", "button#pay", 24),
    Problem("login", "/login", "POST /api/session → 503", "Sign in", "button#login", 36),
    Problem("save", "/settings/profile", "TypeError: undefined is not a function", "Save changes", "button#save", 15),
    Problem("search", "/search", "GET /api/search → 504", "Search", "input#q", 9),
    Problem("upload", "/documents/:id", "POST /api/files → 413", "Upload", "button#upload", 6),
    Problem("remove", "/teams/:id/members", "DELETE /api/members/:id → 409", "Remove member", "button.remove", 3),
    Problem("export", "/reports", "GET /api/export → timed out", "Export as CSV", "a#export", 8),
    Problem("menu", "/", "no reaction", "Open menu", "button.menu", 2),
)
_DAY_MS = 86_400_000
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
)


def fill_scene(store: IncidentStore) -> None:
    """Record the problems, decide about some, file some tickets."""
    chance = random.Random(3)
    now = datetime.now(UTC)
    for problem in PROBLEMS:
        for n in range(problem.sessions):
            at = now - timedelta(days=chance.random() ** 2 * 20, minutes=5)
            version = chance.choice(["2.4.1", "2.5.0"]) if at > now - timedelta(days=6) else "2.4.1"
            found = _build_session(problem, n, at, version, chance)
            record_session(store, found, _build_near_misses(problem, found, at) if n == 0 else ())
    listed = store.incidents.list_incidents(IncidentQuery(project="shop", sort="-affectedSessions")).incidents
    ids = [incident["incidentId"] for incident in listed]
    for id_ in ids[:2]:
        store.outbox.claim_incidents("jira", limit=1, min_score=70, only=[id_])
    store.outbox.record_filed_ticket(ids[0], "jira", "SHOP-41", "https://jira.example/browse/SHOP-41")
    store.outbox.record_failed_export(ids[1], "jira", "Jira answered 400: customfield_10010 is required", None)
    store.ledger.apply_action(ids[4], "resolve", "fixed in 2.5.0", "Ann")
    for incident in listed:
        count_reach(store, incident, now)


def count_reach(store: IncidentStore, incident: Incident, now: datetime) -> None:
    """The sessions that reached the step of an incident, as counted today: a newer version has fewer of them."""
    id_, code = incident["incidentId"], compute_incident_code(incident["incidentId"])
    day_ms = round(now.timestamp() * 1000) // _DAY_MS * _DAY_MS
    hits = incident["sessionsBy"]["appVersions"]
    shares = {version: (hit * (12 if version == "2.5.0" else 40) + 7, hit) for version, hit in hits.items()}
    rows = [
        BucketCount(code, day_ms, True, False, "appVersions", name, reached, hit)
        for name, (reached, hit) in shares.items()
    ]
    whole = [sum(part) for part in zip(*shares.values(), strict=True)]
    rows.append(BucketCount(code, day_ms, True, False, "", "", *whole))
    with store.reach.open_count(now) as count:
        assert count is not None
        count.set_steps([IncidentStep(id_, code, code, None, "control")])
        count.replace_counts({code: id_}, rows, None, [day_ms])


def record_session(store: IncidentStore, found: dict[str, Any], silences: tuple[Any, ...] = ()) -> None:
    """Record the analysis of one session."""
    received = round(datetime.fromisoformat(found["timestamp"]).timestamp() * 1000)
    touched = TouchedSession("shop", found["sessionId"], abs(hash(found["sessionId"])), 0, received)
    store.queue.enqueue_sessions([touched], Cursor())
    (waiting,) = [one for one in store.queue.find_due_sessions(1, 1000) if one.session_id == found["sessionId"]]
    store.ledger.record_detections([AnalysedSession(waiting, (found,), 1, silences=silences)], ConfirmRule(3, 99))


def _build_session(problem: Problem, n: int, at: datetime, version: str, chance: random.Random) -> dict[str, Any]:
    def moment(milliseconds: int) -> str:
        return iso(at + timedelta(milliseconds=milliseconds))

    clicked, failed = f"clicked “{problem.label}”", problem.feedback
    events = (
        ("navigation", -6200, f"opened {problem.route}"),
        *(("click", at_ms, clicked) for at_ms in (0, 1150, 1900, 2100)),
        *(("network", at_ms, failed) for at_ms in (310, 1430, 2600)),
        ("error", 2650, "error: Cannot read properties of undefined"),
        ("navigation", 9000, "left for /help"),
    )
    common = {"route": problem.route, "target": problem.target}
    found = detection(
        f"s-{problem.key}-{n}", problem.key, at=at, user=f"u{n}", score=chance.randint(82, 98),
        failurePoint={**common, "feedback": problem.feedback},
        primaryFailurePoint=f"{problem.route} › {problem.target} › {problem.feedback}",
        explanation=f"4 clicks on “{problem.label}” within 2.1 s; 3 were answered with {problem.feedback}; "
        "the visitor left the page 6 s later.",
        points=[
            {"rule": "rage on the failing control", "points": 35},
            {"rule": "the request of the click failed", "points": 30},
            {"rule": "three failures of one action", "points": 15},
            {"rule": "the flow ended there", "points": 12},
            {"rule": "the control reacted at first", "points": -4},
        ],
        timeline=[
            {"eventId": f"e{i}", "at": moment(offset), "offsetMs": offset, "eventType": kind, "text": text, **common}
            for i, (kind, offset, text) in enumerate(sorted(events, key=lambda event: event[1]))
        ],
        triggeringSignals=[
            {"type": "rage", "start": moment(0), "end": moment(2100), "count": 4, "text": "4 clicks in 2.1 s",
             "eventIds": ["e1"], **common},
            {"type": "feedback", "start": moment(310), "end": moment(2600), "count": 3, "text": "3 failed requests",
             "eventIds": ["e2", "e4", "e7"], **common},
        ],
        endedFlow=chance.random() < 0.7,
    )  # fmt: skip
    context = {"label": problem.label, "appVersion": version, "userAgent": chance.choice(_AGENTS), "truncated": False}
    return {**found, "context": {**found["context"], **context}}


def _build_near_misses(problem: Problem, found: dict[str, Any], at: datetime) -> tuple[dict[str, Any], ...]:
    texts = (
        ("succeeded_later", "the same action succeeded 3.2 s later", 54),
        ("one_try", "one failure, no other try", None),
    )
    point = found["primaryFailurePoint"]
    return tuple(
        {
            "projectId": "shop",
            "sessionId": found["sessionId"],
            "visitId": f"{problem.key}-{rule}",
            "visitStart": iso(at),
            "rule": rule,
            "text": text,
            "candidates": [{"failurePoint": point, "rule": rule, "text": text, "score": score}],
        }
        for rule, text, score in texts
    )
