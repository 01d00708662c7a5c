"""Shapes that SDKs report: causes, verdicts, clicks told as one, unknown routes, errors in bodies, frames, unseen pages."""

import json
import random
from typing import Any

import pyarrow as pa
import pytest

from collector.contract import decode_body, normalise_batch, to_arrow
from tests.corpus.player import KINDS, perform
from tests.corpus.write import MODULES
from tests.unit.ufse.scene import (
    PAY,
    T0,
    Row,
    answer,
    bodies,
    click,
    end,
    error,
    event,
    go,
    signals,
    submit,
    table,
    why,
)
from ufse import DEFAULT, EVENT_SCHEMA, detect
from ufse.sessions import order_events
from ufse.shapes import REPORTED_DEAD

FAILED = "POST /api/orders → 500"


def rage(start: float = 10, count: int = 4, **values: Any) -> list[Row]:
    return [click(start + 0.4 * i, own_id=f"c{i}", **values) for i in range(count)]


def points(rows: list[Row]) -> list[str]:
    return [body["primaryFailurePoint"] for body in bodies(rows)]


# ------------------------------------------------------------------------------------------------------- causes


def test_a_named_cause_is_certain() -> None:
    """The request began 3 s after the click, and after another click: by time it would belong to that or to none."""
    rows = [
        *rage(),
        click(13.2, {"target_type": "button", "target_id": "help"}),
        answer(14.5, 500, took=1.2, cause="c0"),
    ]
    assert points(rows) == ["/checkout › button#pay › POST /api/orders → 500"]


@pytest.mark.parametrize("cause", ["", "c9", "C0", "c0 ", "x" * 128, "'; DROP TABLE events; --", "c0\x1f1"])
def test_an_id_that_nothing_has_leaves_it_to_time(cause: str) -> None:
    timely = [*rage(), answer(12.2, 500, took=2.15, cause=cause)]
    assert len(bodies(timely)) == 1
    late = [*rage(), answer(15.2, 500, took=2.15, cause=cause)]
    assert bodies(late) == []


def test_a_cause_of_another_session_or_visit_says_nothing() -> None:
    other = [{**row, "session_id": "other"} for row in rage()]
    assert bodies([*other, answer(15.2, 500, took=2.15, cause="c0")]) == []
    assert bodies([*rage(), answer(4_000, 500, took=0.2, cause="c0")]) == []


def test_causes_in_a_circle_or_of_themselves_raise_nothing() -> None:
    rows = [click(10 + 0.4 * i, own_id=f"c{i}", cause=f"c{(i + 1) % 4}") for i in range(4)]
    rows += [answer(12.2, 500, took=2.15, own_id="n", cause="n"), error(12.3, own_id="e", cause="n")]
    assert len(bodies(rows)) == 1


def test_a_cause_in_the_future_says_nothing() -> None:
    rows = [answer(5, 500, took=0.2, cause="c0"), *rage()]
    assert bodies(rows) == []


def test_of_several_interactions_with_one_id_the_last_before_counts() -> None:
    menu = {"target_type": "button", "target_id": "menu"}
    rows = [click(1, menu, own_id="c0"), *rage(), answer(12.2, 500, took=2.15, cause="c0")]
    assert points(rows) == ["/checkout › button#pay › POST /api/orders → 500"]


def test_a_navigation_that_names_its_click_was_made_by_it() -> None:
    rows = [*rage(), answer(10.2, 500, took=0.15, cause="c0"), go(18, "/done", "push", cause="c3"), end(40, "/done")]
    assert len(bodies(rows[:5])) == 1
    detect(table(rows), why_not=True)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_causes_change_no_judgement_of_the_corpus(share: float) -> None:
    """Present, missing and partly present causes that say the truth give the same detections."""
    assert len(MODULES) == 2  # importing them registers the kinds

    def found(named: float) -> list[Any]:
        rows: list[Any] = []
        for number, name in enumerate(sorted(KINDS)):
            lines = [line for _, line in perform(KINDS[name], 3, 0).lines(f"{number}", named)]
            batch = {"events": [{k: v for k, v in line.items() if k not in ("eventId",)} if not named else line
                                for line in lines]}  # fmt: skip
            rows += normalise_batch(batch, project="p", received_ms=1_800_000_000_000, salt=b"s").rows
        events = pa.Table.from_batches([to_arrow(rows)], EVENT_SCHEMA)
        return sorted(
            json.dumps([d["sessionId"], d["failurePoint"]["route"], d["failurePoint"]["target"], d["confidenceLevel"]])
            for d in (one.to_json() for one in detect(events).detections)
        )

    plain = found(0.0)
    assert len(plain) > 10
    assert found(share) == plain


