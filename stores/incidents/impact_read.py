"""Reads what was counted of incidents: how many sessions reached their steps, and how many they hit."""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import text

from incidents.impact import Reach, Share, compare_facet, is_fix_confirmed
from incidents.incident import DayRate, FacetRate, FixProof, Impact, Rate
from stores.incidents.incident_times import format_utc_time

SHOWN_DAYS: Final = 90
"""Days of the trend that are shown, the last ones (own choice)."""
_DIGITS: Final = 6
_DAY_MS: Final = 86_400_000

_TOTALS = text("""
    SELECT s.incident_id, coalesce(sum(r.reached), 0) AS reached, coalesce(sum(r.hit), 0) AS hit
    FROM incident_steps s LEFT JOIN incident_reach r ON r.incident_id = s.incident_id AND r.facet = ''
    WHERE s.incident_id = ANY(CAST(:ids AS text[])) GROUP BY s.incident_id
""")
_STEPS = text("""
    SELECT incident_id, kind, fixed_at, confirmed_at FROM incident_steps WHERE incident_id = ANY(CAST(:ids AS text[]))
""")
_COUNTS = text("""
    SELECT incident_id, facet, value, after_fix, sum(reached) AS reached, sum(hit) AS hit
    FROM incident_reach WHERE incident_id = ANY(CAST(:ids AS text[]))
    GROUP BY incident_id, facet, value, after_fix
""")
_DAYS = text(f"""
    SELECT incident_id, bucket_ms - bucket_ms % {_DAY_MS} AS day, sum(reached) AS reached, sum(hit) AS hit
    FROM incident_reach WHERE incident_id = ANY(CAST(:ids AS text[])) AND facet = ''
    GROUP BY incident_id, day ORDER BY incident_id, day
""")


def read_rates(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Rate]:
    """Of each of these incidents that is counted: the sessions that reached its step, and those that it hit."""
    rows = connection.execute(_TOTALS, {"ids": list(ids)}) if ids else ()
    return {row.incident_id: build_rate(_share(row)) for row in rows}


def read_impacts(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Impact]:
    """The impact of each of these incidents that is counted."""
    keys = {"ids": list(ids)}
    steps = {row.incident_id: row for row in connection.execute(_STEPS, keys)} if ids else {}
    if not steps:
        return {}
    reached = _read_reach(connection, keys)
    return {id_: _build_impact(step, reached.get(id_, Reach())) for id_, step in steps.items()}


def _read_reach(connection: sa.Connection, keys: Mapping[str, object]) -> dict[str, Reach]:
    counted: dict[str, dict[tuple[str, str, bool], Share]] = {}
    for row in connection.execute(_COUNTS, keys):
        counted.setdefault(row.incident_id, {})[row.facet, row.value, row.after_fix] = _share(row)
    days: dict[str, list[tuple[int, Share]]] = {}
    for row in connection.execute(_DAYS, keys):
        days.setdefault(row.incident_id, []).append((int(row.day), _share(row)))
    return {
        id_: Reach(
            shares.get(("", "", False), Share()),
            shares.get(("", "", True), Share()),
            _group_facets(shares, (False, True)),
            _group_facets(shares, (True,)),
            days.get(id_, [])[-SHOWN_DAYS:],
        )
        for id_, shares in counted.items()
    }


def _group_facets(shares: Mapping[tuple[str, str, bool], Share], sides: Sequence[bool]) -> dict[str, dict[str, Share]]:
    """By facet and value, the sessions before the fix, after it, or both."""
    facets: dict[str, dict[str, Share]] = {}
    for (facet, value, after), share in shares.items():
        if facet and after in sides:
            values = facets.setdefault(facet, {})
            values[value] = values.get(value, Share()) + share
    return facets


def _build_impact(step: "sa.Row[Any]", reach: Reach) -> Impact:
    whole, facets = reach.whole, reach.facets or {}
    return {
        **build_rate(whole),
        "step": step.kind,
        "byAppVersion": _build_facet(whole, facets.get("appVersions", {})),
        "byBrowser": _build_facet(whole, facets.get("browsers", {})),
        "byEnvironment": _build_facet(whole, facets.get("environments", {})),
        "byDay": [_build_day(day, share) for day, share in reach.days],
        "fix": _build_fix(step, reach) if step.fixed_at is not None else None,
    }


def _build_fix(step: "sa.Row[Any]", reach: Reach) -> FixProof:
    return {
        **build_rate(reach.since),
        "since": format_utc_time(step.fixed_at) or "",
        "before": build_rate(reach.before),
        "confirmed": is_fix_confirmed(reach.before, reach.since),
        "confirmedAt": format_utc_time(step.confirmed_at),
        "byAppVersion": _build_facet(reach.since, (reach.facets_since or {}).get("appVersions", {})),
    }


def _build_facet(whole: Share, values: Mapping[str, Share]) -> list[FacetRate]:
    return [
        {**build_rate(found.share), "value": found.value, "others": build_rate(found.others)}
        for found in compare_facet(whole, values)
    ]


def _build_day(day_ms: int, share: Share) -> DayRate:
    return {**build_rate(share), "day": datetime.fromtimestamp(day_ms / 1000, UTC).date().isoformat()}


def build_rate(share: Share) -> Rate:
    """The JSON of a share; proportions with six digits."""
    low, high = share.interval
    rate = share.rate
    return {
        "reached": share.reached,
        "hit": share.hit,
        "rate": None if rate is None else round(rate, _DIGITS),
        "low": round(low, _DIGITS),
        "high": round(high, _DIGITS),
    }


def _share(row: "sa.Row[Any]") -> Share:
    return Share(int(row.reached), int(row.hit))
