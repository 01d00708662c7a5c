"""Rules that no labelled set needs, each with the cases that it exists for: without it, these become detections."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, error, go, submit, typed, why

BEAT, TAG = "/api/heartbeat", "https://tags.example/collect"
NAMELESS: Row = {"target_type": "button"}


def button(name: str) -> Row:
    return {"target_type": "button", "target_id": name, "target_label": name.title()}


def beats(first: float, every: float, count: int) -> list[Row]:
    """A poll that fails each time."""
    return [answer(first + every * i, 503, 0.1, BEAT) for i in range(count)]


def tags(*at: float) -> list[Row]:
    """Answers of a third party that is down."""
    return [answer(t, 502, 0.3, TAG, third_party=1) for t in at]


@pytest.mark.parametrize(
    "rows",
    [
        [
            *beats(6.3, 3, 10),
            *(click(3 * i - 0.2 * (i % 3), button("save" if i % 2 else "apply")) for i in range(2, 12)),
        ],
        [*beats(2, 2, 14), *(click(3.1 + 0.8 * i, button("save")) for i in range(26))],
    ],
    ids=["two controls in turn", "one control again and again"],
)
def test_a_failing_poll_keeps_its_pace_whatever_is_pressed(rows: list[Row]) -> None:
    """Every answer falls near a click, so only its even pace shows that it is nobody's (``_find_clocked_groups``)."""
    assert why([go(0, "/checkout"), *rows, end(70)]) == "background"


@pytest.mark.parametrize(
    "rows",
    [
        [*(click(5 + 4 * i, NAMELESS) for i in range(4)), *tags(5.6, 9.6, 13.6, 17.6)],
        [*(click(5 + 0.5 * i, NAMELESS, x=100, y=100) for i in range(5)), *tags(5.8, 6.6)],
    ],
    ids=["one after the other", "in a burst"],
)
def test_a_tag_that_fails_after_clicks_without_names_is_no_answer(rows: list[Row]) -> None:
    """Which control was pressed is not known, and a tag fails whatever it was (``_find_vague_groups``)."""
    assert why([go(0, "/checkout"), *rows, end(30)]) == "background"


@pytest.mark.parametrize("accepted", [[12.6], [5.6, 12.6]], ids=["in the end", "each time"])
def test_a_form_whose_own_request_was_accepted_is_resolved_though_a_read_failed(accepted: list[float]) -> None:
    """``_successes_by_own_request``."""
    reads = [row for t in (5, 12) for row in (submit(t), answer(t + 0.3, 500, 0.2, "/api/rates", "GET"))]
    assert why([go(0, "/checkout"), typed(2), *reads, *(answer(t, 201, 0.2) for t in accepted), end(60)]) == "resolved"


def test_two_failures_of_controls_without_names_may_be_of_two_controls() -> None:
    """Neither the control nor the error is known: the second is no retry of the first (``_count_doubtful_retries``)."""
    rows = [row for t in (5, 12) for row in (click(t, NAMELESS), error(t + 0.1, ""))]
    assert why([go(0, "/checkout"), typed(2), *rows, go(20, "/cart"), end(140, "/cart")]) == "below_high"