# ---------------------------------------------------------------------------------------------------- stamps


@pytest.mark.parametrize(("early", "count"), [(0.0, 1), (0.010, 1), (0.049, 1), (0.050, 1), (0.060, 0)])
def test_a_click_may_be_stamped_after_its_own_request_began(early: float, count: int) -> None:
    tries = [r for i in range(3) for r in (click(10 + 9 * i), answer(10 + 9 * i - early + 0.3, 500, took=0.3))]
    assert len(bodies([*tries, end(80)])) == count


def test_a_request_that_an_earlier_click_caused_stays_with_it() -> None:
    helping = {"target_type": "button", "target_id": "help"}
    rows = [*rage(), answer(11.4, 500, took=0.19), click(11.24, helping)]
    assert points(rows) == ["/checkout › button#pay › POST /api/orders → 500"]


def test_a_poll_that_begins_just_before_a_click_is_a_poll() -> None:
    polls = [answer(8.0 + 5 * i, 200, took=0.1, url="/api/unread", method="POST") for i in range(6)]
    struggling = [r for i in range(3) for r in (click(12.94 + 10 * i), answer(13.5 + 10 * i, 500, took=0.5))]
    assert points([*struggling, *polls, end(90)]) == points([*struggling, end(90)]) != []


def test_a_stray_failure_just_before_a_served_click_stays_stray() -> None:
    served = [r for i in range(6) for r in (click(10 + 8 * i), answer(10.3 + 8 * i, 201, took=0.28))]
    stray = [answer(9.98 + 8 * i, 500, took=0.02, url="/api/presence") for i in (1, 3)]
    assert bodies([*served, *stray, end(70)]) == []


# --------------------------------------------------------------------------------------------------- verdicts


def verdict(t: float, of: str, responded: int = -1, word: str = "") -> Row:
    return event(t, "verdict", verdict_for=of, responded=responded, verdict=word)


def read_responses(rows: list[Row]) -> list[int]:
    """``responded`` of the clicks, in order."""
    ordered = order_events(table(rows), DEFAULT)
    found = ordered.table.select(["event_type", "responded"]).take(ordered.row).to_pylist()
    return [row["responded"] for row in found if row["event_type"] == "click"]


def test_a_later_verdict_fills_what_its_click_did_not_know() -> None:
    rows = [click(1, own_id="a"), click(2, own_id="b", responded=0), click(3, own_id="c"), click(4)]
    rows += [verdict(5, "a", 1), verdict(6, "b", 1), verdict(7, "nobody", 1), verdict(8, "", 1)]
    assert read_responses(rows) == [1, 0, -1, -1]


def test_of_contradicting_verdicts_the_answer_wins_in_any_order() -> None:
    rows = [click(1, own_id="a"), verdict(2, "a", 0), verdict(3, "a", 1), verdict(4, "a", 0)]
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        assert read_responses(rows) == [1]


def test_a_verdict_of_another_session_fills_nothing() -> None:
    rows = [click(1, own_id="a"), {**verdict(2, "a", 1), "session_id": "t"}, {**verdict(3, "a", 1), "project": "q"}]
    assert read_responses(rows) == [-1]


def read_verdicts(rows: list[Row]) -> list[str]:
    """``verdict`` of the clicks, in order; no other event is left."""
    ordered = order_events(table(rows), DEFAULT)
    return [row["verdict"] for row in ordered.table.select(["verdict"]).take(ordered.row).to_pylist()]


