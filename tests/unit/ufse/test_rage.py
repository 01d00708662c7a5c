"""Rage at its boundaries, and everything on which fast clicks are no rage."""

from typing import Any

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, error, go, signals, why
from ufse import Config

BUTTON = {"target_type": "button", "target_id": "pay"}


def fast(count: int, gap: float = 0.4, status: int = 500, **values: Any) -> list[Row]:
    """Clicks, and one failed answer that began with the first."""
    rows = [click(10 + i * gap, **values) for i in range(count)]
    return [*rows, answer(10 + count * gap + 0.5, status, took=count * gap + 0.48)]


def test_four_clicks_with_an_attributed_5xx_are_high() -> None:
    (body,) = bodies(fast(4))
    assert body["primaryFailurePoint"] == "/checkout › button#pay › POST /api/orders → 500"
    assert (body["confidenceLevel"], body["severityType"], body["resolved"]) == ("High", "Bug", False)
    assert {s["type"]: s["count"] for s in body["triggeringSignals"]} == {"rage": 4, "feedback": 1}


def test_three_clicks_are_no_rage() -> None:
    assert signals(fast(3)) == set()


@pytest.mark.parametrize(("gap", "raging"), [(0.999, True), (1.0, True), (1.001, False)])
def test_each_click_at_most_one_second_after_the_one_before(gap: float, raging: bool) -> None:
    rows = [*(click(10 + i * gap) for i in range(4)), answer(10.5, 500, took=0.48)]
    assert ("rage" in signals(rows)) is raging


def test_the_gap_is_measured_from_the_click_before_not_the_first() -> None:
    assert "rage" in signals(fast(4, gap=0.95))


def test_another_target_between_ends_the_run() -> None:
    rows = fast(4)
    assert "rage" not in signals([*rows[:2], click(10.6, {"target_type": "button", "target_id": "x"}), *rows[2:]])


def test_another_page_ends_the_run() -> None:
    rows = [click(10), click(10.4), click(10.8, route="/b"), click(11.2, route="/b"), answer(10.3, 500)]
    assert "rage" not in signals(rows)


def test_a_nameless_target_must_be_hit_on_one_spot() -> None:
    bare = {"target_type": "button", "target_id": "", "target_label": ""}
    apart = [click(10 + i * 0.4, bare, x=100 + 150 * i, y=100) for i in range(4)]
    close = [click(10 + i * 0.4, bare, x=100 + 20 * i, y=100) for i in range(4)]
    failed = [answer(10.2 + i * 0.4, 500, took=0.15) for i in range(4)]
    assert "rage" not in signals([*apart, *failed])
    assert "rage" in signals([*close, *failed])


@pytest.mark.parametrize(
    "target",
    [
        {"target_type": "button", "target_id": "qty-plus"},
        {"target_type": "button", "target_label": "+"},
        {"target_type": "button", "target_label": "−"},
        {"target_type": "button", "target_id": "decrementAmount"},
        {"target_type": "spinbutton", "target_id": "guests"},
        {"target_type": "link", "target_selector": ".pagination > a.next"},
        {"target_type": "button", "target_id": "load-more"},
        {"target_type": "link", "target_label": "3"},
        {"target_type": "button", "target_selector": ".carousel__control--right"},
        {"target_type": "button", "target_id": "calendar-forward"},
        {"target_type": "slider", "target_id": "price"},
        {"target_type": "button", "target_id": "player-volume"},
        {"target_tag": "CANVAS"},
        {"target_type": "map", "target_id": "store-finder"},
        {"target_type": "button", "target_id": "undo"},
        {"target_type": "switch", "target_id": "dark"},
        {"target_type": "checkbox", "target_id": "newsletter"},
        {"target_type": "input", "target_id": "card"},
        {"target_tag": "TEXTAREA"},
        {"target_tag": "P"},
    ],
)
def test_controls_on_which_clicking_fast_means_nothing(target: Row) -> None:
    rows = [*(click(10 + i * 0.3, {"target_id": "", "target_label": "", **target}) for i in range(6))]
    assert "rage" not in signals([*rows, answer(10.4, 500), answer(11.6, 500)])


