"""An incident as the store's detail JSON, for the tests of tickets."""

from typing import Any


def incident(**changes: Any) -> dict[str, Any]:
    """A confirmed incident of 37 sessions with one example."""
    clicks = [
        {"at": "2024-01-15T10:00:00.000Z", "offsetMs": offset, "eventType": "click", "route": "/checkout",
         "target": "button#pay", "text": 'clicked button#pay "Pay now"'}
        for offset in (1_400, 1_900, 2_300)
    ]  # fmt: skip
    timeline = [
        {"offsetMs": 0, "eventType": "navigation", "route": "/checkout", "target": "", "text": "opened the page"},
        *clicks,
        {
            "offsetMs": 2_600,
            "eventType": "network",
            "route": "/checkout",
            "target": "",
            "text": "POST /api/orders → 500",
        },
    ]
    return {
        "incidentId": "inc_0123456789abcdef0123456789abcdef",
        "projectId": "shop",
        "fingerprint": "0123456789abcdef0123456789abcdef",
        "title": 'POST /api/orders → 500 on "Pay now" (/checkout): 37 sessions blocked',
        "status": "confirmed",
        "severity": "High",
        "severityType": "Bug",
        "priority": "P1",
        "failurePoint": {"route": "/checkout", "target": "button#pay", "feedback": "POST /api/orders → 500"},
        "primaryFailurePoint": "/checkout › button#pay › POST /api/orders → 500",
        "label": "Pay now",
        "firstSeen": "2024-01-15T10:00:00.000Z",
        "lastSeen": "2024-01-16T18:30:00.000Z",
        "affectedSessions": 37,
        "affectedUsers": 31,
        "endedSessions": 30,
        "overcomeSessions": 2,
        "reached": None,
        "impact": None,
        "highestScore": 97,
        "medianScore": 91.5,
        "signals": {"feedback": 37, "rage": 20},
        "appVersions": ["2.4.1"],
        "browsers": ["Chrome 126 on Windows"],
        "environments": ["production"],
        "sessionsBy": {"appVersions": {"2.4.1": 37}, "browsers": {"Chrome 126 on Windows": 20}, "environments": {}},
        "examples": [
            {
                "detectionId": "d1",
                "sessionId": "session-1",
                "visitId": "v1",
                "timestamp": "2024-01-15T10:00:00.000Z",
                "score": 97,
                "explanation": "3 clicks on button#pay within 0.9 s, answered by POST /api/orders → 500.",
                "points": [{"rule": "rage on the failing control", "points": 35}],
                "triggeringSignals": [],
                "timeline": timeline,
            }
        ],
        "history": [{"at": "2024-01-15T10:05:00.000Z", "actor": "rule", "from": None, "to": "draft", "reason": "seen"}],
        **changes,
    }
