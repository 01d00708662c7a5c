"""One failure and silence is not abandonment; a later visit of the client session may resolve it (docs/decisions/0064)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, event, go, submit
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections, field, fields, pair_with_collectors


def vis(t: float, route: str = "/checkout") -> Row:
    return event(t, "visibility", route, state="hidden")


CALM: dict[str, list[Row]] = {
    "single silent": [go(0, "/checkout"), *fields(4), submit(15), answer(15.6, 500, 0.5)],
    "single silent 2nd collector with polls": [
        go(0, "/checkout"),
        *fields(4),
        submit(15),
        answer(15.6, 500, 0.5),
        answer(30, 200, 0.1, "/api/poll", "GET"),
        answer(60, 200, 0.1, "/api/poll", "GET"),
    ],
    "click+submit silent": [go(0, "/checkout"), *fields(4), click(15), submit(15.01), answer(15.6, 500, 0.5)],
    "single 422 silent": [go(0, "/checkout"), *fields(4), submit(15), answer(15.6, 422, 0.5)],
    "single ended same instant": [go(0, "/checkout"), *fields(2), submit(15), answer(15.6, 500, 0.5), end(15.6)],
    "single 1 field ended": [go(0, "/checkout"), *fields(1), submit(15), answer(15.6, 500, 0.5), end(25)],
    "login 2 fields 401 ended": [
        go(0, "/login"),
        *fields(2, "/login"),
        submit(15, "/login"),
        answer(15.6, 401, 0.5, "/api/login", route="/login"),
        end(25, "/login"),
    ],
    "later visit ok": [
        go(0, "/checkout"),
        *fields(4),
        submit(15),
        answer(15.6, 500, 0.5),
        go(25, "/"),
        go(4000, "/checkout"),
        submit(4015),
        answer(4015.6, 201, 0.5),
        go(4016, "/thanks", "push"),
    ],
    "later visit ok other url ids": [
        go(0, "/orders/new"),
        *fields(4, "/orders/new"),
        submit(15, "/orders/new"),
        answer(15.6, 500, 0.5, "/api/orders", route="/orders/new"),
        submit(25, "/orders/new"),
        answer(25.6, 500, 0.5, "/api/orders", route="/orders/new"),
        end(30, "/orders/new"),
        go(4000, "/orders/new"),
        submit(4015, "/orders/new"),
        answer(4015.6, 201, 0.5, "/api/orders", route="/orders/new"),
    ],
}
CALM["one click, 504 after 20 s, ended"] = [
    go(0, "/checkout"),
    click(5),
    answer(25, 504, 19.9),
    end(31),
]
CALM["one page crash, hidden"] = [go(0, "/checkout"), click(5), answer(5.6, 500, 0.4), vis(20)]
STRUGGLES: dict[str, list[Row]] = {
    "login 4 fields 500 ended": [go(0, "/checkout"), *fields(4), submit(15), answer(15.6, 500, 0.5), end(25)],
    "4 fields 500 hidden": [go(0, "/checkout"), *fields(4), submit(15), answer(15.6, 500, 0.5), vis(25)],
    "4 fields 500 left": [go(0, "/checkout"), *fields(4), submit(15), answer(15.6, 500, 0.5), go(25, "/")],
    "4 fields 500 retyped silence": [
        go(0, "/checkout"),
        *fields(4),
        submit(15),
        answer(15.6, 500, 0.5),
        field(22, "f1"),
        field(26, "f2"),
    ],
    "2 tries silence": [
        go(0, "/checkout"),
        *fields(4),
        submit(15),
        answer(15.6, 500, 0.5),
        submit(25),
        answer(25.6, 500, 0.5),
    ],
    "later visit fails too": [
        go(0, "/checkout"),
        *fields(4),
        submit(15),
        answer(15.6, 500, 0.5),
        submit(22),
        answer(22.6, 500, 0.5),
        go(25, "/"),
        go(4000, "/checkout"),
        submit(4015),
        answer(4015.6, 500, 0.5),
        submit(4025),
        answer(4025.6, 500, 0.5),
        go(4030, "/"),
    ],
    "later visit other thing ok": [
        go(0, "/checkout"),
        *fields(4),
        submit(15),
        answer(15.6, 500, 0.5),
        submit(22),
        answer(22.6, 500, 0.5),
        go(25, "/"),
        go(4000, "/profile"),
        submit(4015, "/profile"),
        answer(4015.6, 200, 0.5, "/api/profile", "PUT", route="/profile"),
    ],
    "earlier visit ok, later fails": [
        go(0, "/checkout"),
        submit(15),
        answer(15.6, 201, 0.5),
        go(4000, "/checkout"),
        *fields(4, t=4001),
        submit(4015),
        answer(4015.6, 500, 0.5),
        submit(4022),
        answer(4022.6, 500, 0.5),
        go(4025, "/"),
    ],
}
NOT_SEEN_TO_WORK = (("later visit ok other url ids", "failures only"),)
"""What these collectors report does not show that it worked."""
NOT_SEEN_TO_FAIL = (
    ("login 4 fields 500 ended", "types only"),
    ("4 fields 500 hidden", "types only"),
    ("4 fields 500 left", "types only"),
    ("4 fields 500 retyped silence", "types only"),
)
"""What these collectors report is not enough for a detection."""


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(CALM, *NOT_SEEN_TO_WORK))
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(STRUGGLES, *NOT_SEEN_TO_FAIL))
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0
