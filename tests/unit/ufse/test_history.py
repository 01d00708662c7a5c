"""What other sessions show: endpoints that run by themselves, endpoints of one control, usual durations, collectors.

Each case has its mirror image, in which the same shape must be judged as before.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.ufse.scene import Row, answer, click, end, event, go, submit, table, typed
from ufse import DEFAULT, ProjectHistory, Result, detect, learn_history
from ufse.frame import build_frame
from ufse.history import NO_HISTORY
from ufse.sessions import NETWORK, order_events
from ufse.slowness import is_beyond_normal

SAVE = {"target_type": "button", "target_id": "save", "target_label": "Save"}
HELP = {"target_type": "button", "target_id": "help", "target_label": "Help"}


def as_session(rows: list[Row], name: str) -> list[Row]:
    return [{**row, "session_id": name, "event_id": f"{name}-{i}"} for i, row in enumerate(rows)]


def learn(make: Callable[[int], list[Row]], sessions: int) -> ProjectHistory:
    return learn_history(table([r for n in range(sessions) for r in as_session(make(n), f"other-{n}")]))


def failure_points(rows: list[Row], history: ProjectHistory = NO_HISTORY) -> list[str]:
    return [d.to_json()["primaryFailurePoint"] for d in detect(table(rows), history=history).detections]


def reasons(rows: list[Row], history: ProjectHistory) -> str:
    return " ".join(w.to_json()["text"] for w in detect(table(rows), why_not=True, history=history).why_not)


# ------------------------------------------------------------------------------- endpoints that run by themselves


def draft(t: float, status: int, **values: Any) -> Row:
    return answer(t, status, 0.2, **{"url": "/api/draft", "method": "PUT", **values})


def polls(every: float, **values: Any) -> Callable[[int], list[Row]]:
    """A page left open, where the application saves by itself; one click falls on a save."""

    def make(number: int) -> list[Row]:
        rows = [go(0, "/checkout"), *(draft(5 + every * k, 200, **values) for k in range(8)), end(6 + every * 8)]
        return sorted([*rows, click(4.7 + every, HELP)], key=lambda r: r["ts"]) if number % 2 else rows

    return make


def types_only(number: int) -> list[Row]:
    """The application saves a second after each change of a field."""
    fields = [(typed(10 * k), draft(10 * k + 1.1, 200)) for k in range(1, 7)]
    return [go(0, "/checkout"), *(row for pair in fields for row in pair), end(80 + number)]


def two_failures(**values: Any) -> list[Row]:
    """Two clicks on "Pay", each with a failed save right after it, and away."""
    story = [go(0, "/checkout"), typed(3), click(10), draft(10.4, 500, **values), click(16), draft(16.4, 500, **values)]
    return [*story, go(24, "/home")]


def test_two_failures_near_two_clicks_are_a_detection_by_themselves() -> None:
    assert failure_points(two_failures()) == ["/checkout › button#pay › PUT /api/draft → 500"]


@pytest.mark.parametrize(
    "others",
    [polls(20.0), polls(7.0), polls(31.0), polls(60.0), polls(20.0, method="POST", url="/api/presence"), types_only],
    ids=["20s", "7s", "31s", "60s", "presence", "typing"],
)
def test_an_endpoint_that_runs_by_itself_elsewhere_is_background(others: Callable[[int], list[Row]]) -> None:
    url = {r["url"]: r["method"] for r in others(0) if r["event_type"] == "network"}
    (path, method), *_ = url.items()
    rows = two_failures(url=path, method=method)
    assert failure_points(rows)
    assert failure_points(rows, learn(others, 6)) == []
    assert "background" in reasons(rows, learn(others, 6))


def test_few_other_sessions_decide_nothing() -> None:
    for sessions in (1, 2, 4):
        assert failure_points(two_failures(), learn(polls(20.0), sessions)) == failure_points(two_failures())


def test_an_endpoint_that_follows_clicks_elsewhere_stays_evidence() -> None:
    def pays(number: int) -> list[Row]:
        return [go(0, "/checkout"), click(9), draft(9.3, 200), click(30), draft(30.3, 200), end(40 + number)]

    assert failure_points(two_failures(), learn(pays, 8)) == failure_points(two_failures())


def test_a_poll_of_another_endpoint_says_nothing() -> None:
    assert failure_points(two_failures(), learn(polls(20.0, url="/api/feed"), 8)) == failure_points(two_failures())


def test_another_project_says_nothing() -> None:
    def foreign(number: int) -> list[Row]:
        return [{**row, "project": "q"} for row in polls(20.0)(number)]

    assert failure_points(two_failures(), learn(foreign, 8)) == failure_points(two_failures())


def test_three_failures_at_once_after_one_control_are_evidence_whatever_runs_elsewhere() -> None:
    rows = [*two_failures()[:-1], click(22), draft(22.4, 500), go(30, "/home")]
    assert failure_points(rows, learn(polls(20.0), 8)) == failure_points(rows) != []


def test_a_search_of_a_field_stays_evidence_of_its_button() -> None:
    def searches(number: int) -> list[Row]:
        found = [(typed(10 * k), answer(10 * k + 0.4, 200, url="/api/search", method="GET")) for k in range(1, 7)]
        return [go(0, "/checkout"), *(row for pair in found for row in pair), end(80 + number)]

    rows = two_failures(url="/api/search", method="GET")
    assert failure_points(rows, learn(searches, 8)) == failure_points(rows) != []


# ------------------------------------------------------------------------------- endpoints that follow everything

CONTROLS = [{"target_type": "button", "target_id": f"tool-{n}", "target_label": f"Tool {n}"} for n in range(12)]


def scattered(
    controls: int = 12, good: int = 0, unpressed: bool = True, main: int = 0, **values: Any
) -> Callable[[int], list[Row]]:
    """A save that fails near whatever is done: after a page, after a field, after presses of different controls.

    ``good``: of how many sessions in twelve it succeeds; ``main``: how often the first control is pressed beside.
    """

    def make(number: int) -> list[Row]:
        status = 200 if number < good else 500
        rows = [go(0, "/checkout")]
        if unpressed:
            rows += [draft(0.6, status, **values), typed(5), draft(5.5, status, **values)]
        for place, control in enumerate([CONTROLS[number % controls], *[CONTROLS[0]] * main]):
            rows += [click(20 + 9 * place, control), draft(20.5 + 9 * place, status, **values)]
        return [*rows, end(90)]

    return make


@pytest.mark.parametrize(
    "values",
    [{}, {"url": "/g/collect", "method": "POST"}, {"url": "/api/v2/track", "method": "POST", "status": 0}],
    ids=["drafts", "beacon", "blocked"],
)
def test_an_endpoint_that_follows_many_controls_and_never_succeeds_is_background(values: dict[str, Any]) -> None:
    url = {name: value for name, value in values.items() if name != "status"}
    rows = two_failures(**url)
    assert failure_points(rows)
    assert failure_points(rows, learn(scattered(**url), 12)) == []
    assert "background" in reasons(rows, learn(scattered(**url), 12))


def test_an_endpoint_that_follows_many_controls_is_background_also_after_three_presses_of_one() -> None:
    rows = [*two_failures()[:-1], click(22), draft(22.4, 500), go(30, "/home")]
    assert failure_points(rows)
    assert failure_points(rows, learn(scattered(), 12)) == []


@pytest.mark.parametrize(
    "others",
    [scattered(controls=9), scattered(good=3), scattered(unpressed=False), scattered(main=1)],
    ids=["nine controls", "succeeds elsewhere", "only after presses", "mostly one control"],
)
def test_an_endpoint_that_is_an_answer_elsewhere_stays_evidence(others: Callable[[int], list[Row]]) -> None:
    assert failure_points(two_failures(), learn(others, 12)) == failure_points(two_failures()) != []


def test_many_controls_of_few_sessions_decide_nothing() -> None:
    def busy(number: int) -> list[Row]:
        return [row for n in range(12) for row in as_later(scattered()(n), 100 * n)]

    assert failure_points(two_failures(), learn(busy, 4)) == failure_points(two_failures()) != []


def as_later(rows: list[Row], seconds: float) -> list[Row]:
    return [{**row, "ts": row["ts"] + round(1000 * seconds)} for row in rows if row["event_type"] != "session_end"]


# ------------------------------------------------------------------------------- endpoints of one control


def token(t: float, status: int) -> Row:
    return answer(t, status, 0.3, url="/v1/tokens", third_party=1)


def hammered(first: int = 503) -> list[Row]:
    clicks = [click(12.5 + 0.4 * k) for k in range(5)]
    return [
        go(0, "/checkout"),
        typed(3),
        typed(5, target={**SAVE, "target_type": "input"}),
        click(10),
        token(10.4, first),
        *clicks,
        go(20, "/home"),
    ]


def test_a_third_party_that_answers_one_control_elsewhere_is_evidence_at_its_first_failure() -> None:
    def pays(number: int) -> list[Row]:
        return [
            go(0, "/checkout"),
            click(9),
            token(9.4, 200),
            go(10, "/thanks"),
            go(20, "/checkout"),
            click(25),
            token(25.4, 200),
            end(40 + number),
        ]

    assert failure_points(hammered()) == []
    assert failure_points(hammered(), learn(pays, 6)) == ["/checkout › button#pay › POST /v1/tokens → 503"]
    assert failure_points(hammered(200), learn(pays, 6)) == []


def test_a_third_party_that_answers_other_controls_elsewhere_stays_background() -> None:
    def elsewhere(number: int) -> list[Row]:
        return [
            go(0, "/checkout"),
            click(9, SAVE),
            token(9.4, 200),
            click(25, HELP),
            token(25.4, 200),
            end(40 + number),
        ]

    assert failure_points(hammered(), learn(elsewhere, 8)) == []


# ------------------------------------------------------------------------------- usual durations


def report(t: float, took: float, status: int = 200, **values: Any) -> Row:
    return answer(t, status, took, **{"url": "/api/report", **values})


def waits(took: float) -> list[Row]:
    """Impatient clicks during one wait of ``took`` seconds, and away before anything is used."""
    clicks = [click(11 + 0.5 * k) for k in range(5)]
    return [go(0, "/checkout"), click(10), *clicks, report(10 + took, took), go(11 + took, "/home")]


def reports(took: float) -> Callable[[int], list[Row]]:
    def make(number: int) -> list[Row]:
        return [
            go(0, "/checkout"),
            click(5),
            report(5 + took, took),
            click(40),
            report(40 + took, took + number / 10),
            end(90),
        ]

    return make


def slow_seen(took: float, history: ProjectHistory) -> bool:
    """Whether the wait counts as slow: then a candidate is judged."""
    return "no longer than their endpoints usually take" not in reasons(waits(took), history)


@pytest.mark.parametrize("usual", [4.0, 6.0, 12.0])
def test_an_endpoint_that_always_takes_long_is_normal(usual: float) -> None:
    history = learn(reports(usual), 6)
    assert slow_seen(usual, NO_HISTORY)
    assert not slow_seen(usual * 0.9, history)
    assert not slow_seen(usual * 1.5, history)
    assert slow_seen(usual * 2.5, history)
    assert failure_points(waits(usual), history) == []


def test_an_endpoint_that_is_usually_quick_stays_slow() -> None:
    for took in (3.5, 6.0, 15.0):
        assert slow_seen(took, learn(reports(0.4), 6))


def test_a_slow_endpoint_that_fails_is_a_failure() -> None:
    rows = [go(0, "/checkout"), click(10), report(16, 6.0, 504), click(20), report(26, 6.0, 504), go(30, "/home")]
    assert failure_points(rows, learn(reports(6.0), 8)) == failure_points(rows) != []


# ------------------------------------------------------------------------------- collectors that report failures only


def browse(at: float) -> list[Row]:
    return [go(at, "/home"), go(at + 4, "/list"), go(at + 8, "/list/7"), go(at + 12, "/checkout")]


def failed(t: float, status: int = 500, **values: Any) -> Row:
    return answer(t, status, 0.3, **values)


def tried_again(*tail: Row) -> list[Row]:
    """Two failed tries after some pages of which nothing was reported, and then ``tail``."""
    return [*browse(0), typed(14), click(20), failed(20.5), click(28), failed(28.5), *tail]


QUIET = (click(40), go(47, "/home"), go(55, "/list"))


def test_a_later_try_without_a_failure_is_a_success_where_no_success_is_reported() -> None:
    rows = tried_again(*QUIET)
    assert failure_points(rows) == []
    assert "This collector reports no successes, and a later try had no failure" in reasons(rows, NO_HISTORY)


@pytest.mark.parametrize(
    "tail",
    [
        (go(40, "/home"),),  # no later try
        (click(40), failed(40.4), go(47, "/home")),  # it fails again
        (click(40), end(40.9)),  # the visit ends before an answer could come
        (*(click(31 + 0.4 * k) for k in range(6)), go(47, "/home")),  # rage
        (click(40, HELP | {"target_type": "link", "target_id": "away"}), go(47, "/home")),  # a link
    ],
    ids=["none", "fails", "left", "rage", "link"],
)
def test_without_such_a_try_they_struggled(tail: tuple[Row, ...]) -> None:
    assert failure_points(tried_again(*tail)) == ["/checkout › button#pay › POST /api/orders → 500"]


def test_it_says_that_successes_are_not_reported() -> None:
    (found,) = detect(table(tried_again(go(40, "/home")))).detections
    assert "This collector reports no successes; no later try went without a failure." in found.to_json()["explanation"]


@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_collector_that_reports_a_success_anywhere_reports_them(status: int) -> None:
    rows = [*browse(0)[:1], answer(1, status, url="/api/me", method="GET"), *tried_again(*QUIET)[1:]]
    assert failure_points(rows) == ["/checkout › button#pay › POST /api/orders → 500"]


def test_a_success_in_another_visit_of_the_session_shows_that_they_are_reported() -> None:
    earlier = [go(-4_000, "/home"), answer(-3_999, 200, url="/api/me", method="GET")]
    assert failure_points([*earlier, *tried_again(*QUIET)]) == ["/checkout › button#pay › POST /api/orders → 500"]


def short() -> list[Row]:
    """A visit in which too little happened to see what its collector reports."""
    return [
        go(0, "/checkout"),
        click(5),
        failed(5.4),
        click(12),
        failed(12.4),
        click(24),
        event(31, "scroll"),
        go(34, "/home"),
    ]


def of_version(rows: list[Row], version: str) -> list[Row]:
    return [{**row, "sdk_version": version} for row in rows]


def test_other_sessions_of_the_collector_show_what_it_reports() -> None:
    def fails_only(number: int) -> list[Row]:
        return of_version([go(0, "/home"), click(5, SAVE), failed(5.3, url="/api/x"), end(10)], "1.0")

    def answers(number: int) -> list[Row]:
        return of_version([go(0, "/home"), click(5, SAVE), failed(5.3, 200, url="/api/x"), end(10)], "1.0")

    rows, long = of_version(short(), "1.0"), of_version(tried_again(*QUIET), "1.0")
    assert failure_points(rows) != []
    assert failure_points(rows, learn(fails_only, 25)) == []
    assert failure_points(rows, learn(fails_only, 12)) != []
    assert failure_points(of_version(rows, "2.0"), learn(fails_only, 25)) != []
    assert failure_points(long) == []
    assert failure_points(long, learn(answers, 25)) != []


def test_a_submit_that_is_rejected_and_then_quiet_was_corrected() -> None:
    story = [*browse(0), typed(14), submit(20), failed(20.4, 422), typed(25), submit(28), failed(28.4, 422), typed(35)]
    quiet = [*story, submit(40), go(47, "/home"), go(50, "/list")]
    assert failure_points(quiet) == []
    assert failure_points([*quiet[:-2], failed(40.4, 422), *quiet[-2:]]) != []


# ------------------------------------------------------------------------------- the table itself


def whole(result: Result) -> list[object]:
    return [d.to_json() for d in result.detections]


def test_a_history_does_not_depend_on_the_order_of_rows_or_on_batches() -> None:
    rows = [r for n in range(6) for r in as_session([*polls(20.0)(n), *two_failures()[1:]], f"s{n}")]
    history = learn_history(table(rows))
    turned = learn_history(table(rows[::-1]))
    assert history.endpoints.equals(turned.endpoints)
    assert history.collectors.equals(turned.collectors)
    batch = detect(table(rows), history=history)
    alone = [detect(table([r for r in rows if r["session_id"] == f"s{n}"]), history=history) for n in range(6)]
    assert sorted(map(str, whole(batch))) == sorted(str(body) for found in alone for body in whole(found))


def test_what_detection_observes_is_what_a_history_is_made_of() -> None:
    rows = [r for n in range(4) for r in as_session(two_failures(), f"s{n}")]
    found = detect(table(rows), DEFAULT, observe=True).observed
    assert set(found.endpoints["endpoint"].to_pylist()) == {"PUT /api/draft"}
    assert sorted(found.endpoints["session_id"].to_pylist()) == ["s0", "s1", "s2", "s3"]
    assert found.endpoints["pressed"].to_pylist() == [2] * 4
    assert found.collectors["good"].to_pylist() == [0] * 4
    assert detect(table(rows)).observed.endpoints.num_rows == 0


def test_a_batch_without_events_has_no_history() -> None:
    empty = learn_history(table([]).slice(0, 0))
    assert empty.endpoints.num_rows == empty.collectors.num_rows == 0
    assert isinstance(empty.endpoints, pa.Table)


def test_an_answer_may_be_beyond_what_its_endpoint_usually_takes() -> None:
    rows = [go(0, "/checkout"), click(5), report(9, 3.9), click(20), report(24.2, 4.1), click(40), answer(44, 200, 3.9)]
    history = learn(reports(0.4), 6)
    ordered = order_events(table(rows), DEFAULT)
    for known, expected in ((history, [False, True, False]), (NO_HISTORY, [False] * 3)):
        frame = build_frame(ordered, np.arange(len(rows)), DEFAULT, history=known)
        requests = np.flatnonzero(frame.kind == NETWORK)
        assert is_beyond_normal(frame, requests).tolist() == expected
