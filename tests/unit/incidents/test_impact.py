"""Shares of sessions: Wilson's interval against published values, comparisons of a facet, proof of a fix."""

import pytest

from incidents.impact import (
    Interval,
    Share,
    compare_facet,
    compute_wilson_interval,
    describe_proof,
    describe_share,
    is_fix_confirmed,
)

# R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I, method 3.
PUBLISHED = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("hit", "reached", "low", "high"), PUBLISHED)
def test_the_interval_is_the_published_one(hit: int, reached: int, low: float, high: float) -> None:
    found = compute_wilson_interval(hit, reached)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_three_of_ten() -> None:
    share = Share(10, 3)
    assert share.rate == 0.3
    assert tuple(round(bound, 4) for bound in share.interval) == (0.1078, 0.6032)


def test_the_ends_are_exact_and_nothing_is_known_of_none() -> None:
    assert compute_wilson_interval(0, 7).low == 0.0
    assert compute_wilson_interval(7, 7).high == 1.0
    assert compute_wilson_interval(0, 0) == Interval(0.0, 1.0)
    assert Share().rate is None


@pytest.mark.parametrize("reached", [1, 2, 3, 10, 1_000, 10**7])
def test_the_interval_holds_its_rate_and_is_symmetric(reached: int) -> None:
    for hit in {0, 1, reached // 3, reached // 2, reached}:
        found, mirrored = compute_wilson_interval(hit, reached), compute_wilson_interval(reached - hit, reached)
        assert 0.0 <= found.low <= hit / reached <= found.high <= 1.0
        assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)


@pytest.mark.parametrize(("hit", "reached"), [(-1, 3), (4, 3), (1, 0)])
def test_what_is_no_proportion_is_refused(hit: int, reached: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        compute_wilson_interval(hit, reached)


def test_a_version_is_compared_with_the_other_sessions() -> None:
    whole = Share(100, 12)
    found = compare_facet(whole, {"2.0": Share(20, 10), "1.9": Share(70, 2)})
    assert [(f.value, f.share, f.others) for f in found] == [
        ("1.9", Share(70, 2), Share(30, 10)),
        ("2.0", Share(20, 10), Share(80, 2)),
    ]


def test_a_facet_shows_the_values_of_most_sessions() -> None:
    values = {f"v{n}": Share(n, 0) for n in range(1, 100)}
    found = compare_facet(Share(5_000, 0), values)
    assert [f.value for f in found][:2] == ["v99", "v98"]
    assert len(found) == 20


def test_a_fix_is_confirmed_by_the_upper_bound_alone() -> None:
    before = Share(100, 30)  # 0 of n is below 3 % from n = 125 on
    assert not is_fix_confirmed(before, Share(124, 0))
    assert is_fix_confirmed(before, Share(125, 0))
    assert not is_fix_confirmed(before, Share(125, 1))
    assert is_fix_confirmed(before, Share(1_000, 10))


def test_without_an_old_rate_or_sessions_since_nothing_is_confirmed() -> None:
    assert not is_fix_confirmed(Share(), Share(10**6, 0))
    assert not is_fix_confirmed(Share(100, 0), Share(10**6, 0))
    assert not is_fix_confirmed(Share(100, 100), Share())


def test_the_proof_states_its_counts() -> None:
    assert describe_proof(Share(100, 30), Share(1_200, 2)) == (
        "confirmed fixed: 1,200 sessions reached this step since the fix, 2 hit it (at most 0.61% by the 95 % interval); "
        "before it 30 of 100 (30.00%)"
    )


def test_a_share_states_its_counts_and_interval() -> None:
    assert (
        describe_share(Share(10, 3)) == "3 of 10 sessions that reached this step (30.0%; 95 % interval 10.8% to 60.3%)"
    )
    assert (
        describe_share(Share(1, 1)) == "1 of 1 session that reached this step (100.0%; 95 % interval 20.7% to 100.0%)"
    )
    assert describe_share(Share()) == "no session reached this step"
