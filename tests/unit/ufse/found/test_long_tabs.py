"""A tab that is open all day is many visits, and no number of events that nobody made deafens it (kind 14a)."""

from collections.abc import Callable

import pytest

from collector.contract import read_events
from tests.unit.ufse.found.batches import FOUND
from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, event, go, run, submit, table, typed
from ufse import Config, detect, sessionize

MINUTE, HOUR = 60, 3600


def struggle(at: float) -> list[Row]:
    """Four clicks on a button, whose request fails."""
    return [*(click(at + 0.4 * i) for i in range(4)), answer(at + 2.2, 500, took=2.15)]


def served(at: float) -> list[Row]:
    """One click on the button, whose request is answered well."""
    return [click(at), answer(at + 0.4, 201)]


BACKGROUND: dict[str, Callable[[float], Row]] = {
    "long task": lambda t: event(t, "performance", perf_kind="long_task", duration_ms=60),
    "poll": lambda t: answer(t, 200, took=0.05, url="/api/unread", method="GET"),
    "failing poll": lambda t: answer(t, 503, took=0.05, url="/api/unread", method="GET"),
    "script error": lambda t: error(t, "ResizeObserver loop limit exceeded"),
    "own error": lambda t: error(t, "TypeError: socket is undefined"),
    "hover": lambda t: event(t, "hover", target_type="div"),
    "spinner": lambda t: event(t, "loading", state="start"),
    "visibility": lambda t: event(t, "visibility", state="hidden"),
    "slow load": lambda t: event(t, "performance", perf_kind="page_load", duration_ms=4_000),
    "wallboard": lambda t: go(t, "/board", "reload"),
    "carousel of pages": lambda t: go(t, f"/board/{int(t) % 3}", "push"),
}