def test_words_inside_other_words_do_not_make_a_control_repeatable() -> None:
    for name in ("sitemap-submit", "pay-monthly", "contextual-send", "surplus"):
        rows = [click(10 + i * 0.3, {"target_type": "button", "target_id": name}) for i in range(5)]
        assert "rage" in signals([*rows, answer(10.2, 500, took=0.15)]), name


@pytest.mark.parametrize("values", [{"input_method": "keyboard"}, {"x": 0, "y": 0}, {"selection": 1}])
def test_keyboard_clicks_and_selected_text_are_no_rage(values: Row) -> None:
    assert "rage" not in signals(fast(6, **values))


def test_a_held_key_is_no_hand() -> None:
    assert "rage" not in signals(fast(12, gap=0.033))
    assert "rage" in signals(fast(6, gap=0.09))


def test_a_clock_of_whole_seconds_is_no_held_key() -> None:
    rows = [*(click(10) for _ in range(4)), answer(11, 500, took=0.3)]
    assert "rage" in signals(rows)


def test_positive_feedback_among_the_clicks() -> None:
    clicks = [click(10 + i * 0.4) for i in range(6)]
    other = answer(10.3, 500, took=0.25, url="/api/log")
    assert "rage" in signals([*clicks, other])
    # The failing request's own success, a page that moves on, and a page that responds while nothing fails.
    assert "rage" not in signals([*clicks, answer(10.3, 500, took=0.25), answer(11.1, 200, took=0.25)])
    assert "rage" not in signals([*clicks, other, go(11.1, "/checkout/2", "push")])


def test_the_200_of_another_request_is_no_answer() -> None:
    rows = []
    for i in range(5):
        t = 10 + i * 0.4
        rows += [click(t), answer(t + 0.1, 200, took=0.05, method="OPTIONS"), answer(t + 0.35, 500, took=0.2)]
        rows += [answer(t + 0.2, 200, took=0.1, url="/api/keepalive", method="GET")]
    assert "rage" in signals(rows)


def test_a_200_whose_rendering_crashes_is_a_failure() -> None:
    rows = []
    for i in range(5):
        t = 10 + i * 0.5
        rows += [click(t), answer(t + 0.2, 200, took=0.15), error(t + 0.22)]
    (body,) = bodies(rows)
    assert body["failurePoint"]["feedback"] == "TypeError: x is undefined"


def test_every_click_answered_by_the_page_is_no_rage() -> None:
    assert "rage" not in signals([*fast(6, responded=1)])


@pytest.mark.parametrize(("reloads", "seconds", "raging"), [(3, 30, True), (3, 30.1, False), (2, 10, False)])
def test_three_reloads_of_a_route_within_30_s(reloads: int, seconds: float, raging: bool) -> None:
    rows = [go(0, "/r"), answer(0.4, 500, url="/api/r", method="GET", route="/r")]
    for i in range(reloads):
        t = 5 + i * seconds / (reloads - 1)
        rows += [go(t, "/r", "reload"), answer(t + 0.4, 500, url="/api/r", method="GET", route="/r")]
    assert ("rage" in signals(rows)) is raging


def test_reloads_of_different_routes_do_not_add_up() -> None:
    rows = []
    for i, route in enumerate(("/a", "/b", "/a", "/b")):
        rows += [
            go(5 + 4 * i, route, "reload"),
            answer(5.4 + 4 * i, 500, url="/api/r", method="GET", route=route),
        ]
    assert "rage" not in signals(rows)


def test_rage_alone_is_nothing() -> None:
    assert why([click(10 + i * 0.3) for i in range(9)]) == "no_negative_feedback"


def test_ignore_lists() -> None:
    for config in (
        Config(ignored_routes=("/check*",)),
        Config(ignored_targets=("button#pay",)),
        Config(ignored_targets=("p*",)),
    ):
        assert bodies(fast(6), config) == []
    assert bodies(fast(6), Config(ignored_routes=("/other",)))