def report(t: float, target: Row = PAY, **values: Any) -> Row:
    """A verdict that names the control and time of its click."""
    return event(t, "verdict", **{"verdict": "dead", **target, **values})


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([report(0.992)], [REPORTED_DEAD, "", "", ""]),
        ([report(1.25)], ["", REPORTED_DEAD, "", ""]),
        ([report(1.2)], [REPORTED_DEAD, "", "", ""]),
        ([report(1.4), report(0.99)], [REPORTED_DEAD, REPORTED_DEAD, "", ""]),
        ([report(1.4), report(1.39, verdict="slow")], ["", "slow", "", ""]),
        ([report(2.38)], ["", REPORTED_DEAD, "", ""]),
        ([report(2.5)], ["", "", "", ""]),
        ([report(9.2)], ["", "", "", REPORTED_DEAD]),
        ([report(1, {"target_type": "button", "target_id": "other"})], ["", "", "", ""]),
        ([report(1, {})], ["", "", "", ""]),
        ([report(1, session_id="t"), report(1, project="q")], ["", "", "", ""]),
    ],
)
def test_a_verdict_without_an_id_is_about_the_nearest_click_on_its_control(
    reports: list[Row], expected: list[str]
) -> None:
    named = click(9, own_id="c")
    rows = [click(1), click(1.4), click(2.5, {"target_type": "link", "target_id": "help"}), named, *reports]
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        assert read_verdicts(rows) == expected


def test_a_click_has_the_verdicts_of_its_id_and_of_its_control() -> None:
    named = verdict(12, "c", 1)
    rows = [click(9, own_id="c"), report(9.1), named]
    assert (read_verdicts(rows), read_responses(rows)) == ([REPORTED_DEAD], [1])


def test_the_time_of_a_verdict_is_the_clients() -> None:
    """The click came without the time of sending: its time is not corrected, the report's is."""
    rows = [click(1, client_ts=T0 + 1_000), report(61, client_ts=T0 + 1_070)]
    assert read_verdicts(rows) == [REPORTED_DEAD]


def test_clicks_that_are_reported_dead_stay_clicks() -> None:
    """Each of a rage may be called dead by an event of its own: none of them repeats an earlier one."""
    plain = [*rage(), answer(12.2, 500, took=2.15)]
    clicks = [row for row in plain if row["event_type"] == "click"]
    reports = [{**row, "event_type": "verdict", "verdict": "dead", "own_id": f"r{n}"} for n, row in enumerate(clicks)]
    judged = [*plain, *reports[1:]]
    assert signals(judged) == signals(plain) | {"verdict"}
    assert bodies(judged)[0]["frustrationScore"] == bodies(plain)[0]["frustrationScore"] + 5


def test_verdicts_silence_rage_that_was_answered() -> None:
    def burst(responded: int) -> list[Row]:
        return [*rage(), *(verdict(11 + i, f"c{i}", responded) for i in range(4)), error(10.1), end(60)]

    assert len(bodies(burst(0))) == 1
    assert bodies(burst(1)) == []


def test_a_verdict_is_no_event_of_a_visit() -> None:
    rows = [click(0, own_id="a"), verdict(3_000, "a", 1), click(100)]
    visits = order_events(table(rows), DEFAULT).visits
    assert (len(visits), int(visits.events[0])) == (1, 2)


@pytest.mark.parametrize("word", ["rage", "dead", "error", "slow"])
def test_another_tools_verdict_alone_is_never_enough(word: str) -> None:
    rows = [click(10, verdict=word), *(answer(10.4 + i, 500, took=0.3 + i) for i in range(1))]
    assert bodies([*rows, go(30, "/help"), end(500, "/help")]) == bodies(
        [{**row, "verdict": ""} for row in [*rows, go(30, "/help"), end(500, "/help")]]
    )
    many = [
        r
        for i in range(6)
        for r in (click(10 + 40 * i, verdict=word, own_id=str(i)), answer(11 + 40 * i, 500, took=0.9))
    ]
    silent = [{**row, "verdict": ""} for row in many]
    assert len(bodies([*many, end(300)])) == len(bodies([*silent, end(300)]))
    assert bodies([click(10, verdict=word), end(90)]) == []


def test_another_tools_verdict_is_evidence_beside_our_own() -> None:
    plain, judged = [*rage(), answer(12.2, 500, took=2.15)], [*rage(verdict="rage"), answer(12.2, 500, took=2.15)]
    assert signals(judged) == signals(plain) | {"verdict"}
    assert bodies(judged)[0]["frustrationScore"] == bodies(plain)[0]["frustrationScore"] + 5
    assert "another tool reported 4 clicks on button#pay" in bodies(judged)[0]["explanation"]
    assert "verdict" not in signals([*rage(verdict="slow"), answer(12.2, 500, took=2.15)])


