"""Reloads that nobody made and pages that nobody saw (docs/decisions/0040)."""

from collections.abc import Sequence

import pytest

from tests.unit.ufse.found.files import count_detections
from tests.unit.ufse.scene import Row, answer, bodies, click, end, event, go, run, signals

STATS = {"url": "/api/stats", "method": "GET"}


@pytest.mark.parametrize(
    "name",
    [
        "06a-three-tabs-restored.jsonl",
        "06b-wallboard-refreshes-itself.jsonl",
        "07a-prerendered-twice.jsonl",
    ],
)
def test_the_found_inputs(name: str) -> None:
    assert count_detections(name) == 0


def board(times: Sequence[float], bad_from: int = 0, route: str = "/board", how: str = "reload") -> list[Row]:
    """A page opened again at ``times``; its data fail from number ``bad_from`` on."""
    rows: list[Row] = []
    for i, t in enumerate(times):
        rows += [go(t, route, how), answer(t + 0.3, 500 if i >= bad_from else 200, 0.25, route=route, **STATS)]
    return rows


JITTER = (0.0, 0.13, -0.08, 0.21, 0.05, -0.17, 0.11, 0.3, -0.02, 0.19, 0.07, -0.11, 0.16, 0.02, 0.24, -0.06)


@pytest.mark.parametrize(
    "times",
    [
        [5.001 + 5 * i for i in range(40)],
        [5.001 + 8 * i + JITTER[i % 16] for i in range(20)],
        [5.001 + 10.35 * i + JITTER[i % 16] for i in range(20)],
        [5.001 + 3 * i + JITTER[i % 16] / 2 for i in range(30)],
        [5.001 + 7 * i for i in range(5)],
        [5.001 + 5 * (i + (i > 3) + (i > 9)) for i in range(20)],
    ],
    ids=["5 s", "8 s jitter", "10 s jitter", "3 s jitter", "five times", "ticks left out"],
)
def test_a_page_that_reloads_itself_is_no_rage(times: list[float]) -> None:
    assert run(board(times, len(times) - 5)).detections == []


def test_the_timer_of_a_page_that_somebody_scrolls_is_no_rage() -> None:
    rows = board([5.001 + 6 * i for i in range(20)], 10)
    rows += [event(t + 0.7, "scroll", "/board", direction="down") for t in (36, 48, 71, 90)]
    assert run(rows).detections == []


@pytest.mark.parametrize("how", ["link", "", "replace", "push"])
def test_navigations_of_a_timer_are_no_rage_and_no_confusion(how: str) -> None:
    rows = [r for i in range(8) for r in board([5.001 + 20 * i], 0, "/a", how) + board([15.001 + 20 * i], 0, "/b", how)]
    assert run(sorted(rows, key=lambda r: r["ts"])).detections == []


@pytest.mark.parametrize("delay", [0.02, 0.15])
def test_a_script_that_reloads_at_each_failure_is_no_rage(delay: float) -> None:
    t, rows = 5.0, [go(4.001, "/board")]
    for i in range(8):
        took = 0.4 + (i * 37 % 11) / 10
        rows += [answer(t + took, 500, took - 0.05, route="/board", **STATS), go(t + took + delay, "/board", "reload")]
        t += took + delay
    assert run(rows).detections == []


def test_a_script_that_waits_twice_as_long_each_time_is_no_rage() -> None:
    assert run(board([5.001, 6.003, 8.002, 12.001, 20.003, 36.001])).detections == []


@pytest.mark.parametrize(
    "rows",
    [
        board([1.001, 1.051, 1.101]),
        board([1.001, 1.211, 1.402, 1.803]),
        [*board([1.001, 1.301, 1.602]), *board([1.101, 1.402], route="/other")],
        board([1.001, 1.002, 1.003, 1.004, 1.005, 1.006]),
        [*board([1.001, 1.151, 1.301]), event(1.9, "visibility", "/board", state="hidden")],
    ],
    ids=["50 ms", "0.8 s", "two pages", "six at once", "hidden"],
)
def test_tabs_restored_together_are_no_rage(rows: list[Row]) -> None:
    rows = [*rows, event(25, "scroll", "/board", direction="down"), end(60, "/board")]
    assert run(sorted(rows, key=lambda r: r["ts"])).detections == []


