"""Controls without an answer that were pressed in bursts, without a whole form (docs/decisions/0153)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, event, go, table
from tests.unit.ufse.verdicts.collectors import field, report_failures_only
from ufse import detect, learn_history

ADD = {"target_type": "button", "target_id": "add", "target_label": "Add to cart"}
SHOW = {"target_type": "button", "target_id": "show", "target_label": "Show offers"}
PAGE = "/p/jacket"
TRIES = (14.0, 20.0, 20.3, 20.6, 20.9, 27.0)


def served(t: float) -> list[Row]:
    return [click(t, SHOW, "/shop"), answer(t + 0.4, 200, 0.3, "/api/offers", "GET", route="/shop")]


START = [go(0, "/shop"), *served(2), go(5, PAGE, "push")]


def press(*times: float, target: Row = ADD, **values: object) -> list[Row]:
    return [click(t, target, PAGE, **values) for t in times]


def story(*tries: Row, size: bool = True, start: list[Row] | None = None) -> list[Row]:
    return [*(START if start is None else start), *([field(9, "size", PAGE)] if size else []), *tries, end(50, PAGE)]


FRUSTRATED: dict[str, list[Row]] = {
    "one field, one burst": story(*press(*TRIES)),
    "two bursts": story(*press(14, 14.3, 14.6, 21, 21.2, 21.5, 21.7, 30)),
    "no id": story(*press(*TRIES, target={"target_type": "button", "target_label": "Add to cart"})),
    "another language": story(*press(*TRIES, target={"target_type": "button", "target_label": "カートに入れる"})),
    "a selector": story(*press(*TRIES, target={"target_type": "button", "target_selector": "button.add-to-cart"})),
    "gone to the help between": story(
        *press(14, 20, 20.3, 20.6), go(30, "/help"), go(36, PAGE, "back_forward"), *press(40)
    ),
}
CALM: dict[str, list[Row]] = {
    "without a burst": story(*press(14, 20, 27)),
    "one burst only": story(*press(20, 20.3, 20.6, 20.9)),
    "two tries": story(*press(14, 20, 20.3, 20.6)),
    "no field, and nobody knows the control": story(*press(*TRIES), size=False),
    "a change of the field before each": story(
        *[r for t in (12, 20, 28, 36) for r in (field(t - 1, "size", PAGE), *press(t, t + 0.3, t + 0.6))]
    ),
    "a stepper": story(*press(*TRIES, target={"target_type": "button", "target_label": "+"})),
    "a toggle": story(*press(*TRIES, target={"target_type": "checkbox", "target_id": "gift"})),
    "it answered once": story(*press(*TRIES), answer(27.5, 200, 0.3, "/api/cart", route=PAGE)),
    "nothing else is answered": story(*press(*TRIES), start=[go(0, "/shop"), go(5, PAGE, "push")]),
    "a collector without successes": report_failures_only(story(*press(*TRIES))),
    "the client tells of answers": story(*press(*TRIES), start=[{**r, "responded": 1} for r in START]),
    "each try opens a tab": story(
        *[
            r
            for t in (14, 20, 27, 34)
            for r in (*press(t, t + 0.2, t + 0.4), event(t + 0.6, "visibility", PAGE, state="hidden"))
        ]
    ),
}


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_a_control_pressed_in_anger_that_never_answers_is_found(scene: str) -> None:
    assert len(bodies(FRUSTRATED[scene])) == 1


@pytest.mark.parametrize("scene", CALM)
def test_other_presses_without_an_answer_are_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


# ---------------------------------------------------------------------------------------- what other sessions show


def others(count: int, *, alone: int = 0, target: Row = ADD) -> list[Row]:
    """Other sessions, in which the control sends a request twice; ``alone``: how often the page asks it by itself, too."""
    rows = []
    for number in range(count):
        story = [
            go(0, PAGE),
            *[r for t in (3, 9) for r in (click(t, target, PAGE), answer(t + 0.4, 201, 0.3, "/api/cart", route=PAGE))],
            *[answer(60 + 40 * i, 201, 0.3, "/api/cart", route=PAGE) for i in range(alone)],
        ]
        rows += [{**r, "session_id": f"o{number}", "event_id": f"o{number}-{i}"} for i, r in enumerate(story)]
    return rows


def count_with(rows: list[Row], known: list[Row]) -> int:
    return len(detect(table(rows), history=learn_history(table([*rows, *known]))).detections)


NO_FIELD = story(*press(*TRIES), size=False)


@pytest.mark.parametrize("count", [5, 6, 9, 40])
def test_a_control_that_sends_requests_elsewhere_needs_no_field(count: int) -> None:
    assert count_with(NO_FIELD, others(count)) == 1


@pytest.mark.parametrize(
    "known",
    [others(4), others(20, alone=4), others(20, target=SHOW), [{**r, "project": "q"} for r in others(20)]],
    ids=["few sessions", "the page asks it by itself", "another control", "another project"],
)
def test_a_control_that_is_not_known_to_send_anything_does(known: list[Row]) -> None:
    assert count_with(NO_FIELD, known) == 0


def test_without_a_burst_it_may_have_nothing_to_send() -> None:
    assert count_with(story(*press(14, 20, 27), size=False), others(20)) == 0


TOLD = [{**r, "responded": 1} if r["event_type"] == "click" else r for r in START]


@pytest.mark.parametrize("times", [(14, 20, 27), (14, 21, 33, 45), (14, 14.4, 25, 36)])
def test_a_client_that_says_that_nothing_came_needs_no_burst(times: tuple[float, ...]) -> None:
    rows = story(*press(*times, responded=0), size=False, start=TOLD)
    assert count_with(rows, others(20)) == 1
    assert count_with(rows, others(20, target=SHOW)) == 0


@pytest.mark.parametrize(
    "rows",
    [
        story(*press(14, 20, responded=0), size=False, start=TOLD),
        story(*press(14, 20, 27, disabled=1), size=False, start=TOLD),
        story(*press(14, 20, responded=0), *press(27, responded=1), size=False, start=TOLD),
        story(*press(14, 20, responded=0), *press(27), size=False, start=TOLD),
        story(*press(14, 20, 27, responded=0), size=False, start=START),
        story(*[r for t in (12, 20, 28) for r in (field(t - 1, "size", PAGE), *press(t, responded=0))], start=TOLD),
    ],
    ids=[
        "two tries",
        "disabled",
        "it answered",
        "of one nothing is said",
        "answers are never told",
        "a change before each",
    ],
)
def test_it_must_say_so_of_three_tries(rows: list[Row]) -> None:
    assert count_with(rows, others(20)) == 0


def later(t: float, *rows: Row) -> list[Row]:
    """The rows in a later visit of the session, ``t`` seconds later."""
    ms = round(t * 1000)
    return [{**r, "ts": r["ts"] + ms, "received_ms": r["received_ms"] + ms} for r in rows]


AGAIN = [*START, field(9, "size", PAGE), *press(14)]
ACHIEVED_LATER: dict[str, list[Row]] = {
    "a request is answered": [answer(14.5, 201, 0.4, "/api/cart", route=PAGE), end(40, PAGE)],
    "the next page": [answer(14.5, 201, 0.4, "/api/cart", route=PAGE), go(14.7, "/cart", "push"), end(40, "/cart")],
    "a page only": [go(14.7, "/cart", "link"), end(40, "/cart")],
}
NOT_ACHIEVED: dict[str, list[Row]] = {
    "nothing comes again": [end(40, PAGE)],
    "the request fails": [answer(14.5, 500, 0.4, "/api/cart", route=PAGE), end(40, PAGE)],
}


@pytest.mark.parametrize("pause", [1_200, 9_000, 80_000])
@pytest.mark.parametrize("scene", ACHIEVED_LATER)
def test_who_gets_there_in_a_later_visit_did(scene: str, pause: float) -> None:
    struggle = FRUSTRATED["one field, one burst"]
    assert bodies([*struggle, *later(pause, *AGAIN, *ACHIEVED_LATER[scene])]) == []


@pytest.mark.parametrize("scene", NOT_ACHIEVED)
def test_a_later_visit_without_an_answer_changes_nothing(scene: str) -> None:
    struggle = FRUSTRATED["one field, one burst"]
    assert len(bodies([*struggle, *later(9_000, *AGAIN, *NOT_ACHIEVED[scene])])) == 1
