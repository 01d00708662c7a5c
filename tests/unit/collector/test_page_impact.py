"""Whom an incident hits, as its page says it."""

import pytest

from collector.pages.impact import present_impact
from incidents.impact import Share, compare_facet
from incidents.incident import Impact
from stores.incidents.impact_read import build_rate


def build_impact(**versions: tuple[int, int]) -> Impact:
    """An impact by version: sessions that reached the step, and those that it hit."""
    shares = {name.replace("_", "."): Share(*counts) for name, counts in versions.items()}
    whole = Share(sum(share.reached for share in shares.values()), sum(share.hit for share in shares.values()))
    parts = [
        {**build_rate(found.share), "value": found.value, "others": build_rate(found.others)}
        for found in compare_facet(whole, shares)
    ]
    return {**build_rate(whole), "step": "control", "byAppVersion": parts, "byBrowser": [], "byEnvironment": [],
            "byDay": [], "fix": None}  # type: ignore[typeddict-item] # fmt: skip


@pytest.mark.parametrize(
    ("versions", "worst"),
    [
        ({"a": (1_000, 25), "b": (139, 11)}, "b"),
        ({"a": (1_000, 250), "b": (1, 1)}, "a"),  # one of one is a rate of 100 %, and says little
        ({"a": (1_000, 0), "b": (200, 1)}, "b"),
        ({"a": (1_000, 25)}, None),  # nothing to compare it with
        ({"a": (1_000, 0), "b": (200, 0)}, None),
        ({"a": (1_000, 25), "": (500, 20)}, None),  # sessions without a version are no version
    ],
)
def test_the_version_that_is_hit_most_is_named(versions: dict[str, tuple[int, int]], worst: str | None) -> None:
    shown = present_impact(build_impact(**versions))
    assert shown is not None
    assert (shown.worst.name if shown.worst else None) == worst
    assert set(shown.versions) == set(versions) - {""}


def test_a_version_is_compared_with_all_others() -> None:
    shown = present_impact(build_impact(a=(1_007, 25), b=(139, 11)))
    assert shown is not None
    assert shown.worst is not None
    assert (shown.worst.share.percent, shown.worst.others.percent, shown.worst.others.reached) == ("7.9", "2.5", 1_007)


def test_what_nobody_reached_is_not_shown() -> None:
    assert present_impact(build_impact()) is None
    assert present_impact(None) is None
