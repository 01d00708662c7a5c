"""The versions of sessions that can show that the fix of an incident does not hold.

Pure parts: `incidents.fixes`, `incidents.versions`; why: docs/decisions/0139.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import text

from incidents.fixes import Fix, SeenVersion, choose_showing_versions
from incidents.versions import Release, ReleaseOrder
from stores.incidents.incident_detection import encode_json_text

_SEPARATOR: Final = "\x1f"
# What was seen of each incident since its fix. Versions of senders that do not count are left out.
_SEEN = text("""
    SELECT DISTINCT d.incident_id, d.environment, d.app_version
    FROM incidents i
    JOIN detections d ON d.incident_id = i.incident_id AND d.retracted_at IS NULL AND d.received_at > i.resolved_at
        AND NOT d.suspect AND NOT d.key_suspect
    WHERE i.incident_id = ANY(CAST(:ids AS text[]))
""")
# A version may have been told with its branch in another form (`v2.5` for `2.5.0`) than sessions and fixes name it in.
_RELEASES = text("""
    SELECT project, environment, version, branch, coalesce(released_at, first_seen) AS at, released_at IS NOT NULL AS is_added
    FROM releases
    WHERE project = ANY(CAST(:projects AS text[])) AND version = ANY(CAST(:versions AS text[]))
    UNION
    (SELECT project, environment, version, branch, coalesce(released_at, first_seen) AS at, released_at IS NOT NULL AS is_added
    FROM releases
     WHERE project = ANY(CAST(:projects AS text[])) AND branch <> ''
     ORDER BY coalesce(released_at, first_seen) DESC LIMIT :limit)
""")
_MOST_RELEASES: Final = 2_000
"""Releases, the newest, among which other forms of a version are looked for."""


def find_showing_versions(connection: sa.Connection, rows: "Sequence[sa.Row[Any]]") -> dict[str, list[SeenVersion]]:
    """Of those of these incidents whose fix has a place: the versions of their detections since then that can show that it does
    not hold. Any version shows it of an incident that is left out."""
    fixes = {row.incident_id: (row.project, fix) for row in rows if row.resolved_at and str(fix := _read_fix(row))}
    if not fixes:
        return {}
    seen: dict[str, list[SeenVersion]] = {}
    for found in connection.execute(_SEEN, {"ids": sorted(fixes)}):
        seen.setdefault(found.incident_id, []).append(SeenVersion(found.environment, found.app_version))
    versions = {entry.version for listed in seen.values() for entry in listed} | {
        fix.version for _, fix in fixes.values()
    }
    orders = read_release_orders(connection, sorted({project for project, _ in fixes.values()}), sorted(versions))
    nothing = ReleaseOrder()
    return {
        id_: choose_showing_versions(fix, seen.get(id_, ()), orders.get(project, nothing))
        for id_, (project, fix) in fixes.items()
    }


def read_release_orders(
    connection: sa.Connection, projects: Sequence[str], versions: Sequence[str]
) -> Mapping[str, ReleaseOrder]:
    """The order of these ``versions`` in each of the ``projects`` that knows one of them."""
    known: dict[str, list[Release]] = {}
    values = {"projects": list(projects), "versions": list(versions), "limit": _MOST_RELEASES}
    for row in connection.execute(_RELEASES, values):
        release = Release(row.version, row.environment, row.branch, row.at, row.is_added)
        known.setdefault(row.project, []).append(release)
    return {project: ReleaseOrder(releases) for project, releases in known.items()}


def encode_versions(versions: Sequence[SeenVersion] | None) -> str | None:
    """The ``versions`` as the JSON array that statements look them up in; None if any version counts."""
    return None if versions is None else encode_json_text([_SEPARATOR.join(entry) for entry in versions])


def _read_fix(row: "sa.Row[Any]") -> Fix:
    return Fix(row.fix_version, row.fix_environment, row.fix_next)