# --------------------------------------------------------------------------------------------- aggregated clicks


@pytest.mark.parametrize(
    ("count", "span", "found"), [(4, 900, 1), (9, 3_000, 1), (4, -1, 1), (4, 3_600, 0), (3, 800, 0), (1, 0, 0)]
)
def test_a_click_that_stands_for_several(count: int, span: int, found: int) -> None:
    rows = [click(10, clicks=count, span_ms=span), answer(12.2, 500, took=2.15)]
    assert len(bodies(rows)) == found
    if found:
        rage_signal = next(s for s in bodies(rows)[0]["triggeringSignals"] if s["type"] == "rage")
        assert rage_signal["count"] == count
        assert len(rage_signal["eventIds"]) == 1


def test_a_click_that_stands_for_several_equals_them() -> None:
    one = bodies([click(10, clicks=4, span_ms=1_200), answer(12.2, 500, took=2.15)])
    each = bodies([*(click(10 + 0.4 * i) for i in range(4)), answer(12.2, 500, took=2.15)])
    assert (one[0]["fingerprint"], one[0]["frustrationScore"]) == (each[0]["fingerprint"], each[0]["frustrationScore"])


@pytest.mark.parametrize("count", [2**31 - 1, 1_000, 0, -5])
def test_an_absurd_count_costs_nothing(count: int) -> None:
    ordered = order_events(table([click(10, clicks=count, span_ms=2**62)]), DEFAULT)
    assert len(ordered.row) <= 100


def test_copies_of_a_click_that_stands_for_several_count_once() -> None:
    row = {**click(10, clicks=4, span_ms=900), "event_id": "00000000-0000-0000-0000-0000000000aa"}
    assert len(order_events(table([row, row, row]), DEFAULT).row) == 4


# ------------------------------------------------------------------------------------------------ unknown routes


def test_an_unknown_route_is_that_of_the_last_page() -> None:
    rows = [go(1, "/checkout"), *rage(route=""), {**answer(12.2, 500, took=2.15), "route": ""}]
    assert points(rows) == ["/checkout › button#pay › POST /api/orders → 500"]
    moved = [go(1, "/cart"), go(5, "/checkout"), *rows[1:], go(90, "/later")]
    assert points(moved) == points(rows)


def test_an_unknown_route_before_all_pages_is_where_the_first_came_from() -> None:
    rows = [*rage(route=""), {**answer(12.2, 500, took=2.15), "route": ""}]
    assert points([*rows, go(500, "/help", nav_from="/checkout")]) == [
        "/checkout › button#pay › POST /api/orders → 500"
    ]
    assert points([*rows, click(500, {"target_type": "a"}, route="/other")])[0].startswith("/other ›")
    assert len(bodies(rows)) == 1  # no event names a page


def test_unknown_routes_of_one_session_come_from_no_other() -> None:
    other = [{**go(1, "/secret"), "session_id": "a"}, {**go(20, "/secret"), "session_id": "t"}]
    assert "/secret" not in points([*rage(route=""), {**answer(12.2, 500, took=2.15), "route": ""}, *other])[0]


# ------------------------------------------------------------------------------------------- bodies, frames, pages


def test_an_error_in_the_body_of_a_good_answer_is_a_rejection() -> None:
    rows = [*rage(), answer(12.2, 200, took=2.15, body_error=1)]
    assert points(rows) == ["/checkout › button#pay › POST /api/orders → an error in the body"]
    assert bodies(rows)[0]["severityType"] == "UX"
    for good in (0, -1):
        assert bodies([*rage(), answer(12.2, 200, took=2.15, body_error=good)]) == []
    assert points([*rage(), answer(12.2, 500, took=2.15, body_error=1)]) == [f"/checkout › button#pay › {FAILED}"]


