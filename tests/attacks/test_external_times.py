"""A detection that is made elsewhere names no time beyond an hour after its receipt."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.http_errors import ApiError
from collector.routes.external import DetectionSent, refuse_future_times

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECEIVED_MS = round(NOW.timestamp() * 1000)
LATER = (NOW + timedelta(hours=1, seconds=1)).isoformat()
SOON = (NOW + timedelta(minutes=59)).isoformat()


def sent(**changes: Any) -> DetectionSent:
    values = {"sessionId": "s", "projectId": "p", "frustrationScore": 90, "timestamp": NOW.isoformat()}
    return DetectionSent.model_validate({**values, "primaryFailurePoint": "/a › b › c", **changes})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("timestamp", {"timestamp": LATER}),
        ("lastSeen", {"lastSeen": LATER}),
        ("visitStart", {"visitStart": LATER}),
        ("triggeringSignals.0.start", {"triggeringSignals": [{"type": "rage", "start": LATER}]}),
        ("triggeringSignals.1.end", {"triggeringSignals": ["x", {"type": "rage", "end": LATER}]}),
        ("timeline.0.at", {"timeline": [{"eventId": "e", "at": LATER, "eventType": "click"}]}),
    ],
)
def test_a_time_beyond_the_hour_is_refused_by_its_name(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match=f"`incident.{name}` lies more than an hour after its receipt"):
        refuse_future_times(sent(**changes), RECEIVED_MS)


def test_clocks_may_be_fast_by_less() -> None:
    refuse_future_times(sent(timestamp=SOON, lastSeen=SOON), RECEIVED_MS)
