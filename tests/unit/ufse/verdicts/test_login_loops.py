"""A control that throws to the login page again after each login (docs/decisions/0150)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, event, go, submit, why
from tests.unit.ufse.verdicts.collectors import count_detections, field, report_no_durations, report_whole_seconds

SAVE = {"target_type": "button", "target_id": "save", "target_label": "Save"}
ENTER = {"target_type": "button", "target_id": "enter", "target_label": "Enter"}
LEAVE = {"target_type": "button", "target_id": "x7", "target_label": "Abmelden"}
PAGE = "/claim/new"
START = [go(0, "/"), answer(0.5, 200, 0.3, "/api/home", "GET", route="/"), go(2, PAGE, "push")]
FILLED = [field(4, "name", PAGE), field(7, "sum", PAGE)]


def thrown(t: float, control: Row = SAVE, status: int = 0) -> list[Row]:
    """Pressed, and the login page comes; with ``status``, the press has a request of its own."""
    own = [answer(t + 0.3, status, 0.2, "/api/claims", route=PAGE)] if status else []
    return [click(t, control, PAGE), *own, go(t + 0.5, "/login", "replace")]


def logged_in(t: float, page: str = PAGE) -> list[Row]:
    return [
        field(t, "user", "/login"),
        field(t + 3, "pass", "/login"),
        click(t + 5, ENTER, "/login"),
        submit(t + 5.01, "/login"),
        answer(t + 5.4, 200, 0.3, "/api/login", route="/login"),
        go(t + 5.6, page, "replace"),
    ]


def saved(t: float) -> list[Row]:
    return [click(t, SAVE, PAGE), answer(t + 0.5, 201, 0.3, "/api/claims", route=PAGE), go(t + 0.7, "/claim/9", "push")]


def loop(count: int, control: Row = SAVE, status: int = 0) -> list[Row]:
    """``count`` presses from 10 s on, one every 15 s, each thrown to the login page, where the person logs in."""
    return [r for i in range(count) for r in (*thrown(10 + 15 * i, control, status), *logged_in(12 + 15 * i))]


FRUSTRATED: dict[str, list[Row]] = {
    "three times": [*START, *FILLED, *loop(3), end(70, PAGE)],
    "four times, and thrown once more": [*START, *FILLED, *loop(4), *thrown(75), end(90, "/login")],
    "filled in anew in between": [
        *START,
        *FILLED,
        *loop(1),
        field(21, "sum", PAGE),
        *thrown(25),
        *logged_in(27),
        *thrown(40),
        *logged_in(42),
        end(70, PAGE),
    ],
    "the press itself is refused": [*START, *FILLED, *loop(4, status=401), end(80, PAGE)],
    "refused, and the one field changed before the last press": [
        *START,
        field(4, "name", PAGE),
        *loop(3, status=401),
        field(54, "name", PAGE),
        *thrown(56, status=401),
        *logged_in(58),
        end(80, PAGE),
    ],
}
CALM: dict[str, list[Row]] = {
    "the session had expired once": [*START, *FILLED, *loop(1), *saved(25), end(40, "/claim/9")],
    "refused once, logged in, gone on elsewhere": [
        *START,
        field(4, "name", PAGE),
        *loop(1, status=401),
        click(25, {"target_type": "link", "target_id": "news"}, PAGE),
        go(25.2, "/news", "push"),
        end(60, "/news"),
    ],
    "twice, then it is saved": [*START, *FILLED, *loop(2), *saved(42), end(60, "/claim/9")],
    "twice only": [*START, *FILLED, *loop(2), end(60, PAGE)],
    "three controls, once each": [
        *START,
        *FILLED,
        *[
            r
            for i in range(3)
            for r in (*thrown(10 + 15 * i, {**SAVE, "target_id": f"act-{i}x"}), *logged_in(12 + 15 * i))
        ],
        end(70, PAGE),
    ],
    "saved after each login": [
        *START,
        *FILLED,
        *[
            r
            for i in range(3)
            for r in (*thrown(10 + 30 * i), *logged_in(12 + 30 * i), *saved(22 + 30 * i), go(30 + 30 * i, PAGE, "push"))
        ],
        end(110, PAGE),
    ],
    "signs out and in again": [*START, *loop(4, LEAVE), end(80, PAGE)],
    "looks at the login page without logging in": [
        *START,
        *FILLED,
        *[r for i in range(3) for r in (*thrown(10 + 15 * i), go(14 + 15 * i, PAGE, "back_forward"))],
        end(70, PAGE),
    ],
}


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected(scene: str) -> None:
    assert len(bodies(FRUSTRATED[scene])) == 1, why(FRUSTRATED[scene])


@pytest.mark.parametrize("collect", [report_whole_seconds, report_no_durations])
@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected_with_poorer_collectors(scene: str, collect: object) -> None:
    assert count_detections(FRUSTRATED[scene], collect) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


def focus(t: float) -> Row:
    return event(t, "input", "/login", target_type="input", target_id="user", action="focus")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("count", [3, 4])
def test_of_one_second_the_page_came_before_what_was_done_on_it(count: int, turned: bool) -> None:
    """Whole seconds without ``seq``: the field of the login page is entered in the second in which that page comes."""
    rows = [*START, *FILLED, *loop(count), *[focus(10.6 + 15 * i) for i in range(count)], end(80, PAGE)]
    # Pressed at 10.8 s, the page comes at 11.3 s, its field is entered at 11.4 s.
    seconds = [{**r, "ts": (r["ts"] + 800) // 1_000 * 1_000} for r in sorted(rows, key=lambda r: int(r["ts"]))]
    assert len(bodies(seconds[::-1] if turned else seconds)) == 1


@pytest.mark.parametrize("pause", [1, 2])
def test_a_page_that_came_after_the_next_act_is_not_its_answer(pause: int) -> None:
    """The person acts on the page, and then goes to the login page."""
    rows = [*START, *FILLED]
    for t in (10 + 15 * i for i in range(3)):
        rows += [
            click(t, SAVE, PAGE),
            field(t + 1, "sum", PAGE),
            go(t + 1 + pause, "/login", "replace"),
            *logged_in(t + 5),
        ]
    found = bodies([{**r, "ts": r["ts"] // 1_000 * 1_000} for r in [*rows, end(80, PAGE)]])
    assert not any("sent back" in body["primaryFailurePoint"] for body in found)
