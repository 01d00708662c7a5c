"""A filled-in form whose control never answers, while others do (docs/decisions/0066)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, event, go, submit, why
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections, field, fields, pair_with_collectors

JOIN = {"target_type": "button", "target_id": "join", "target_label": "Join"}
NAV = {"target_type": "link", "target_id": "nav-a", "target_label": "Plans"}
FILT = {"target_type": "button", "target_id": "filter", "target_label": "Filter"}
COPY = {"target_type": "button", "target_id": "clip", "target_label": "Kopieren"}
DROP = {"target_type": "button", "target_id": "country", "target_label": "Land"}


def jn(*times: float, **values: object) -> list[Row]:
    return [click(t, JOIN, "/signup", **values) for t in times]


def sb(*times: float, **values: object) -> list[Row]:
    return [submit(t, "/signup", **values) for t in times]


def both(*times: float) -> list[Row]:
    return [x for t in times for x in (click(t, JOIN, "/signup"), submit(t + 0.01, "/signup"))]


def ok(t: float) -> list[Row]:
    return [click(t, FILT, "/plans"), answer(t + 0.4, 200, 0.3, "/api/plans", "GET", route="/plans")]


PRE = [
    go(0, "/plans"),
    *ok(2),
    *ok(6),
    click(9, NAV, "/plans"),
    go(9.3, "/signup", "push"),
    answer(9.7, 200, 0.3, "/api/form", "GET", route="/signup"),
]
F = fields(3, "/signup", 12)


CALM: dict[str, list[Row]] = {
    "fourth press works": [
        *PRE,
        *F,
        *jn(22, 27, 33, 40),
        answer(40.6, 201, 0.4, "/api/join", route="/signup"),
        go(41, "/welcome", "push"),
    ],
    "last press leads on": [*PRE, *F, *jn(22, 27, 33), go(34, "/welcome", "push")],
    "two presses only": [*PRE, *F, *jn(22, 27), end(50, "/signup")],
    "fast burst only": [*PRE, *F, *jn(22, 22.3, 22.6, 22.9, 23.2), end(50, "/signup")],
    "nothing ever answered (collector unknown)": [go(0, "/signup"), *F, *jn(22, 27, 33, 40), end(50, "/signup")],
    "responded by page": [*PRE, *F, *jn(22, 27, 33, 40, responded=1), end(50, "/signup")],
    "responded unknown where others have it": [
        *PRE[:1],
        *[{**r, "responded": 1} if r["event_type"] == "click" else r for r in PRE[1:]],
        *F,
        *jn(22, 27, 33, 40),
        end(50, "/signup"),
    ],
    "copy button": [*PRE, *F, *[click(t, COPY, "/signup") for t in (22, 27)], end(50, "/signup")],
    "chat: typed between each": [
        *PRE,
        *[x for i in range(6) for x in (field(12 + 6 * i, "msg", "/signup"), *sb(15 + 6 * i))],
        end(60, "/signup"),
    ],
    "calculator: value changed between": [
        *PRE,
        *F,
        *[x for i in range(4) for x in (*jn(22 + 6 * i), field(25 + 6 * i, "f1", "/signup"))],
        end(60, "/signup"),
    ],
    "client-only control without fields": [*PRE, *jn(22, 26, 31, 38), end(50, "/signup")],
    "search typed, dropdown opened and closed": [
        *PRE,
        field(12, "q", "/signup"),
        *[click(t, DROP, "/signup") for t in (22, 26, 31, 38)],
        end(50, "/signup"),
    ],
    "stepper": [
        *PRE,
        *F,
        *[
            click(t, {"target_type": "button", "target_id": "qty-plus", "target_label": "+"}, "/signup")
            for t in (22, 24, 26, 28)
        ],
        end(50, "/signup"),
    ],
    "toggle": [
        *PRE,
        *F,
        *[click(t, {"target_type": "switch", "target_id": "news"}, "/signup") for t in (22, 24, 26, 28)],
        end(50, "/signup"),
    ],
    "play": [
        *PRE,
        *F,
        *[click(t, {"target_type": "button", "target_id": "play"}, "/signup") for t in (22, 24, 26, 28)],
        end(50, "/signup"),
    ],
    "new tab opened each time": [
        *PRE,
        *F,
        *[
            x
            for t in (22, 28, 34, 40)
            for x in (
                *jn(t),
                event(t + 0.4, "visibility", "/signup", state="hidden"),
                event(t + 3, "visibility", "/signup", state="visible"),
            )
        ],
        end(50, "/signup"),
    ],
    "late answer after 12 s": [
        *PRE,
        *F,
        *jn(22, 27, 33),
        answer(36, 201, 13.9, "/api/join", route="/signup"),
        go(36.2, "/welcome", "push"),
    ],
    "disabled": [*PRE, *F, *jn(22, 27, 33, 40, disabled=1), end(50, "/signup")],
    "invalid by form, corrected": [
        *PRE,
        *F,
        *sb(22, valid=0),
        field(25, "f1", "/signup"),
        *sb(28, valid=1),
        answer(28.5, 201, 0.4, "/api/join", route="/signup"),
        end(50, "/signup"),
    ],
    "save again and again after it worked": [
        *PRE,
        *F,
        *jn(22),
        answer(22.5, 200, 0.4, "/api/join", route="/signup"),
        *jn(26, 30, 35, 41),
        end(50, "/signup"),
    ],
}
STRUGGLES: dict[str, list[Row]] = {
    "submit x4 never answered": [*PRE, *F, *sb(22, 26, 31, 38), end(50, "/signup")],
    "click+submit x4 then left": [*PRE, *F, *both(22, 26, 31, 38), go(50, "/plans")],
    "button x3 after fields": [*PRE, *F, *jn(22, 27, 33), end(50, "/signup")],
    "button x5 responded 0": [*PRE, *F, *jn(22, 25, 28, 31, 36, responded=0), go(50, "/plans")],
    "silent with polls": sorted(
        [
            *PRE,
            *F,
            *both(22, 26, 31, 38),
            *[answer(t, 200, 0.1, "/api/poll", "GET", route="/signup") for t in range(3, 60, 7)],
            go(60, "/plans"),
        ],
        key=lambda r: r["ts"],
    ),
    "another application: ticket reply": [
        go(0, "/t"),
        click(2, FILT, "/t"),
        answer(2.5, 200, 0.4, "/api/t", "GET", route="/t"),
        click(6, NAV, "/t"),
        go(6.2, "/t/5", "push"),
        answer(6.6, 200, 0.3, "/api/t/5", "GET", route="/t/5"),
        click(8, FILT, "/t/5"),
        answer(8.5, 200, 0.4, "/api/x", "GET", route="/t/5"),
        field(12, "subject", "/t/5"),
        field(15, "body", "/t/5"),
        *[
            click(t, {"target_type": "button", "target_selector": "form.reply > button"}, "/t/5")
            for t in (20, 24, 29, 36)
        ],
        go(44, "/t"),
    ],
}
NOT_SEEN_TO_FAIL = (
    ("submit x4 never answered", "failures only"),
    ("click+submit x4 then left", "failures only"),
    ("click+submit x4 then left", "types only"),
    ("button x3 after fields", "failures only"),
    ("button x3 after fields", "types only"),
    ("button x5 responded 0", "failures only"),
    ("button x5 responded 0", "types only"),
    ("silent with polls", "failures only"),
    ("silent with polls", "types only"),
    ("another application: ticket reply", "failures only"),
    ("another application: ticket reply", "types only"),
)
"""What these collectors report is not enough for a detection."""


def test_a_visit_with_answers_has_no_negative_feedback() -> None:
    """It is looked at, because a control was pressed again and again; the reason stays that of a calm visit."""
    assert why(CALM["fourth press works"]) == "no_negative_feedback"


def test_the_failure_point_names_the_control() -> None:
    found = bodies(STRUGGLES["button x3 after fields"])[0]
    assert found["primaryFailurePoint"] == "/signup › button#join › never answered"
    assert found["severityType"] == "Bug"


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(CALM))
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(STRUGGLES, *NOT_SEEN_TO_FAIL))
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0
