"""What the page of an incident shows of its impact: whom it hits of those who reached the step, and whether a fix holds."""

from typing import NamedTuple

from incidents.incident import FacetRate, Impact, Rate


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
    """All that is shown. ``share``: of all counted sessions; ``worst``: the version with the highest lower bound of several."""

    share: ShownRate
    versions: dict[str, ShownVersion]
    worst: ShownVersion | None
    fix: ShownFix | None


def present_impact(impact: Impact | None) -> ShownImpact | None:
    """The impact for the template; None where it is not counted yet, or where no session reached the step."""
    if not impact or not impact["reached"]:
        return None
    fix = impact["fix"]
    known = [part for part in impact["byAppVersion"] if part["value"]]
    versions = {part["value"]: _present_version(part) for part in known}
    # By the lower bound: one session of one is no surer than 90 of 100.
    worst = max(known, key=lambda part: part["low"])["value"] if len(known) > 1 and impact["hit"] else None
    return ShownImpact(
        _present_rate(impact),
        versions,
        versions[worst] if worst else None,
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
