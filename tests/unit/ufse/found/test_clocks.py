"""A client session has one clock offset: the smallest difference between receipt and sending (kinds 01a, 01b, 01d)."""

import random

import pytest

from tests.unit.ufse.found.batches import (
    T0,
    Batch,
    Event,
    answer,
    click,
    count_detections,
    end,
    judge_batches,
    make_batch,
    play_batches,
    read_found,
)
from tests.unit.ufse.scene import click as stored_click
from tests.unit.ufse.scene import run
from tests.unit.ufse.scene import table as make_table
from ufse import DEFAULT, sessionize
from ufse.sessions import order_events

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1"
HOUR = 3600.0


def rage(start: float = 5.1) -> list[Event]:
    """Four clicks on the button, 400 ms apart."""
    return [click(start + 0.4 * i) for i in range(4)]


def late_failure(start: float = 5.1) -> Event:
    """The failure of the first of the clicks of `rage`, 2.2 s later."""
    return answer(start + 2.2, 500, took=2.15)


def tries(*outcomes: int, first: float = 5.0, apart: float = 7.0) -> list[Event]:
    """A click on the button for each outcome, answered after 0.4 s with this status."""
    made: list[Event] = []
    for number, status in enumerate(outcomes):
        made += [click(first + number * apart), answer(first + number * apart + 0.4, status)]
    return made


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("01a-retry-moves-answer.batches.json", 1),
        ("01b-retry-moves-failures-behind-success.batches.json", 0),
        ("01d-clock-6s-off-100ms-jitter.batches.json", 1),
    ],
)
def test_the_found_inputs(name: str, found: int) -> None:
    assert count_detections(read_found(name)) == found


@pytest.mark.parametrize("ahead", [0, 4.9, -4.9, 5.1, -5.1, 30, -30, 1200, -1200, 2 * HOUR, -2 * HOUR])
@pytest.mark.parametrize("delay", [6, 31, 290, 1800])
def test_an_answer_that_arrives_late_stays_with_its_clicks(ahead: float, delay: float) -> None:
    batches = [
        make_batch(rage(), 7, 7.1, ahead),
        make_batch([late_failure()], 8, 8 + delay, ahead),
    ]
    assert count_detections(batches) == 1
    assert count_detections(batches[::-1]) == 1


@pytest.mark.parametrize("ahead", [0, -6, 90, -3000])
def test_clicks_that_arrive_late_stay_before_their_answer(ahead: float) -> None:
    batches = [
        make_batch(rage(), 7, 38, ahead),
        make_batch([late_failure()], 8, 8.2, ahead),
    ]
    assert count_detections(batches) == 1


@pytest.mark.parametrize("ahead", [-5.0, -4.95, -5.05, 5.0, 4.95, 5.05])
def test_an_offset_about_the_tolerance_is_judged_once(ahead: float) -> None:
    """Delays of 20 to 400 ms put single requests on either side of 5 s."""
    events = [*rage(), late_failure(), end(20)]
    delays = (0.4, 0.02, 0.11, 0.35, 0.05, 0.3)
    batches = [
        make_batch([event], event["t"], event["t"] + delay, ahead) for event, delay in zip(events, delays, strict=True)
    ]
    assert count_detections(batches) == 1
    ordered = order_events(play_batches(batches), DEFAULT)
    steps = [b - a for a, b in zip(ordered.ts[:-1].tolist(), ordered.ts[1:].tolist(), strict=True)]
    assert steps == [400, 400, 400, 1000, 12_700]


@pytest.mark.parametrize("delay", [30, 45, 600])
@pytest.mark.parametrize("ahead", [0, 7, -7, 500])
def test_failures_that_arrive_after_the_success_stay_resolved(delay: float, ahead: float) -> None:
    failed, served = tries(500, 500), tries(201, first=20)
    batches = [
        make_batch(failed, 13, 13 + delay, ahead),
        make_batch([*served, end(50)], 50, 50.1, ahead),
    ]
    assert count_detections(batches) == 0