def background(kind: str, first: float, last: float, every: float) -> list[Row]:
    count = int((last - first) // every)
    return [BACKGROUND[kind](first + i * every) for i in range(count + 1)]


def visits(rows: list[Row]) -> list[tuple[int, int]]:
    """(start, end) of each visit, in seconds after the first event."""
    found = sessionize(table(rows))
    return [(int(a - found.start_ms[0]) // 1000, int(b - found.start_ms[0]) // 1000) for a, b in
            zip(found.start_ms, found.end_ms, strict=True)]  # fmt: skip


def test_the_found_input() -> None:
    events, rejects = read_events(FOUND / "14a-tab-open-all-day.jsonl.gz")
    result = detect(events, why_not=True)
    assert (rejects, len(result.detections), len(result.visits)) == ([], 1, 3)
    assert result.detections[0].to_json()["context"]["truncated"] is False


@pytest.mark.parametrize("kind", BACKGROUND)
@pytest.mark.parametrize(("every", "hours"), [(60, 9), (240, 30), (600, 100)])
def test_a_struggle_after_hours_of_background_is_found(kind: str, every: float, hours: int) -> None:
    rows = [click(0, route="/"), *background(kind, 10, hours * HOUR, every), *struggle(hours * HOUR + 0.7)]
    assert len(bodies(rows)) == 1


@pytest.mark.parametrize("kind", BACKGROUND)
def test_background_after_a_served_click_stays_silent(kind: str) -> None:
    rows = [*served(5), *background(kind, 10, 9 * HOUR, 60), *served(9 * HOUR + 0.7), end(9 * HOUR + 70)]
    assert bodies(rows) == []


@pytest.mark.parametrize("kind", ["hover", "long task", "poll", "failing poll", "script error", "visibility"])
@pytest.mark.parametrize("count", [9_999, 10_000, 25_000])
def test_thousands_of_events_that_nobody_made_do_not_deafen_a_visit(kind: str, count: int) -> None:
    rows = [click(0, route="/"), *background(kind, 1, 1 + (count - 1) * 0.05, 0.05)]
    rows += struggle(count * 0.05 + 3)
    assert len(visits(rows)) == (1 if count < 18_000 else 2)
    assert len(bodies(rows)) == 1


def test_a_person_who_works_all_day_is_heard_in_the_evening() -> None:
    day = [row for i in range(9 * 12) for row in served(i * 5 * MINUTE)]
    rows = [*day, *struggle(9 * HOUR + 9)]
    assert len(visits(rows)) == 1
    assert len(bodies(rows)) == 1
    assert bodies([*rows, *served(9 * HOUR + 30)]) == []  # the same action succeeds in the end


@pytest.mark.parametrize("pause", [15 * MINUTE, 15 * MINUTE + 0.001])
def test_a_visit_ends_after_15_min_without_an_action(pause: float) -> None:
    rows = [click(0), *background("poll", 1, pause - 1, 30), click(pause)]
    assert len(visits(rows)) == (1 if pause <= 15 * MINUTE else 2)


@pytest.mark.parametrize("act", [click, submit, typed, lambda t: event(t, "scroll", depth=10, direction="down")])
def test_each_kind_of_action_keeps_a_visit_alive(act: Callable[[float], Row]) -> None:
    rows = [act(i * 14 * MINUTE) for i in range(20)]
    assert len(visits(rows)) == 1


def test_what_happens_between_two_actions_is_shared() -> None:
    """15 min after the first action are its visit's, 15 min before the next are the next one's, nobody's lie between."""
    rows = [click(0), *background("poll", 60, 59 * MINUTE, 60), click(HOUR)]
    quarter = 15 * MINUTE
    assert visits(rows) == [(0, quarter), (quarter + 60, 44 * MINUTE), (45 * MINUTE, HOUR)]


def test_two_visits_meet_where_the_pause_is_short() -> None:
    rows = [click(0), *background("poll", 60, 19 * MINUTE, 60), click(20 * MINUTE)]
    assert visits(rows) == [(0, 15 * MINUTE), (16 * MINUTE, 20 * MINUTE)]


def test_a_tab_that_nobody_ever_used_is_one_visit() -> None:
    assert visits(background("failing poll", 0, 5 * HOUR, 60)) == [(0, 5 * HOUR)]


def test_pages_of_an_access_log_are_actions() -> None:
    rows = [go(i * 14 * MINUTE, f"/page/{i}") for i in range(10)]
    assert len(visits(rows)) == 1
    form = submit(10 * 14 * MINUTE, target_id="")
    assert len(visits([*rows, form])) == 1
    assert len(visits([*rows, event(1, "hover")])) == 1  # no pause above 15 min, and nobody acted at all
    assert len(visits([*rows, click(1)])) > 1


def test_what_polls_before_the_person_returns_is_known_as_background() -> None:
    """The poll fails before the person returns, and again after their click: nothing that they asked for failed."""
    rows = [*served(5), *background("failing poll", 10, 2 * HOUR, 20)]
    back = 2 * HOUR + 5
    rows += [
        click(back),
        *background("failing poll", back + 0.3, back + 40, 20),
        *(click(back + 1 + i) for i in range(2)),
    ]
    assert bodies([*rows, end(back + 60)]) == []


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_sessions_side_by_side_do_not_touch(shift: int) -> None:
    """What one session does neither ends nor joins visits of its neighbours."""
    first = [click(0, session_id="a"), *({**r, "session_id": "a"} for r in background("poll", 60, 3 * HOUR, 60))]
    second = [{**r, "session_id": "b"} for r in background("poll", shift * 60 + 60, 3 * HOUR, 60)]
    third = [click(i * 600, session_id="c") for i in range(20)]
    alone = [len(visits(rows)) for rows in (first, second, third)]
    assert alone == [2, 1, 1]
    assert len(sessionize(table([*third, *first, *second]))) == 4


def reason(rows: list[Row], config: Config) -> tuple[str, str]:
    body = run(rows, config).why_not[-1].to_json()
    return body["rule"], body["text"]


def test_why_not_names_the_limit() -> None:
    config = Config(max_visit_events=20)
    calm = [row for i in range(21) for row in served(i * 10)]
    rule, text = reason([*calm, *struggle(300)], config)
    assert rule == "truncated"
    assert "its first 20 actions, and at most 12 h" in text
    failed = [*calm[:4], answer(30, 500, took=0.05, url="/x"), *calm[4:]]
    rule, text = reason([*failed, *struggle(300)], config)
    assert rule != "truncated"
    assert "its first 20 actions" in text
    rule, text = reason(calm[:40], config)
    assert (rule, "its first" in text) == ("no_negative_feedback", False)