def test_a_later_answer_without_an_error_resolves_it() -> None:
    tries = [r for i in range(3) for r in (click(10 + 9 * i), answer(10.4 + 9 * i, 200, took=0.3, body_error=1))]
    assert len(bodies([*tries, end(90)])) == 1
    assert bodies([*tries, click(40), answer(40.4, 200, took=0.3, body_error=0), end(90)]) == []


def test_the_frame_of_an_error_names_its_script() -> None:
    def found(frame: str, **values: Any) -> str:
        return points([*rage(), error(10.01, frame=frame, **values)])[0].rpartition(" › ")[2]

    plain = found("")
    assert found("https://shop.example/assets/pay-4f3a9c1b.js:10:2345") == f"{plain} (pay.js)"
    assert found("https://shop.example/assets/pay-77aa01dd.js:3:1") == found("at send (/assets/pay.js:9:9)")
    assert found("/assets/cart.js:1:1") != found("/assets/pay.js:1:1")


def test_an_error_of_an_extensions_frame_is_noise() -> None:
    rows = [*rage(), error(10.01, frame="chrome-extension://abc/inject.js:1:2")]
    assert bodies(rows) == []


@pytest.mark.parametrize("frame", [":1:2", "(", ")" * 500, "\x00\u202e:1", "a" * 512, "://:::", "?#"])
def test_hostile_frames(frame: str) -> None:
    assert len(bodies([*rage(), error(10.01, frame=frame)])) == 1


def test_what_a_prerendered_page_does_is_no_evidence() -> None:
    hidden: dict[str, Any] = {"prerendered": 1}
    rows = [*rage(), answer(12.2, 500, took=2.15, **hidden), error(10.1, **hidden)]
    assert bodies(rows) == []
    assert why(rows) in ("background", "unattributed")
    assert len(bodies([*rage(), answer(12.2, 500, took=2.15, prerendered=0)])) == 1
    reloads = [go(10 + i, "/checkout", "reload", **hidden) for i in range(4)]
    assert bodies([*reloads, answer(13.4, 500, took=0.3)]) == []


# ------------------------------------------------------------------------------------------------------ contract


def take(**changes: Any) -> Any:
    known = {"eventType": "click", "timestamp": 1_700_000_000_000, "sessionId": "s", "target": {"type": "button"}}
    batch = decode_body(json.dumps({"events": [{**known, **changes}]}).encode())
    result = normalise_batch(batch, project="p", received_ms=1_700_000_000_000, salt=b"s")
    assert result.rejects == []
    return result.rows[0]


def test_the_contract_takes_the_shapes() -> None:
    row = take(eventId="e1", metadata={"count": 4, "spanMs": 831, "verdict": "rage"})
    assert (row.own_id, row.clicks, row.span_ms, row.verdict, row.route) == ("e1", 4, 831, "rage", "")
    assert take(metadata={"count": "4"}).clicks == 4
    row = take(eventType="network", cause="e1", metadata={"status": 200, "bodyError": True, "prerendered": True})
    assert (row.cause, row.body_error, row.prerendered) == ("e1", 1, 1)
    assert take(eventType="error", metadata={"cause": 7, "frame": "https://x.example/a.js?k=1:2:3"}).cause == "7"
    row = take(verdictFor="e1", metadata={"responded": False, "verdict": "dead"})
    assert (row.event_type, row.verdict_for, row.responded, row.verdict) == ("verdict", "e1", 0, "dead")
    assert take(eventType="verdict", metadata={"verdictFor": "e1", "responded": True}).event_type == "verdict"


@pytest.mark.parametrize("value", [True, [], {}, 1.5, -1, "x" * 129, 2**70])
def test_ids_of_other_types_and_sizes_are_unknown(value: Any) -> None:
    row = take(eventId=value, cause=value, verdictFor=value)
    assert (row.own_id, row.cause, row.verdict_for, row.event_type) == ("", "", "", "click")


@pytest.mark.parametrize("value", ["four", True, 0, -1, 101, 1e300, 2**80, None])
def test_counts_of_other_types_and_sizes_are_unknown(value: Any) -> None:
    assert take(metadata={"count": value}).clicks == -1


def test_ids_are_masked_like_names() -> None:
    assert "example.org" not in take(eventId="someone@example.org").own_id
    assert PAY["target_id"] == "pay"
    assert submit(1)["event_type"] == "form_submit"
