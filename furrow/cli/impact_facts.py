"""What `furrow incidents show` says about the sessions that reached the step of an incident."""

from collections.abc import Sequence
from typing import Final

from furrow.cli.common import format_minute
from incidents.impact import Share, describe_share
from incidents.incident import FacetRate, FixProof, Impact, Rate

_SHOWN: Final = 5
"""Values of a facet that are listed."""


def list_impact_facts(impact: Impact | None) -> list[tuple[str, object]]:
    """Names and texts of the facts; nothing while the incident is not counted."""
    if impact is None:
        return []
    return [
        ("hit", describe_share(_share_of(impact))),
        ("hit by version", _list_values(impact["byAppVersion"])),
        ("hit by browser", _list_values(impact["byBrowser"])),
        ("hit by environment", _list_values(impact["byEnvironment"])),
        *_list_fix_facts(impact["fix"]),
    ]


def _list_fix_facts(fix: FixProof | None) -> list[tuple[str, object]]:
    if fix is None:
        return []
    state = "confirmed by these counts" if fix["confirmed"] else "not confirmed by these counts"
    return [
        (f"since the fix of {format_minute(fix['since'])}", f"{describe_share(_share_of(fix))}: {state}"),
        ("before the fix", describe_share(_share_of(fix["before"]))),
    ]


def _list_values(rates: Sequence[FacetRate]) -> str:
    shown = [f"{rate['value']} {rate['hit']:,}/{rate['reached']:,} ({_format_rate(rate)})" for rate in rates[:_SHOWN]]
    return ", ".join(shown)


def _format_rate(rate: Rate) -> str:
    return "-" if rate["rate"] is None else f"{rate['rate']:.1%}"


def _share_of(rate: Rate) -> Share:
    return Share(rate["reached"], rate["hit"])
