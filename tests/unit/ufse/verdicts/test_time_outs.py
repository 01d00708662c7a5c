"""Time-outs without a duration belong to the press that waited for them (docs/decisions/0150)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, why
from tests.unit.ufse.verdicts.collectors import count_detections, report_whole_seconds

RUN = {"target_type": "button", "target_id": "run-report", "target_label": "Run"}
OTHER = {"target_type": "button", "target_id": "list-view", "target_label": "List"}
PAGE = "/reports"
OPEN = [go(0, PAGE)]
SERVED = [*OPEN, click(2, OTHER, PAGE), answer(2.4, 200, -0.001, "/api/list", "GET", route=PAGE)]


def late(t: float, status: int = 504) -> Row:
    return answer(t, status, -0.001, "/api/report", route=PAGE)


def tries(wait: float, status: int = 504, *, loading: Row | None = None, busy: int = 1) -> list[Row]:
    """Three presses, each answered ``wait`` s later; ``loading``: the control that three clicks 3 s after each found busy."""
    return [
        r
        for i in range(3)
        for r in (
            click(10 + (wait + 15) * i, RUN, PAGE),
            *(
                [click(13 + (wait + 15) * i + j / 4, loading, PAGE, loading=busy) for j in range(3)]
                if loading is not None
                else []
            ),
            late(10 + (wait + 15) * i + wait, status),
        )
    ]


FRUSTRATED: dict[str, list[Row]] = {
    "a gateway that gives up after 30 s": [*SERVED, *tries(30.2), end(200, PAGE)],
    "a gateway that gives up after 60 s": [*SERVED, *tries(60.1), end(280, PAGE)],
    "the request timed out on the way": [*SERVED, *tries(31, 408), end(200, PAGE)],
    "no success is reported, but the control shows that it waits": [*OPEN, *tries(25, loading=RUN), end(170, PAGE)],
    "it shows that it waits, and fails after 20 s": [*OPEN, *tries(20, 500, loading=RUN), end(170, PAGE)],
}
CALM: dict[str, list[Row]] = {
    "a failure that is no time-out": [*SERVED, *tries(40, 500), end(220, PAGE)],
    "later than any gateway": [*SERVED, *tries(80), end(340, PAGE)],
    "no success is reported": [*OPEN, *tries(25), end(170, PAGE)],
    "clicks that find nothing loading": [*OPEN, *tries(25, loading=RUN, busy=0), end(170, PAGE)],
    "something else was loading": [*OPEN, click(4, OTHER, PAGE, loading=1), *tries(25), end(170, PAGE)],
    "it also times out without a press": [*SERVED, late(6), *tries(30.2), end(200, PAGE)],
    "served at last": [*SERVED, *tries(30.2), click(150, RUN, PAGE), late(180.2, 200), end(260, PAGE)],
}


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected(scene: str) -> None:
    assert len(bodies(FRUSTRATED[scene])) == 1, why(FRUSTRATED[scene])


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_whole_seconds_hide_no_time_out(scene: str) -> None:
    assert count_detections(FRUSTRATED[scene], report_whole_seconds) == 1


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []
