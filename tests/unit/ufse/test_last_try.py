"""A last try without a recorded answer proves nothing (docs/contracts/detection.md, blocked)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, submit, typed

LIKE = {"target_type": "button", "target_id": "like", "target_label": "Like"}


def scene(*later: Row, until: float = 60) -> list[Row]:
    """A failed order, answered at 10.4 s, in a visit that shows other answers; then ``later``."""
    good = [click(3, LIKE), answer(3.3, 200, url="/api/likes")]
    return [go(0, "/checkout"), *good, click(10), answer(10.4, 500), *later, end(until)]


def is_blocked(rows: list[Row]) -> bool:
    return any("blocked" in {s["type"] for s in f["triggeringSignals"]} for f in bodies(rows))


@pytest.mark.parametrize("until", [22.0, 60.0])
@pytest.mark.parametrize("last", [[click(22)], [click(22), submit(22.02)], [click(22), click(22.3)]])
def test_a_last_try_without_an_answer_is_no_failed_retry(last: list[Row], until: float) -> None:
    assert not bodies(scene(*last, until=until))


@pytest.mark.parametrize(
    "later",
    [
        [click(22), answer(22.4, 500)],
        [click(22), click(26)],
        [click(22), typed(50), click(55)],
        [click(22), click(22.4), click(22.8)],
        [click(22), answer(22.4, 500), click(30)],
    ],
)
def test_a_try_that_failed_or_was_made_again_is_a_failed_retry(later: list[Row]) -> None:
    assert is_blocked(scene(*later))


@pytest.mark.parametrize("how", ["link", ""])
def test_a_page_that_failed_and_a_last_try_whose_page_is_lost_are_calm(how: str) -> None:
    """Amplitude and PostHog show the answer of a form as the page view after it."""
    failed = go(11, "/basket/add", how, status=500)
    assert not bodies([go(0, "/checkout"), click(10), submit(10.02), failed, go(16, "/checkout"), click(22), end(24)])
