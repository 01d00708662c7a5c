"""Who sent a session, as its receipts tell it."""

import pytest

from stores.incidents.incident_store import Analysed, Origin, Pending
from tasks.origins import Sender, origin_of

SINCE = 500
"""Receipts are kept since then."""
FIRST = 1_000


def analysed(first_ms: int = FIRST) -> Analysed:
    return Analysed(Pending("shop", "s", 1, 1, 0, 0, first_ms), (), 1, first_ms=first_ms)


@pytest.mark.parametrize(
    ("senders", "expected"),
    [
        ([Sender(1_000, 5, 4)], Origin(5, 4)),
        # Over midnight: yesterday's hash is the link. Over two midnights: the receipts of the day between are.
        ([Sender(1_000, 5, 4), Sender(2_000, 6, 5)], Origin(6, 5)),
        ([Sender(1_000, 5, 4), Sender(2_000, 6, 5), Sender(3_000, 7, 6)], Origin(7, 6)),
        # A stranger: what is new counts as the stranger's.
        ([Sender(1_000, 5, 4), Sender(2_000, 15, 14)], Origin(15, 14, mixed=True)),
        ([Sender(1_000, 5, 4), Sender(2_000, 15, 14), Sender(3_000, 5, 4)], Origin(15, 14, mixed=True)),
        # Receipts whose first ones have expired: nobody knows who began.
        ([Sender(2_000, 5, 4)], Origin(5, 4, mixed=True)),
        ([], Origin(None, None, mixed=True)),
        # Connections without an address are of one source, which is not known.
        ([Sender(1_000, 0, 0)], Origin(None, None)),
    ],
)
def test_origin(senders: list[Sender], expected: Origin) -> None:
    assert origin_of(analysed(), senders, SINCE) == expected


def test_what_came_before_receipts_were_kept_is_a_source_of_its_own() -> None:
    assert origin_of(analysed(400), [], SINCE) is None
    # What comes into it later is somebody's; nobody knows whether the same one's.
    assert origin_of(analysed(400), [Sender(2_000, 5, 4)], SINCE) == Origin(5, 4, mixed=True)


def test_a_backfill_is_no_late_event() -> None:
    assert origin_of(analysed(), [], SINCE, backfill=True) == Origin(None, None)
    assert origin_of(analysed(), [Sender(2_000, 5, 4)], SINCE, backfill=True) == Origin(5, 4)
    both = [Sender(1_000, 5, 4), Sender(2_000, 15, 14)]
    assert origin_of(analysed(), both, SINCE, backfill=True) == Origin(15, 14, mixed=True)
