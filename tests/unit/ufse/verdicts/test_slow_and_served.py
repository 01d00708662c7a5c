"""Slow and then served is served (docs/decisions/0065)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, event, go, submit
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections, fields, pair_with_collectors

EXPORT = {"target_type": "button", "target_id": "export", "target_label": "Export"}


def ck(t: float, target: Row = EXPORT, route: str = "/reports", **values: object) -> Row:
    return click(t, target, route, **values)


def an(t: float, status: int, took: float, url: str = "/api/export", method: str = "POST", **values: object) -> Row:
    return answer(t, status, took, url, method, **{"route": "/reports", **values})


CALM: dict[str, list[Row]] = {
    "rage during one wait, served": [go(0, "/reports"), *[ck(5 + 0.4 * i) for i in range(6)], an(20, 200, 14.95)],
    "each click own request, all served at end": [
        go(0, "/reports"),
        *[ck(5 + 2 * i) for i in range(6)],
        *[an(25 + 0.1 * i, 200, 19.95 - 2 * i + 0.1 * i) for i in range(6)],
    ],
    "same + left afterwards": [
        go(0, "/reports"),
        *fields(3, "/reports"),
        *[ck(15 + 2 * i) for i in range(6)],
        *[an(35 + 0.1 * i, 200, 19.95 - 2 * i + 0.1 * i) for i in range(6)],
        go(40, "/reports/7", "push"),
        go(55, "/home"),
    ],
    "rage fast own requests served": [
        go(0, "/reports"),
        *[ck(5 + 0.5 * i) for i in range(6)],
        *[an(15 + 0.1 * i, 200, 9.95 - 0.5 * i + 0.1 * i) for i in range(6)],
    ],
    "rage fast, 1st slow others aborted": [
        go(0, "/reports"),
        *[ck(5 + 0.5 * i) for i in range(6)],
        *[an(5.5 + 0.5 * i, 0, 0.5, aborted=1) for i in range(5)],
        an(18, 200, 10.5),
    ],
    "submit slow 8 clicks served nav": [
        go(0, "/checkout"),
        *fields(4),
        submit(15),
        *[click(18 + 1.5 * i) for i in range(5)],
        answer(33, 201, 17.9),
        go(33.2, "/thanks", "push"),
    ],
    "slow page load reload thrice then loads": [
        go(0, "/reports"),
        go(8, "/reports", "reload"),
        go(16, "/reports", "reload"),
        go(24, "/reports", "reload"),
        event(30, "performance", "/reports", perf_kind="page_load", duration_ms=6000),
        ck(45),
        an(45.4, 200, 0.3),
        go(50, "/home"),
    ],
    "slow_response perf served": [
        go(0, "/reports"),
        *[ck(5 + 0.5 * i) for i in range(6)],
        an(18, 200, 12.9),
        event(18.01, "performance", "/reports", perf_kind="slow_response", duration_ms=12900),
    ],
    "spinner loading rage served": [
        go(0, "/reports"),
        ck(5),
        event(5.1, "loading", "/reports", state="start"),
        *[ck(7 + 0.5 * i) for i in range(5)],
        event(18, "loading", "/reports", state="end"),
        an(18, 200, 12.9),
    ],
    "frozen: long task, clicks, served": [
        go(0, "/reports"),
        *[ck(5 + 0.5 * i) for i in range(6)],
        event(12, "performance", "/reports", perf_kind="long_task", duration_ms=6900),
        an(12.5, 200, 0.4),
    ],
    "frozen: long task, many clicks, each served after": [
        go(0, "/reports"),
        *[ck(5 + 0.5 * i, responded=0) for i in range(6)],
        event(12, "performance", "/reports", perf_kind="long_task", duration_ms=6900),
        *[an(12.5 + 0.2 * i, 200, 0.3) for i in range(6)],
    ],
}
STRUGGLES: dict[str, list[Row]] = {
    "left before answer": [
        go(0, "/reports"),
        *fields(3, "/reports"),
        ck(15),
        *[ck(18 + 0.5 * i) for i in range(5)],
        an(30, 0, 14.9, aborted=1),
        go(30, "/home"),
    ],
    "never came": [
        go(0, "/reports"),
        *fields(3, "/reports"),
        ck(15),
        *[ck(18 + 0.5 * i) for i in range(5)],
        ck(40),
        ck(60),
        an(75, 0, 59.9),
    ],
    "wait repeated after each answer": [
        go(0, "/reports"),
        *[
            x
            for k in range(4)
            for x in (ck(5 + 25 * k), *[ck(8 + 25 * k + 0.5 * i) for i in range(4)], an(24 + 25 * k, 200, 18.9))
        ],
        go(110, "/home"),
    ],
    "slow 504 again": [
        go(0, "/reports"),
        ck(5),
        an(25, 504, 19.9),
        ck(30),
        an(50, 504, 19.9),
        ck(55),
        an(75, 504, 19.9),
    ],
    "rage on slow then other failure": [go(0, "/reports"), *[ck(5 + 0.4 * i) for i in range(5)], an(12, 500, 6.9)],
}
NOT_SEEN_TO_FAIL = (
    ("left before answer", "no durations"),
    ("never came", "no durations"),
    ("wait repeated after each answer", "failures only"),
    ("wait repeated after each answer", "no durations"),
    ("slow 504 again", "no durations"),
)
"""What these collectors report is not enough for a detection."""


def waiting(*after: Row, clicks: int = 5, end: float | None = 18) -> list[Row]:
    """A spinner from 5.1 s to ``end``, pressed at in vain, and nothing told of the request: a document is loaded."""
    presses = [ck(7 + 0.4 * i, responded=0) for i in range(clicks)]
    phase = [event(5.1, "loading", "/reports", state="start")]
    phase += [] if end is None else [event(end, "loading", "/reports", state="end")]
    return [go(0, "/reports"), *fields(1, "/reports"), ck(5), *phase, *presses, *after]


LED_ON: dict[str, list[Row]] = {
    "to a page": waiting(go(18.5, "/reports/made", "link"), ck(25, route="/reports/made")),
    "to a page that is told late": waiting(go(19.9, "/reports/made", "link")),
    "to a page that is told before the phase ends": waiting(go(17.6, "/reports/made", "push")),
    "to the same page": waiting(go(18.5, "/reports", "link")),
    "with a press at the last moment": waiting(ck(17.9), go(18.5, "/reports/made", "link")),
    "after a long wait": waiting(go(41, "/reports/made", "link"), end=40.5),
}
NOT_LED_ON: dict[str, list[Row]] = {
    "nothing came": waiting(go(50, "/home", "link")),
    "they left by another control": waiting(ck(18.2, {"target_type": "link", "target_id": "home"}), go(18.4, "/home")),
    "they went back": waiting(go(18.5, "/home", "back_forward")),
    "they loaded it again": waiting(go(18.5, "/reports", "reload"), go(22, "/home", "link")),
    "they left during it": waiting(go(12, "/home", "link"), end=None),
    "to an error page": waiting(go(18.5, "/error", "link")),
}


@pytest.mark.parametrize("scene", LED_ON)
def test_a_loading_phase_that_leads_on_is_served(scene: str) -> None:
    assert count_detections(LED_ON[scene]) == 0


@pytest.mark.parametrize("scene", NOT_LED_ON)
def test_a_loading_phase_that_leads_nowhere_is_a_failure(scene: str) -> None:
    assert count_detections(NOT_LED_ON[scene]) > 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(CALM))
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(STRUGGLES, *NOT_SEEN_TO_FAIL))
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0
