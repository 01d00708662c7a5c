"""A collector that reports no request at all shows a success as a later try without an error (detection.md, decision 61)."""

import pytest

from tests.unit.ufse.scene import Row, bodies, click, end, error, go, submit, typed

RUN = {"target_type": "button", "target_id": "run-report", "target_label": "Run report"}
PAGE = "/reports"
CRASH = "RangeError: Invalid array length"


def crashed(*times: float) -> list[Row]:
    return [row for t in times for row in (click(t, RUN, PAGE), error(t + 0.05, CRASH, route=PAGE))]


def invalid(*times: float) -> list[Row]:
    return [row for t in times for row in (typed(t - 2, PAGE), submit(t, PAGE, valid=0))]


BEFORE = [go(0, "/home"), click(2, {"target_type": "link", "target_label": "Reports"}, "/home"), go(2.3, PAGE, "push")]
AFTER = [click(60, {"target_type": "link", "target_label": "Home"}, PAGE), go(60.4, "/home", "push"), end(90, "/home")]

CALM: dict[str, list[Row]] = {
    "the last try is the last event: unknown": [*BEFORE, *crashed(10, 14, 18), click(25, RUN, PAGE)],
    "runs after a reload": [*BEFORE, *crashed(10, 12, 14), go(18, PAGE, "reload"), click(25, RUN, PAGE), *AFTER],
    "runs at the fourth try": [*BEFORE, *crashed(10, 14, 18), click(25, RUN, PAGE), *AFTER],
    "the corrected form": [*BEFORE, *invalid(10, 16, 22), typed(28, PAGE), submit(30, PAGE, valid=1), *AFTER],
}
FRUSTRATED: dict[str, list[Row]] = {
    "never runs": [*BEFORE, *crashed(10, 14, 18, 25), *AFTER],
    "never runs, not after a reload either": [
        *BEFORE,
        *crashed(10, 12, 14),
        go(18, PAGE, "reload"),
        *crashed(25),
        *AFTER,
    ],
    "an angry burst is no success": [
        *BEFORE,
        *crashed(10, 14, 18),
        *[click(25 + 0.3 * i, RUN, PAGE) for i in range(5)],
        *AFTER,
    ],
    "the last try is not waited for": [*BEFORE, *crashed(10, 14, 18), click(25, RUN, PAGE), end(26, PAGE)],
    "other requests are reported": [
        *BEFORE,
        {**go(5, PAGE), "event_type": "network", "status": 200, "url": "/api/me", "method": "GET", "duration_ms": 90},
        *crashed(10, 14, 18),
        click(25, RUN, PAGE),
        *AFTER,
    ],
}


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected(scene: str) -> None:
    assert len(bodies(FRUSTRATED[scene])) == 1
