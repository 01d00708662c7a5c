"""What is said of a stream by its figures, and how they are kept over the days."""

from collections import Counter

import pytest

from lander.coverage import SPAN_US, Coverage, describe_stream_gaps

WHOLE = Counter(
    {"events": 900, "clicks": 50, "clicks with responded": 50, "clicks with a named target": 50, "network": 812,
     "network with a status": 812, "network with a url": 812, "network with a duration": 812, "session ends": 9,
     "with a route": 900}
)  # fmt: skip


def test_a_stream_that_lacks_nothing_is_not_spoken_of() -> None:
    assert describe_stream_gaps(WHOLE) == []


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("network with a status", "0 of 812 network events have a status"),
        ("clicks with responded", "0 of 50 clicks have `responded`"),
        ("clicks with a named target", "0 of 50 clicks name their target"),
        ("network", "0 of 900 events are of the network"),
        ("session ends", "0 of 900 events are a session_end"),
        ("with a route", "0 of 900 events have a route"),
    ],
)
def test_what_is_missing_is_said_with_its_figures(missing: str, words: str) -> None:
    (line,) = describe_stream_gaps({**WHOLE, missing: 0})
    assert line.startswith(words)


def test_nothing_is_said_of_a_stream_that_has_just_begun() -> None:
    assert describe_stream_gaps({"events": 3, "clicks": 2, "network": 1}) == []


def test_the_running_day_and_the_one_before_are_told() -> None:
    kept, now = Coverage(), 10 * SPAN_US
    assert kept.advance_period(now) == now - SPAN_US  # of an old installation, a day is counted
    kept.add_counts(WHOLE, now - 5)
    kept = Coverage.from_json(kept.to_json())
    assert kept.advance_period(now + 1) == now - 5  # then what is new alone
    assert kept.advance_period(now + SPAN_US + 1) == now - 5 or kept.until_us >= now - 5
    kept.add_counts({"events": 1}, now + SPAN_US)
    assert (kept.current["events"], kept.previous["events"]) == (1, 900)
    kept.advance_period(now + 9 * SPAN_US)  # nothing ran for days
    assert (kept.current, kept.previous) == (Counter(), Counter())


@pytest.mark.parametrize(
    "told", [None, [], {}, {"beganUs": "x"}, {"beganUs": 1, "untilUs": 2, "current": 3, "previous": 4}]
)
def test_a_status_file_of_another_version_begins_anew(told: object) -> None:
    assert Coverage.from_json(told) == Coverage()
