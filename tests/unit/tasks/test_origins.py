"""Who sent a session, as its receipts tell it."""

import pytest

from stores.incidents.incident_store import AnalysedSession, PendingSession, SessionOrigin
from tasks.origins import Sender, find_origin

SINCE = 500
"""Receipts are kept since then."""
FIRST = 1_000


def analysed(first_ms: int = FIRST) -> AnalysedSession:
    return AnalysedSession(PendingSession("shop", "s", 1, 1, 0, 0, first_ms), (), 1, first_ms=first_ms)


@pytest.mark.parametrize(
    ("senders", "expected"),
    [
        ([Sender(1_000, 5, 4)], SessionOrigin(5, 4)),
        # Over midnight: yesterday's hash is the link. Over two midnights: the receipts of the day between are.
        ([Sender(1_000, 5, 4), Sender(2_000, 6, 5)], SessionOrigin(6, 5)),
        ([Sender(1_000, 5, 4), Sender(2_000, 6, 5), Sender(3_000, 7, 6)], SessionOrigin(7, 6)),
        # A stranger: what is new counts as the stranger's.
        ([Sender(1_000, 5, 4), Sender(2_000, 15, 14)], SessionOrigin(15, 14, mixed=True)),
        ([Sender(1_000, 5, 4), Sender(2_000, 15, 14), Sender(3_000, 5, 4)], SessionOrigin(15, 14, mixed=True)),
        # Receipts whose first ones have expired: nobody knows who began.
        ([Sender(2_000, 5, 4)], SessionOrigin(5, 4, mixed=True)),
        ([], SessionOrigin(None, None, mixed=True)),
        # Connections without an address are of one source, which is not known.
        ([Sender(1_000, 0, 0)], SessionOrigin(None, None)),
        # The key is that of the newest source, and of its newest receipt.
        ([Sender(1_000, 5, 4, 77)], SessionOrigin(5, 4, key=77)),
        ([Sender(1_000, 5, 4, 77), Sender(2_000, 5, 4, 78)], SessionOrigin(5, 4, key=78)),
        ([Sender(1_000, 5, 4, 77), Sender(2_000, 15, 14, 0)], SessionOrigin(15, 14, mixed=True)),
    ],
)
def test_origin(senders: list[Sender], expected: SessionOrigin) -> None:
    assert find_origin(analysed(), senders, SINCE) == expected


def test_what_came_before_receipts_were_kept_is_a_source_of_its_own() -> None:
    assert find_origin(analysed(400), [], SINCE) is None
    # What comes into it later is somebody's; nobody knows whether the same one's.
    assert find_origin(analysed(400), [Sender(2_000, 5, 4)], SINCE) == SessionOrigin(5, 4, mixed=True)


def test_a_backfill_is_no_late_event() -> None:
    assert find_origin(analysed(), [], SINCE, backfill=True) == SessionOrigin(None, None)
    assert find_origin(analysed(), [Sender(2_000, 5, 4)], SINCE, backfill=True) == SessionOrigin(5, 4)
    both = [Sender(1_000, 5, 4), Sender(2_000, 15, 14)]
    assert find_origin(analysed(), both, SINCE, backfill=True) == SessionOrigin(15, 14, mixed=True)
