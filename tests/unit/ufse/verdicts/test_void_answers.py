"""Good answers that were none: the same time-out again, and answers that the person refused (docs/decisions/0157)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, go, submit, typed, why
from tests.unit.ufse.verdicts.collectors import count_detections, field, report_whole_seconds

QUIZ = {"target_type": "button", "target_id": "submit-quiz", "target_label": "Submit quiz"}
INVITE = {"target_type": "button", "target_id": "", "target_label": "Einladung senden"}
PLAYER = {"target_type": "player", "target_id": "clip-3", "target_label": "Play"}
BARE = {"target_type": "button", "target_id": "", "target_label": ""}
PAGE = "/course/quiz"
START = [go(0, "/"), click(2, {"target_type": "link", "target_id": "quiz"}, "/"), go(2.1, PAGE, "push")]
FILLED = [*START, field(6, "q1", PAGE), field(9, "q2", PAGE)]


def ask(t: float, took: float, url: str = "/graphql", method: str = "POST") -> Row:
    return answer(t, 200, took, url, method, route=PAGE)


def fail(t: float, message: str = "ApolloError: Unexpected error.") -> Row:
    return error(t, message, "promise", source="/static/apollo.js", route=PAGE)


def press(t: float, target: Row = QUIZ) -> list[Row]:
    return [click(t, target, PAGE, responded=1), submit(t + 0.005, PAGE, **target)]


def refuse(t: float, took: float, target: Row = QUIZ, message: str = "ApolloError: Unexpected error.") -> list[Row]:
    """A try whose answer brings an error."""
    return [*press(t, target), ask(t + took, took - 0.01), fail(t + took + 0.001, message)]


def serve(t: float, took: float, target: Row = QUIZ) -> list[Row]:
    """A try whose answer brings nothing that is told."""
    return [*press(t, target), ask(t + took, took - 0.01)]


def anger(t: float, target: Row = QUIZ, count: int = 5, pace: float = 0.3) -> list[Row]:
    return [click(t + pace * i, target, PAGE, responded=0) for i in range(count)]


def rage_waiting(t: float, took: float, target: Row = QUIZ) -> list[Row]:
    """A try during whose wait the person presses on; its error comes with the answer."""
    return [*press(t, target), *anger(t + 4, target), ask(t + took, took - 0.01), fail(t + took)]


TIME_OUTS: dict[str, list[Row]] = {
    "the last one brings no error": [*FILLED, *refuse(12, 30.1), *refuse(50, 30.0), *serve(90, 30.2), end(130, PAGE)],
    "a limit of 15 s": [*FILLED, *refuse(12, 15.1), *refuse(40, 15.0), *serve(70, 15.05), end(100, PAGE)],
    "no usual limit": [*FILLED, *refuse(12, 22.4), *refuse(50, 22.5), *serve(90, 22.6), end(130, PAGE)],
    "in another language, without an id": [
        *FILLED,
        *refuse(12, 30.1, INVITE, "ApolloError: Serverfehler"),
        *refuse(50, 30.0, INVITE, "ApolloError: Serverfehler"),
        *serve(90, 30.2, INVITE),
        end(130, PAGE),
    ],
    "one in the middle brings no error": [
        *FILLED,
        *refuse(12, 30.1),
        *serve(50, 30.2),
        *refuse(90, 30.0),
        end(130, PAGE),
    ],
}
SERVED: dict[str, list[Row]] = {
    "the last one took half as long": [*FILLED, *refuse(12, 30.1), *refuse(50, 30.0), *serve(90, 14.2), end(130, PAGE)],
    "at once": [*FILLED, *refuse(12, 30.1), *refuse(50, 30.0), *serve(90, 0.4), end(130, PAGE)],
    "half a second more": [*FILLED, *refuse(12, 30.1), *refuse(50, 30.0), *serve(90, 30.6), end(130, PAGE)],
    "one failure after the same wait may be chance": [
        *FILLED,
        *refuse(12, 30.1),
        *refuse(50, 20.0),
        *serve(90, 30.2),
        end(130, PAGE),
    ],
    "as slow, but a page follows": [
        *FILLED,
        *refuse(12, 30.1),
        *refuse(50, 30.0),
        *serve(90, 30.2),
        go(120.3, "/course/result", "push"),
        end(150, "/course/result"),
    ],
}
REFUSED: dict[str, list[Row]] = {
    "two bursts after answers": [
        *FILLED,
        *refuse(12, 0.8),
        *serve(16, 0.9),
        *anger(18),
        *refuse(22, 0.7),
        *serve(28, 0.6),
        *anger(30),
        *serve(36, 0.9),
        end(50, PAGE),
    ],
    "a burst of three": [
        *FILLED,
        *refuse(12, 0.8),
        *refuse(15, 0.8),
        *serve(18, 0.9),
        *anger(20, count=3),
        *serve(25, 0.6),
        *anger(27, count=3),
        *serve(32, 0.9),
        end(50, PAGE),
    ],
    "pressed again unchanged, and failed again": [
        *FILLED,
        *refuse(12, 0.8),
        *refuse(18, 0.9),
        *serve(26, 0.6),
        *refuse(33, 0.7),
    ],
    "in another language, without an id": [
        *FILLED,
        *refuse(12, 0.8, INVITE),
        *refuse(18, 0.9, INVITE),
        *serve(26, 0.6, INVITE),
        *refuse(33, 0.7, INVITE, "ApolloError: Serverfehler"),
    ],
    "refused twice, then once more without an error": [
        *FILLED,
        *refuse(12, 0.8),
        *serve(18, 0.9),
        *refuse(26, 0.6),
        *serve(33, 0.7),
        *refuse(40, 0.6),
        *serve(47, 0.7),
        end(60, PAGE),
    ],
}
ACCEPTED: dict[str, list[Row]] = {
    "answered at last": [*FILLED, *refuse(12, 0.8), *refuse(18, 0.9), *serve(26, 0.6), end(50, PAGE)],
    "one burst before the last answer": [
        *FILLED,
        *refuse(12, 0.8),
        *anger(14),
        *refuse(18, 0.9),
        *serve(26, 0.6),
        end(50, PAGE),
    ],
    "one answer refused, the next accepted": [
        *FILLED,
        *refuse(12, 0.8),
        *serve(18, 0.6),
        *anger(20),
        *serve(26, 0.6),
        end(50, PAGE),
    ],
    "a page follows the last answer": [
        *FILLED,
        *refuse(12, 0.8),
        *serve(16, 0.9),
        *anger(18),
        *refuse(22, 0.7),
        *serve(28, 0.6),
        *anger(30),
        *serve(36, 0.9),
        go(37, "/course/result", "push"),
        end(60, "/course/result"),
    ],
    "the presses after the answers are answered": [
        *FILLED,
        *refuse(12, 0.8),
        *serve(16, 0.9),
        *[r for i in range(4) for r in serve(18 + 0.8 * i, 0.3)],
        *serve(28, 0.6),
        *[r for i in range(4) for r in serve(30 + 0.8 * i, 0.3)],
        end(60, PAGE),
    ],
    "more presses, each of them answered": [
        *FILLED,
        *refuse(12, 0.8),
        *refuse(15, 0.8),
        *anger(16.5, count=4),
        *refuse(22, 0.7),
        *[r for t in (26, 34) for i in range(5) for r in serve(t + 0.8 * i, 0.3)],
        end(60, PAGE),
    ],
    "controls of which only the type is known": [
        *FILLED,
        *refuse(12, 0.8, BARE),
        *refuse(18, 0.9, BARE),
        *serve(26, 0.6, BARE),
        *refuse(33, 0.7, BARE),
    ],
    "another control in anger": [
        *FILLED,
        *refuse(12, 0.8),
        *refuse(15, 0.8),
        *serve(18, 0.9),
        *anger(20, INVITE),
        *serve(25, 0.6),
        *anger(27, INVITE),
        *serve(32, 0.9),
        end(50, PAGE),
    ],
    "a player": [
        *FILLED,
        *refuse(12, 0.8, PLAYER),
        *serve(16, 0.9, PLAYER),
        *anger(18, PLAYER),
        *refuse(22, 0.7, PLAYER),
        *serve(28, 0.6, PLAYER),
        *anger(30, PLAYER),
        *serve(36, 0.9, PLAYER),
        end(60, PAGE),
    ],
    "another entry each time": [
        *FILLED,
        *refuse(12, 0.8),
        *serve(18, 0.6),
        typed(22, PAGE, {"target_type": "input", "target_id": "q1"}),
        *refuse(26, 0.6),
        *serve(32, 0.6),
        end(60, PAGE),
    ],
}


@pytest.mark.parametrize("scene", TIME_OUTS)
def test_the_same_time_out_is_no_success(scene: str) -> None:
    assert len(bodies(TIME_OUTS[scene])) == 1, why(TIME_OUTS[scene])


def test_whole_seconds_hide_no_time_out() -> None:
    rows = [*FILLED, *rage_waiting(12, 30), *rage_waiting(50, 30), *serve(90, 30), end(130, PAGE)]
    assert count_detections(rows, report_whole_seconds) == 1


@pytest.mark.parametrize("scene", SERVED)
def test_an_answer_after_another_wait_is_a_success(scene: str) -> None:
    assert bodies(SERVED[scene]) == []


@pytest.mark.parametrize("scene", REFUSED)
def test_an_answer_that_the_person_refused_is_no_success(scene: str) -> None:
    assert len(bodies(REFUSED[scene])) == 1, why(REFUSED[scene])


@pytest.mark.parametrize("scene", ACCEPTED)
def test_an_answer_that_nobody_refused_is_a_success(scene: str) -> None:
    assert bodies(ACCEPTED[scene]) == []


def test_a_request_that_succeeds_with_200_only_is_not_doubted() -> None:
    """Where failures have a status of their own, a status of 200 is a success, whatever the person does then."""
    failed = [r for t in (12, 18) for r in (*press(t), answer(t + 0.5, 500, 0.4, "/api/quiz", route=PAGE))]
    then = [r for t in (26, 32) for r in (*press(t), ask(t + 0.5, 0.4, "/api/quiz"), *anger(t + 2))]
    assert bodies([*FILLED, *failed, *then, end(60, PAGE)]) == []


def test_neither_where_an_error_tells_of_each_failure() -> None:
    failed = [
        r
        for t in (12, 18, 22)
        for r in (*press(t), answer(t + 0.5, 500, 0.4, "/api/quiz", route=PAGE), fail(t + 0.51, "Request failed"))
    ]
    then = [r for t in (26, 32) for r in (*press(t), ask(t + 0.5, 0.4, "/api/quiz"), *anger(t + 2))]
    assert bodies([*FILLED, *failed, *then, end(60, PAGE)]) == []


def test_an_upload_whose_drawing_fails_was_made() -> None:
    drawing = "TypeError: e.items is not iterable"
    tries = [
        r
        for t in (12, 40)
        for r in (
            click(t, QUIZ, PAGE, responded=1),
            *anger(t + 0.5, count=4),
            ask(t + 5, 4.99, "/api/upload", method="PUT"),
            error(t + 5.01, drawing, source="/app.js", route=PAGE),
        )
    ]
    assert bodies([*FILLED, *tries, end(70, PAGE)]) == []


ERRORS: dict[str, list[Row]] = {
    "pressed in anger while it waits": [*FILLED, *rage_waiting(12, 30), *rage_waiting(60, 30), end(130, PAGE)],
    "a wait of 12 s": [*FILLED, *rage_waiting(12, 12), *rage_waiting(40, 12), end(80, PAGE)],
    "another control": [*FILLED, *rage_waiting(12, 30, INVITE), *rage_waiting(60, 30, INVITE), end(130, PAGE)],
    "one more press while it waits": [
        *FILLED,
        *[
            r
            for t in (12, 60, 110)
            for r in (*press(t), click(t + 26, QUIZ, PAGE, responded=0), ask(t + 30, 29.99), fail(t + 30))
        ],
        end(160, PAGE),
    ],
    "the error comes 10 ms later": [
        *FILLED,
        *[r for t in (12, 60) for r in (*press(t), *anger(t + 4), ask(t + 30, 29.99), fail(t + 30.01))],
        end(130, PAGE),
    ],
}


@pytest.mark.parametrize("scene", ERRORS)
def test_an_error_belongs_to_the_press_that_waited(scene: str) -> None:
    found = bodies(ERRORS[scene])
    assert len(found) == 1, why(ERRORS[scene])
    assert "ApolloError" in found[0]["primaryFailurePoint"]


def test_the_answer_before_an_error_is_no_success_of_it() -> None:
    rows = [*FILLED, *rage_waiting(12, 30), *rage_waiting(60, 30), *rage_waiting(110, 30), end(160, PAGE)]
    assert len(bodies(rows)) == 1, why(rows)


def test_another_control_pressed_meanwhile_may_have_failed_itself() -> None:
    rows = [
        *FILLED,
        *[r for t in (12, 60) for r in (*press(t), *anger(t + 4, INVITE, 2), ask(t + 30, 29.99), fail(t + 30))],
        *serve(110, 0.4),
        end(160, PAGE),
    ]
    assert bodies(rows) == []


def test_an_error_half_a_second_later_is_of_something_else() -> None:
    rows = [
        *FILLED,
        *[r for t in (12, 60) for r in (*press(t), *anger(t + 4, count=2), ask(t + 30, 29.99), fail(t + 30.6))],
        *serve(110, 0.4),
        end(160, PAGE),
    ]
    assert bodies(rows) == []
