"""The reached shares of the pairs (README.md) do not get worse."""

from pathlib import Path

import pytest

from tests.grouping.__main__ import is_right
from tests.grouping.scenes import find_fingerprints, read_pairs


def test_one_bug_is_one_incident_and_two_stay_two(tmp_path: Path) -> None:
    pairs = read_pairs()
    assert len(pairs) >= 350
    right = [
        (pair, is_right(pair, found)) for pair, found in zip(pairs, find_fingerprints(pairs, tmp_path), strict=True)
    ]
    for aside, one, two in ((False, 99, 100), (True, 97, 100)):
        for bugs, least in (("one", one), ("two", two)):
            share = [ok for pair, ok in right if (pair.bugs, pair.aside) == (bugs, aside)]
            assert 100 * sum(share) / len(share) >= least, (bugs, aside, sum(share), len(share))


@pytest.mark.parametrize("bugs", ["one", "two"])
def test_both_halves_hold_pairs_of_each_kind(bugs: str) -> None:
    pairs = [pair for pair in read_pairs() if pair.bugs == bugs]
    assert 0.4 < sum(pair.aside for pair in pairs) / len(pairs) < 0.6