@pytest.mark.parametrize("delay", [0.1, 30, 600])
@pytest.mark.parametrize("ahead", [0, 7, -7, 500])
def test_failures_after_which_nothing_succeeds_are_found_at_any_delay(delay: float, ahead: float) -> None:
    batches = [
        make_batch([*rage(13), answer(15.2, 500, took=2.15)], 15.5, 15.5 + delay, ahead),
        make_batch([click(1), answer(1.4, 201), end(70)], 70, 70.1, ahead),
    ]
    assert count_detections(batches) == 1


def test_a_batch_without_sent_at_has_the_offset_of_its_session() -> None:
    batches = [
        make_batch(rage(), 7, 7.1, ahead=-40),
        make_batch([late_failure()], None, 8.1, ahead=-40),
    ]
    assert count_detections(batches) == 1
    ordered = order_events(play_batches(batches), DEFAULT)
    assert ordered.ts.tolist()[0] == T0 + 5_200  # 5.1 s plus the smallest delay


def test_a_late_batch_may_lower_the_offset() -> None:
    slow = [make_batch(rage(), 7, 15), make_batch([late_failure()], 8, 16.5)]
    before = order_events(play_batches(slow), DEFAULT).ts.tolist()
    after = order_events(play_batches([*slow, make_batch([end(30)], 30, 30.2)]), DEFAULT).ts.tolist()
    assert before[0] == T0 + 13_100
    assert after[0] == T0 + 5_100


def test_a_clock_ahead_by_less_than_its_delay_is_still_ahead() -> None:
    """12 s ahead, and one of two batches 40 s late: the smallest difference is that of the clock."""
    batches = [make_batch(rage(), 7, 47, ahead=12), make_batch([late_failure()], 8, 8.1, ahead=12)]
    assert order_events(play_batches(batches), DEFAULT).ts.tolist()[0] == T0 + 5_200
    assert count_detections(batches) == 1


def device_batches(ahead: float) -> list[Batch]:
    """A phone with a wrong clock reads a page; a computer with a right clock has the struggle. One session id."""
    return [
        make_batch([click(1, "menu"), click(3, "menu")], 4, 4.1, ahead, agent=PHONE),
        make_batch(rage(), 7, 7.1),
        make_batch([late_failure()], 8, 8.1),
    ]


@pytest.mark.parametrize("ahead", [0, 30, -30, 2 * HOUR, -2 * HOUR])
def test_each_device_of_a_session_has_its_own_clock(ahead: float) -> None:
    assert count_detections(device_batches(ahead)) == 1
    ordered = order_events(play_batches(device_batches(ahead)), DEFAULT)
    assert len(ordered.visits) == 1
    assert ordered.ts.max() - ordered.ts.min() == pytest.approx(6_300, abs=200)


def test_answers_that_a_server_reports_have_the_clock_of_the_server() -> None:
    """The browser is 40 s behind; the server that reports the failures is not, and names no sentAt."""
    batches = [
        make_batch(rage(), 7, 7.1, ahead=-40),
        make_batch([answer(7.3, 500, took=2.0)], None, 7.5, agent="python-requests/2.32"),
    ]
    assert count_detections(batches) == 1


@pytest.mark.parametrize("change", [HOUR, -HOUR, 300, -300])
def test_a_clock_that_is_set_in_mid_session_is_two_clocks(change: float) -> None:
    """A batch each 20 s; after two minutes the clock is set; a struggle on each side."""
    quiet = [click(10 + 20 * i, f"row-{i}") for i in range(20)]
    batches = [
        make_batch([event], event["t"] + 1, event["t"] + 1.1 + i % 3 * 0.1, 0 if i < 7 else change)
        for i, event in enumerate(quiet)
    ]
    batches.append(make_batch([*rage(115), late_failure(115)], 118, 118.3))
    batches.append(make_batch([*rage(395), late_failure(395), end(402)], 403, 403.2, change))
    ordered = order_events(play_batches(batches), DEFAULT)
    assert len(ordered.visits) == 1
    assert ordered.ts.max() - ordered.ts.min() == pytest.approx(392_000, abs=500)
    assert count_detections(batches) == 1


