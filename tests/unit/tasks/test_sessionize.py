"""When a session counts as complete (detection.md, Sessions)."""

import numpy as np
import pytest

from tasks.enqueue import ENDED_MS, SILENT_MS, compute_due_ms

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("last", "ended", "received", "due"),
    [
        (NOW, NOW, NOW + 200, NOW + 200 + ENDED_MS),  # ended: 15 s after it came in
        (NOW, 0, NOW + 200, NOW + SILENT_MS),  # live: 15 min of silence
        (NOW + 5, NOW, NOW + 200, NOW + 5 + SILENT_MS),  # something came after the end
        (NOW - 10**10, 0, NOW, NOW + ENDED_MS),  # history: its silence is long over
        (NOW + 3_000_000, 0, NOW, NOW + SILENT_MS),  # a fast clock does not keep it waiting
    ],
)
def test_due(last: int, ended: int, received: int, due: int) -> None:
    assert compute_due_ms(np.array([last]), np.array([ended]), np.array([received])).tolist() == [due]
