"""The order of versions: its laws, and how versions are written."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.versions import Release, ReleaseOrder, compare_versions, parse_version

MONDAY = datetime(2025, 11, 24, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)

numbers_ = st.lists(st.integers(0, 30), min_size=2, max_size=4).map(lambda parts: ".".join(map(str, parts)))
versions_ = st.builds(
    lambda prefix, numbers, stage, build: f"{prefix}{numbers}{stage}{build}",
    st.sampled_from(["", "v", "app@", "release-"]),
    numbers_,
    st.sampled_from(
        ["", "-alpha", "-alpha.1", "-rc.1", "rc10", "-rc.2", ".post1", "-3-gdeadbee", "-SNAPSHOT", ".Final"]
    ),
    st.sampled_from(["", "+1", "+22", "+abc"]),
)
dates_ = st.dates(min_value=MONDAY.date() - 900 * DAY, max_value=MONDAY.date() + 900 * DAY)
names_ = st.text("abcdef0123456789", min_size=7, max_size=12).filter(lambda name: not name.isdecimal())
anything_ = versions_ | names_ | dates_.map(str) | st.text(max_size=20)


@given(versions_, versions_, versions_)
def test_what_has_numbers_is_a_total_order(first: str, second: str, third: str) -> None:
    keys = [found.order for text in (first, second, third) if (found := parse_version(text))]
    assert len(keys) == 3
    low, middle, high = sorted(keys)
    assert low <= middle <= high
    assert low <= high
    assert (low < high) + (low == high) + (low > high) == 1


@given(anything_, anything_)
def test_a_comparison_turned_round_is_the_opposite(one: str, other: str) -> None:
    there, back = compare_versions(one, other), compare_versions(other, one)
    assert back == (None if there is None else -there)
    assert compare_versions(one, one) == 0


@given(anything_, anything_, anything_)
def test_newer_than_a_newer_one_is_newer(first: str, second: str, third: str) -> None:
    for low, middle, high in permutations((first, second, third)):
        if compare_versions(low, middle) == compare_versions(middle, high) == -1:
            assert compare_versions(low, high) == -1


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=6))
def test_dotted_numbers_are_ordered_as_numbers(listed: list[list[int]]) -> None:
    texts = [".".join(map(str, parts)) for parts in sorted(listed)]
    for (low, below), (high, above) in pairwise(zip(texts, sorted(listed), strict=True)):
        assert compare_versions(low, high) == (0 if below == above else -1)


@given(dates_, dates_, st.sampled_from(["%Y-%m-%d", "%Y.%m.%d", "%Y%m%d", "release-%Y-%m-%d", "v%Y.%m.%d"]))
def test_calendar_versions_are_ordered_by_their_dates(one: datetime, other: datetime, form: str) -> None:
    compared = compare_versions(one.strftime(form), other.strftime(form))
    assert compared == (one > other) - (one < other)
    assert compare_versions(one.strftime("%Y-%m-%d"), one.strftime(form)) == 0


ASCENDING = (
    (
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
    ),
    (
        "2.4.0",
        "2.4.1",
        "2.4.1-7-g0123abc",
        "2.5.0rc2",
        "2.5.0-rc10",
        "2.5.0-SNAPSHOT",
        "2.5",
        "2.5.0.post1",
        "2.5.1",
        "2.10",
    ),
    ("v2.4.9", "web@2.5.0+7", "web@2.5.0+33", "Web 2.6"),
    ("17", "118", "118000"),
    ("20251127", "2025-11-28", "2025-11-28.2", "2025.11.29"),
    ("2025-11", "2025-12"),
)


@pytest.mark.parametrize("listed", ASCENDING, ids=lambda listed: listed[0])
def test_how_versions_are_written(listed: tuple[str, ...]) -> None:
    for number, low in enumerate(listed):
        for high in listed[number + 1 :]:
            assert (low, high, compare_versions(low, high)) == (low, high, -1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2.5", "v2.5.0"),
        ("2.5.0+abc", "2.5.0"),
        ("2.5.0.Final", "2.5"),
        ("2025-11-28", "20251128"),
        ("2.5-rc1", "2.5.0-RC.1"),
    ],
)
def test_one_version_has_several_forms(one: str, other: str) -> None:
    assert compare_versions(one, other) == 0


@pytest.mark.parametrize("name", ["", "main", "deadbee", "1234abc", "1234567", "20251399", "12e4", "latest-2"])
def test_names_and_hashes_have_no_numbers(name: str) -> None:
    assert parse_version(name) is None
    assert compare_versions(name, "2.5.0") is None


def test_builds_of_one_version_with_hashes_are_ordered_by_their_time() -> None:
    assert compare_versions("2.5.0+abc1234", "2.5.0+dead123") is None
    order = ReleaseOrder([Release("2.5.0+abc1234", at=MONDAY), Release("2.5.0+dead123", at=MONDAY + DAY)])
    assert order.compare("2.5.0+abc1234", "2.5.0+dead123") == -1


def test_names_are_ordered_by_their_times_in_an_environment() -> None:
    order = ReleaseOrder(
        [
            Release("aaa", "production", at=MONDAY),
            Release("bbb", "production", at=MONDAY + DAY),
            Release("bbb", "staging", at=MONDAY - DAY),
            Release("aaa", "staging", at=MONDAY),
            Release("ccc", "", at=MONDAY + 2 * DAY),
            Release("ddd", "production", at=MONDAY + DAY),
        ]
    )
    assert order.compare("aaa", "bbb", "production") == -1
    assert order.compare("aaa", "bbb", "staging") == 1
    assert order.compare("aaa", "ccc", "staging") == -1  # told for all environments
    assert order.compare("aaa", "bbb", "test") is None
    assert order.compare("bbb", "ddd", "production") is None  # at the same time
    assert order.is_not_older("bbb", "aaa", "production")
    assert order.is_not_older("aaa", "aaa", "unknown")
    assert not order.is_not_older("aaa", "bbb", "production")
    assert not order.is_not_older("zzz", "aaa", "production")
    assert not order.is_not_older("", "aaa", "production")


def test_of_two_branches_numbers_count_only_where_the_times_agree() -> None:
    order = ReleaseOrder(
        [
            Release("2.5.0", branch="main", at=MONDAY),
            Release("2.4.1", branch="hotfix", at=MONDAY + DAY),
            Release("2.6.0", branch="main", at=MONDAY + 2 * DAY),
            Release("fff", branch="hotfix", at=MONDAY + 3 * DAY),
            Release("eee", branch="main", at=MONDAY),
            Release("ggg", at=MONDAY + 4 * DAY),
        ]
    )
    assert order.compare("2.6.0", "2.4.1") == 1
    assert order.compare("2.5.0", "2.4.1") is order.compare("2.4.1", "2.5.0") is None  # it came out before the hotfix
    assert order.compare("2.6.0", "2.5.0") == 1
    assert order.compare("fff", "eee") is None
    assert order.compare("ggg", "eee") == 1  # of a branch that nobody told


releases_ = st.lists(
    st.builds(
        Release,
        anything_,
        st.sampled_from(["", "production"]),
        st.sampled_from(["", "main", "hotfix"]),
        st.none() | st.integers(0, 5).map(lambda days: MONDAY + days * DAY),
    ),
    max_size=6,
)


@given(releases_, anything_, anything_)
def test_the_order_of_releases_turned_round_is_the_opposite(listed: list[Release], one: str, other: str) -> None:
    order = ReleaseOrder(listed)
    for version in (one, *(release.version for release in listed)):
        there, back = order.compare(version, other, "production"), order.compare(other, version, "production")
        assert back == (None if there is None else -there)