@pytest.mark.parametrize(
    "times",
    [[5.2, 9.1, 15.4, 18.0], [5.2, 7.9, 9.1, 13.3], [5.2, 6.9, 8.1, 9.9], [5.2, 17.7, 25.1, 33.9]],
)
def test_a_person_who_reloads_a_failing_page_is_rage(times: list[float]) -> None:
    rows = [*board([1.1], how="link"), *board(times)]
    assert "rage" in signals(rows)
    assert len(bodies(rows)) == 1


def test_a_person_who_reloads_a_page_that_also_reloads_itself_is_rage() -> None:
    rows = board([5.001 + 30 * i for i in range(6)], 4)
    rows += board([136.3, 139.2, 143.9, 146.0])
    assert "rage" in signals(sorted(rows, key=lambda r: r["ts"]))


# -- pages that nobody saw -----------------------------------------------------------------------

CART = {"url": "/api/cart", "method": "GET", "route": "/checkout"}


def home() -> list[Row]:
    return [go(1, "/home"), event(3, "hover", "/home", target_type="a", target_id="buy")]


def opened(t: float, **values: str) -> list[Row]:
    return [go(t, "/checkout", "link", **values), answer(t + 0.3, 500, 0.25, **CART)]


@pytest.mark.parametrize("kind", ["hover", "scroll", "click"])
@pytest.mark.parametrize("times", [(3.1, 5.1), (3.1, 5.1, 9.4, 12.0)])
def test_a_page_that_was_never_shown_is_no_failure(kind: str, times: tuple[float, ...]) -> None:
    rows = [*home(), *(r for t in times for r in opened(t))]
    rows += [event(20 + i, kind, "/home", target_type="a", target_id="more") for i in range(2)]
    assert run([*rows, end(60, "/home")]).detections == []


@pytest.mark.parametrize("flag", ['{"prerendered":true}', '{"prerendered": "true"}', '{"a":1,"prerendered":1}'])
def test_a_page_that_says_it_was_prerendered_is_no_failure(flag: str) -> None:
    rows = [*home(), *(r for t in (3.1, 7.1, 9.9) for r in opened(t, metadata=flag)), end(60, "/home")]
    assert run(rows).detections == []


def test_a_page_that_is_hidden_from_its_first_event_is_no_failure() -> None:
    rows: list[Row] = []
    for t in (3.1, 7.9, 12.0, 19.3):
        rows += [go(t, "/checkout", "reload"), event(t + 0.05, "visibility", "/checkout", state="hidden")]
        rows += [answer(t + 0.3, 500, 0.25, **CART)]
    assert run(rows).detections == []


def test_reloads_of_a_tab_in_the_background_are_no_rage() -> None:
    rows = [*home(), go(10, "/checkout"), event(30, "visibility", "/checkout", state="hidden")]
    for t in (50.1, 57.9, 62.0, 69.3):
        rows += [go(t, "/checkout", "reload"), answer(t + 0.3, 500, 0.25, **CART)]
    assert run(rows).detections == []


def test_a_prerendered_page_that_was_then_shown_counts_from_there() -> None:
    pay = {"target_type": "button", "target_id": "pay"}
    rows = [*home(), go(3.1, "/checkout", metadata='{"prerendered":true}')]
    rows += [*(click(8.1 + i * 0.4, pay) for i in range(4)), answer(10.3, 500, 2.1)]
    assert "rage" in signals(rows)


def test_a_person_who_reloads_the_page_that_a_link_opened_is_rage() -> None:
    rows = [*home(), *opened(3.1)]
    for t in (6.2, 9.9, 12.1):
        rows += [go(t, "/checkout", "reload"), answer(t + 0.3, 500, 0.25, **CART)]
    assert "rage" in signals([*rows, end(60)])


def test_hidden_between_a_click_and_its_answer_is_still_a_failure() -> None:
    pay = {"target_type": "button", "target_id": "pay"}
    rows = [go(1, "/checkout")]
    for t in (5.1, 14.9, 25.3):
        rows += [click(t, pay), event(t + 1, "visibility", state="hidden"), answer(t + 3, 500, 2.9)]
        rows += [event(t + 5, "visibility", state="visible")]
    assert len(bodies(rows)) == 1