def test_delays_are_no_second_clock() -> None:
    """A tab that comes back from 20 min without a network sends what it kept: its delays shrink from batch to batch."""
    kept = [click(10 + 60 * i, f"row-{i}") for i in range(20)]
    batches = [make_batch([event], event["t"] + 1, 1210 + 0.5 * i) for i, event in enumerate(kept)]
    batches.append(make_batch([*rage(1230), late_failure(1230)], 1233, 1233.1))
    ordered = order_events(play_batches(batches), DEFAULT)
    assert ordered.ts.max() - ordered.ts.min() == 1_222_200


def test_delays_of_the_same_length_for_a_short_time_are_no_second_clock() -> None:
    """An outage of a minute: each batch is delivered by a retry exactly 30 s later."""
    batches = [make_batch([click(10 + 5 * i, f"row-{i}")], 11 + 5 * i, 41 + 5 * i) for i in range(12)]
    batches.append(make_batch([end(100)], 100, 100.1))
    ordered = order_events(play_batches(batches), DEFAULT)
    assert ordered.ts.tolist()[0] == T0 + 10_000


def test_the_first_copy_of_an_event_names_its_delay() -> None:
    """A request whose answer was lost is sent again, with a new sentAt: each event counts once."""
    events = [{**event, "idempotencyKey": str(i)} for i, event in enumerate([*rage(), late_failure()])]
    batches = [make_batch(events, 8, 8.1), make_batch(events, 60, 60.1), make_batch([end(70)], 70, 70.1)]
    assert count_detections(batches) == 1


@pytest.mark.parametrize("sent", [0, 1, 253_402_300_799_999, T0 - 10**12, T0 + 10**12])
def test_an_absurd_sent_at_raises_nothing(sent: int) -> None:
    body = {**make_batch(rage(), 7, 7.1)["body"], "sentAt": sent}
    batches = [make_batch([late_failure()], 8, 8.1), {"receivedMs": T0 + 7100, "body": body}]
    try:
        table = play_batches(batches)
    except AssertionError:
        return  # rejected at the door: in the future, or before 1970
    assert (order_events(table, DEFAULT).ts >= 0).all()
    judge_batches(batches)


def test_rows_without_the_clients_own_time_keep_the_stored_one() -> None:
    """Rows of before the columns existed were corrected by their own requests, and nothing can be taken back."""
    old = [stored_click(i, session_id="s") for i in (0.0, 1.0)]
    new = [
        {**stored_click(t), "client_ts": stored_click(t)["ts"] - 40_000, "sent_ms": stored_click(t + 1)["ts"] - 40_000}
        for t in (2.0, 3.0)
    ]
    new = [{**row, "received_ms": row["sent_ms"] + 40_000} for row in new]
    starts = sessionize(make_table([*old, *new]))
    assert (len(starts), int(starts.events[0])) == (1, 4)
    assert int(starts.end_ms[0] - starts.start_ms[0]) == 3_000
    assert run(old).detections == []


def test_a_table_without_the_columns_is_taken_as_it_is() -> None:
    table = play_batches([make_batch([*rage(), late_failure()], 8, 8.1)])
    plain = table.drop_columns(["client_ts", "sent_ms"])
    assert order_events(plain, DEFAULT).ts.tolist() == order_events(table, DEFAULT).ts.tolist()


def test_any_order_of_rows_gives_the_same_times() -> None:
    batches = [*device_batches(-HOUR), make_batch([end(40)], 40, 75), make_batch([click(12, "x")], None, 12.4)]
    table = play_batches(batches)
    times = order_events(table, DEFAULT).ts.tolist()
    for seed in range(5):
        rows = list(range(table.num_rows))
        random.Random(seed).shuffle(rows)
        mixed = table.take(rows)
        assert order_events(mixed, DEFAULT).ts.tolist() == times
    assert count_detections(batches[::-1]) == 1
