"""When a session counts as complete (detection.md, Sessions)."""

import numpy as np
import pytest

from stores.events.event_store import TouchedSessions
from tasks.enqueue import ENDED_MS, SILENT_MS, UNATTENDED_MS, _queue_rows, compute_due_ms

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("last", "ended", "received", "due"),
    [
        (NOW, NOW, NOW + 200, NOW + 200 + ENDED_MS),  # ended: 15 s after it came in
        (NOW, 0, NOW + 200, NOW + SILENT_MS),  # live: 15 min of silence
        (NOW + 500, NOW, NOW + 900, NOW + 500 + SILENT_MS),  # something came after the end
        (NOW + 2, NOW, NOW + 200, NOW + 200 + ENDED_MS),  # a closed tab is reported as hidden after its end
        (NOW - 10**10, 0, NOW, NOW + ENDED_MS),  # history: its silence is long over
        (NOW + 3_000_000, 0, NOW, NOW + SILENT_MS),  # a fast clock does not keep it waiting
    ],
)
def test_due(last: int, ended: int, received: int, due: int) -> None:
    assert compute_due_ms(np.array([last]), np.array([ended]), np.array([received])).tolist() == [due]


@pytest.mark.parametrize(
    ("last", "acted", "ended", "received", "due"),
    [
        (NOW, NOW, 0, NOW + 200, NOW + SILENT_MS),  # the last event is an action
        (NOW, NOW - 60_000, 0, NOW + 200, NOW - 60_000 + SILENT_MS),  # a poll after it does not delay it
        (NOW, NOW - SILENT_MS, 0, NOW + 200, NOW + 200 + ENDED_MS),  # silent already
        (NOW + 2, 0, NOW, NOW + 200, NOW + 200 + ENDED_MS),  # hidden just after its end
        (NOW, 0, 0, NOW + 200, NOW + UNATTENDED_MS),  # nobody acted
        (NOW - 10**10, 0, 0, NOW, NOW + ENDED_MS),  # history without an action
        (NOW, 0, NOW, NOW + 200, NOW + 200 + ENDED_MS),  # the end of the session alone
    ],
)
def test_what_a_page_does_by_itself_keeps_no_session_waiting(
    last: int, acted: int, ended: int, received: int, due: int
) -> None:
    columns = [np.array([value]) for value in (last, acted, ended, received, received)]
    found = TouchedSessions(
        ["p"],
        ["s"],
        np.array([7], dtype=np.uint64),
        *columns,
        failed=np.array([False]),
        events=1,
        watermark_us=0,
        seen=(),
    )
    (queued,) = _queue_rows(found)
    assert (queued.due_ms, queued.delays) == (due, acted > 0)
