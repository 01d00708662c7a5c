"""Forms that are answered with a login or error page again and again (docs/decisions/0066)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, go, submit
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections, field, pair_with_collectors

LB = {"target_type": "button", "target_id": "signin", "target_label": "Sign in"}
SEND = {"target_type": "button", "target_id": "send", "target_label": "Send"}
Shown = tuple[tuple[str, str, float], ...]


def once(
    t: float,
    status: int = 302,
    back: Shown = (("/dashboard", "push", 1.2), ("/login", "replace", 1.6)),
    page: str = "/login",
    url: str = "/api/login",
    tg: Row = LB,
) -> list[Row]:
    return [
        field(t, "user", page),
        field(t + 3, "pass", page),
        click(t + 6, tg, page),
        submit(t + 6.01, page),
        answer(t + 6.9, status, 0.8, url, route=page),
        *[go(t + 6 + d, r, h) for r, h, d in back],
    ]


HOME = [go(0, "/"), answer(0.5, 200, 0.3, "/api/home", "GET", route="/"), go(4, "/login")]


CALM: dict[str, list[Row]] = {
    "got in at the third try": [
        *HOME,
        *once(6),
        *once(20),
        *once(35, 200, (("/dashboard", "push", 1.2),)),
        click(50, SEND, "/dashboard"),
        end(60, "/dashboard"),
    ],
    "twice only": [*HOME, *once(6), *once(20), end(40, "/login")],
    "login in three steps": [
        *HOME,
        *once(6, 200, (("/login/code", "push", 1.2),)),
        *once(20, 200, (("/login/device", "push", 1.2),), "/login/code", "/api/code"),
        *once(35, 200, (("/dashboard", "push", 1.2),), "/login/device", "/api/device"),
        end(60, "/dashboard"),
    ],
    "three accounts, logged out between": [
        *HOME,
        *[
            x
            for i in range(3)
            for x in (
                *once(6 + 40 * i, 200, (("/dashboard", "push", 1.2),)),
                click(30 + 40 * i, SEND, "/dashboard"),
                go(31 + 40 * i, "/login", "push"),
            )
        ],
        end(140, "/login"),
    ],
    "data entry: new item, list, new item": [
        *HOME,
        *[
            x
            for i in range(5)
            for x in (
                go(6 + 20 * i, "/items/new"),
                *once(8 + 20 * i, 201, (("/items", "push", 1.2),), "/items/new", "/api/items", SEND),
            )
        ],
        end(120, "/items"),
    ],
    "save posts to its page again": [
        *HOME,
        *[
            x
            for i in range(5)
            for x in once(8 + 20 * i, 200, (("/settings", "link", 1.2),), "/settings", "/api/settings", SEND)
        ],
        end(120, "/settings"),
    ],
    "error page once, then through": [
        *HOME,
        go(6, "/claim/new"),
        *once(8, 302, (("/error", "link", 1.3),), "/claim/new", "/api/claim", SEND),
        go(20, "/claim/new"),
        *once(22, 201, (("/claim/8", "push", 1.2),), "/claim/new", "/api/claim", SEND),
        end(60, "/claim/8"),
    ],
    "person goes back to the login": [
        *HOME,
        *[
            x
            for i in range(3)
            for x in (*once(6 + 20 * i, 200, (("/dashboard", "push", 1.2),)), go(16 + 20 * i, "/login", "back_forward"))
        ],
        end(90, "/login"),
    ],
}
STRUGGLES: dict[str, list[Row]] = {
    "login, dashboard, back to login x3": [*HOME, *once(6), *once(20), *once(35), end(60, "/login")],
    "login posts to itself 200, page again x4": [
        *HOME,
        *[x for i in range(4) for x in once(6 + 14 * i, 200, (("/login", "link", 1.3),))],
        end(80, "/login"),
    ],
    "form thrown to login x3": [
        *HOME,
        *[
            x
            for i in range(3)
            for x in (
                go(6 + 40 * i, "/report/new"),
                *once(8 + 40 * i, 302, (("/login", "replace", 1.3),), "/report/new", "/api/report", SEND),
                *once(20 + 40 * i, 200, (("/report", "push", 1.2),)),
            )
        ],
        end(140, "/report/new"),
    ],
    "form thrown to error page x3": [
        *HOME,
        *[
            x
            for i in range(3)
            for x in (
                go(6 + 30 * i, "/claim/new"),
                *once(8 + 30 * i, 302, (("/error", "link", 1.3),), "/claim/new", "/api/claim", SEND),
            )
        ],
        go(110, "/"),
    ],
}


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(CALM))
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(STRUGGLES))
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0
