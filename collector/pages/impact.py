"""What the page of an incident shows of its impact: whom it hits of those who reached the step, and whether a fix holds."""

from typing import NamedTuple

from incidents.incident import FacetRate, Impact, Rate

SHOWN_VERSIONS = 5
"""Versions of the application with their rates (own choice)."""


class ShownRate(NamedTuple):
    """``hit`` of ``reached`` sessions; the others are percentages, as texts: the rate and its 95 % interval."""

    hit: int
    reached: int
    percent: str
    low: str
    high: str


class ShownVersion(NamedTuple):
    """The sessions of one version, and all others that reached the step."""

    name: str
    share: ShownRate
    others: ShownRate


class ShownFix(NamedTuple):
    """The sessions since a fix at ``since`` (ISO 8601)."""

    since: str
    share: ShownRate
    confirmed: bool


class ShownImpact(NamedTuple):
    """All that is shown; ``share`` is of all counted sessions."""

    share: ShownRate
    versions: list[ShownVersion]
    fix: ShownFix | None


def present_impact(impact: Impact | None) -> ShownImpact | None:
    """The impact for the template; None where it is not counted yet, or where no session reached the step."""
    if not impact or not impact["reached"]:
        return None
    fix = impact["fix"]
    return ShownImpact(
        _present_rate(impact),
        [_present_version(part) for part in impact["byAppVersion"] if part["value"]][:SHOWN_VERSIONS],
        ShownFix(fix["since"], _present_rate(fix), fix["confirmed"]) if fix else None,
    )


def _present_version(part: FacetRate) -> ShownVersion:
    return ShownVersion(part["value"], _present_rate(part), _present_rate(part["others"]))


def _present_rate(rate: Rate) -> ShownRate:
    share = rate["rate"]
    percent = "" if share is None else format_percent(share)
    return ShownRate(rate["hit"], rate["reached"], percent, format_percent(rate["low"]), format_percent(rate["high"]))


def format_percent(share: float) -> str:
    """A proportion of 0 to 1 as a percentage with at most one decimal; a small part is not shown as none."""
    if 0 < share < 0.001:
        return "< 0.1"
    return f"{100 * share:.1f}".removesuffix(".0")
