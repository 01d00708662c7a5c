"""Releases of projects: told by operators, or seen in the stream (docs/decisions/0139).

What is known of a version costs one look-up; only what is new is written. Browsers name versions, so those that were only seen
are bounded, and one is a release for "fixed in the next release" when sessions of two senders have it.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from core.errors import PermanentError
from incidents.fixes import Fix, SeenVersion, check_name, choose_showing_versions, is_name
from incidents.lifecycle import RULE
from incidents.releases import NewRelease, ReleaseRecord
from incidents.versions import Release, ReleaseOrder
from stores.incidents.incident_database import Database, clean_for_postgres
from stores.incidents.incident_fixes import read_release_orders
from stores.incidents.incident_resolution import set_fix
from stores.incidents.incident_times import format_utc_time

MOST_SEEN: Final = 5_000
"""Versions of a project that are kept though nobody told them (own choice); more replace those that one sender alone showed."""
MOST_LISTED: Final = 1_000
MOST_SHOWING: Final = 1_000
"""Versions, the newest, whose sessions may count for the proof of one fix."""
_SOURCE_DAYS: Final = 8
"""Days after which the hash of a sender is deleted, as in the receipts."""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('furrow releases ' || :project, 0))")
_ADD = text("""
    INSERT INTO releases AS r (project, environment, version, branch, released_at, added_by)
    VALUES (:project, :environment, :version, :branch, :at, :actor)
    ON CONFLICT (project, environment, version) DO UPDATE
        SET branch = excluded.branch, released_at = excluded.released_at, added_by = excluded.added_by, noted_at = now()
    WHERE (r.branch, r.released_at) IS DISTINCT FROM (excluded.branch, excluded.released_at)
    RETURNING 1
""")
_ORDER_CHANGED = text("""
    UPDATE incident_steps s SET fixed_in = 'again' FROM incidents i
    WHERE i.incident_id = s.incident_id AND i.project = :project AND i.fix_version <> '' AND s.fixed_in <> ''
""")
_LIST = text("""
    SELECT project, environment, version, branch, released_at, first_seen, added_by FROM releases
    WHERE (CAST(:project AS text) IS NULL OR project = :project)
      AND (CAST(:environment AS text) IS NULL OR environment = :environment)
    ORDER BY coalesce(released_at, first_seen) DESC, project, environment, version LIMIT :limit
""")
# Known versions are left alone: their rows are not even locked.
_MISSING = text("""
    SELECT k.project, k.environment, k.version
    FROM unnest(CAST(:project AS text[]), CAST(:environment AS text[]), CAST(:version AS text[]),
                CAST(:at AS timestamptz[])) AS k(project, environment, version, at)
    LEFT JOIN releases r USING (project, environment, version)
    WHERE r.first_seen IS NULL OR r.first_seen > k.at
""")
_SEE = text("""
    INSERT INTO releases AS r (project, environment, version, first_seen) VALUES (:project, :environment, :version, :at)
    ON CONFLICT (project, environment, version) DO UPDATE SET first_seen = least(r.first_seen, excluded.first_seen)
""")
_SEEN_NUMBER = text("SELECT count(*) FROM releases WHERE project = :project AND released_at IS NULL")
_DROP_RARE = text("""
    DELETE FROM releases WHERE (project, environment, version) IN (
        SELECT project, environment, version FROM releases
        WHERE project = :project AND released_at IS NULL AND NOT spread ORDER BY noted_at, environment, version LIMIT :number)
""")
_NOT_SPREAD = text("""
    SELECT r.project, r.environment, r.version, r.sources
    FROM unnest(CAST(:project AS text[]), CAST(:environment AS text[]), CAST(:version AS text[]))
         AS k(project, environment, version)
    JOIN releases r USING (project, environment, version) WHERE NOT r.spread
    ORDER BY r.project, r.environment, r.version
""")
_SPREAD = text("""
    UPDATE releases SET spread = :spread, sources = CAST(:sources AS bigint[]), noted_at = now()
    WHERE (project, environment, version) = (:project, :environment, :version)
""")
_FORGET = text("""
    UPDATE releases SET sources = '{}' WHERE sources <> '{}' AND noted_at < now() - make_interval(days => :days)
""")
_WAIT_FOR_NEXT = text("""
    SELECT i.*, coalesce((SELECT c.value FROM incident_counts c WHERE c.incident_id = i.incident_id AND c.kind = 'appVersions'
                          ORDER BY c.number DESC, c.value LIMIT 1), '') AS usual_version
    FROM incidents i
    WHERE i.fix_next AND i.status = 'resolved' AND i.project = ANY(CAST(:projects AS text[]))
    ORDER BY i.incident_id FOR NO KEY UPDATE OF i
""")
_LATER = text("""
    SELECT environment, version, coalesce(released_at, first_seen) AS at FROM releases
    WHERE project = :project AND (:environment = '' OR environment IN ('', :environment))
      AND version <> '' AND (released_at IS NOT NULL OR spread) AND coalesce(released_at, first_seen) > :since
    ORDER BY at, environment, version
""")
_SHOWN = text("""
    SELECT project, environment, version, branch, coalesce(released_at, first_seen) AS at, released_at IS NOT NULL AS is_added
    FROM releases WHERE project = ANY(CAST(:projects AS text[])) ORDER BY at DESC, environment, version
""")


class VersionSight(NamedTuple):
    """Sessions of a project had this version in this environment; ``at``: the first receipt."""

    project: str
    environment: str
    version: str
    at: datetime

    @property
    def key(self) -> "VersionKey":
        """What the sight is of."""
        return VersionKey(self.project, self.environment, self.version)

    @property
    def is_usable(self) -> bool:
        """Whether it can be noted."""
        return is_name(self.version) and (not self.environment or is_name(self.environment))


class VersionKey(NamedTuple):
    """A version of a project in an environment."""

    project: str
    environment: str
    version: str


class ReleaseBook:
    """The releases of all projects. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_release(self, release: NewRelease, actor: str) -> list[str]:
        """Store a release; the same again changes nothing. Returns the incidents that were fixed in the next release, which is
        this one. Raises FixError for names that cannot be such."""
        version = check_name("version", release.version)
        if not version:
            raise PermanentError("a release has a version")
        values = {
            "project": release.project,
            "version": version,
            "environment": check_name("environment", release.environment),
            "branch": check_name("branch", release.branch),
            "at": release.at or datetime.now(UTC),
            "actor": clean_for_postgres(actor)[:200],
        }
        with self._database.open_transaction() as connection:
            connection.execute(_LOCK, {"project": release.project})
            if connection.execute(_ADD, values).one_or_none() is None:
                return []
            # Incidents are locked before their steps, as by the count of impact.
            adopted = adopt_next_releases(connection, [release.project])
            connection.execute(_ORDER_CHANGED, {"project": release.project})
            return adopted

    def list_releases(
        self, project: str | None, environment: str | None = None, limit: int = 100
    ) -> list[ReleaseRecord]:
        """The last releases, the newest first; ``project`` or ``environment`` None: of all."""
        values = {"project": project, "environment": environment, "limit": min(limit, MOST_LISTED)}
        with self._database.open_transaction() as connection:
            return [_build_release_json(row) for row in connection.execute(_LIST, values)]

    def forget_senders(self) -> None:
        """Delete the hashes of senders that were noted more than eight days ago, also where no session comes any more."""
        with self._database.open_transaction() as connection:
            connection.execute(_FORGET, {"days": _SOURCE_DAYS})


def see_versions(connection: sa.Connection, sights: Sequence[VersionSight]) -> None:
    """Note when versions were first seen. Costs one look-up for those that are known.

    Names that no release can have (spaces around them, control characters) are left out: what browsers send may be anything.
    """
    first: dict[VersionKey, datetime] = {}
    for sight in sights:
        if sight.is_usable:
            key = sight.key
            first[key] = min(first.get(key, sight.at), sight.at)
    if not first:
        return
    columns = {**_build_columns(list(first)), "at": list(first.values())}
    missing = sorted(VersionKey._make(row) for row in connection.execute(_MISSING, columns))
    for project in sorted({key.project for key in missing}):
        connection.execute(_LOCK, {"project": project})
        _make_room(connection, project, sum(key.project == project for key in missing))
        new = [{**key._asdict(), "at": first[key]} for key in missing if key.project == project]
        connection.execute(_SEE, new[:MOST_SEEN])


def _make_room(connection: sa.Connection, project: str, wanted: int) -> None:
    """Drop versions that one sender alone showed, the oldest first, if there are too many."""
    surplus = int(connection.execute(_SEEN_NUMBER, {"project": project}).scalar_one()) + wanted - MOST_SEEN
    if surplus > 0:
        connection.execute(_DROP_RARE, {"project": project, "number": surplus})


def find_unspread_versions(connection: sa.Connection, keys: Sequence[VersionKey]) -> dict[VersionKey, list[int]]:
    """Those of these versions of which one sender at most is known, with its hash."""
    rows = connection.execute(_NOT_SPREAD, _build_columns(keys)) if keys else ()
    return {VersionKey(row.project, row.environment, row.version): list(row.sources) for row in rows}


def note_sources(
    connection: sa.Connection, known: Mapping[VersionKey, list[int]], seen: Mapping[VersionKey, Sequence[Sequence[int]]]
) -> list[VersionKey]:
    """Note who sent sessions with versions (``find_unspread_versions``). Returns those that a second sender has now.

    ``seen``: of each sender of a version the hashes that it has, that of its day first.
    """
    connection.execute(_FORGET, {"days": _SOURCE_DAYS})
    spread = []
    for key, stored in sorted(known.items()):
        names = set(stored)
        kept = list(stored)
        others = False
        for hashes in seen.get(key, ()):
            if names and not names & set(hashes):
                others = True
                break
            names |= set(hashes)
            kept = kept or [hashes[0]]
        if others:
            spread.append(key)
        if others or kept != stored:
            values = {**key._asdict(), "spread": others, "sources": [] if others else kept}
            connection.execute(_SPREAD, values)
    return spread


def adopt_next_releases(connection: sa.Connection, projects: Sequence[str]) -> list[str]:
    """Give the incidents that wait for the next release of these projects its version, if it came. Returns their ids.

    It is the first one after the resolution, told or shown by two senders, in the environment of the fix, that is not known to
    be as old as the version of most sessions of the incident, or to be of another branch than that.
    """
    waiting = connection.execute(_WAIT_FOR_NEXT, {"projects": sorted(set(projects))}).all()
    adopted = []
    for row in waiting:
        version = _find_next_release(connection, row)
        if version:
            fix = Fix(version, row.fix_environment)
            set_fix(connection, row, fix, "the first release after it was resolved", RULE)
            adopted.append(row.incident_id)
    return adopted


def _find_next_release(connection: sa.Connection, row: "sa.Row[Any]") -> str:
    values = {"project": row.project, "environment": row.fix_environment, "since": row.resolved_at}
    later = [found for found in connection.execute(_LATER, values) if is_name(found.version)]
    names = sorted({found.version for found in later} | {row.usual_version})
    order = read_release_orders(connection, [row.project], names).get(row.project, ReleaseOrder()) if later else None
    for found in later:
        if not row.usual_version or order is None:
            return str(found.version)
        compared = order.compare(found.version, row.usual_version, found.environment)
        apart = order.are_of_other_branches(found.version, row.usual_version, found.environment)
        if not apart and (compared is None or compared > 0):
            return str(found.version)
    return ""


def read_known_releases(connection: sa.Connection, projects: Sequence[str]) -> dict[str, list[Release]]:
    """All releases of these projects, the newest first."""
    known: dict[str, list[Release]] = {}
    if projects:
        for row in connection.execute(_SHOWN, {"projects": sorted(set(projects))}):
            release = Release(row.version, row.environment, row.branch, row.at, row.is_added)
            known.setdefault(row.project, []).append(release)
    return known


class SeenVersions:
    """The versions of sessions, in the transaction of another writer."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def see_versions(self, sights: Sequence[VersionSight]) -> dict[VersionKey, list[int]]:
        """Note when versions were first seen. Returns those of which one sender at most is known, with its hash."""
        see_versions(self._connection, sights)
        return find_unspread_versions(self._connection, sorted({sight.key for sight in sights if sight.is_usable}))

    def note_sources(
        self, known: Mapping[VersionKey, list[int]], seen: Mapping[VersionKey, Sequence[Sequence[int]]]
    ) -> list[str]:
        """Note who sent sessions with these versions. Returns the incidents whose next release is one of them."""
        spread = note_sources(self._connection, known, seen)
        return adopt_next_releases(self._connection, [key.project for key in spread]) if spread else []

    def choose_showing_versions(self, fixes: Mapping[str, tuple[str, Fix]]) -> dict[str, list[SeenVersion]]:
        """Of each incident (its project and fix by its id): the newest known versions that can show the fix not to hold."""
        known = read_known_releases(self._connection, [project for project, _ in fixes.values()])
        orders = {project: ReleaseOrder(releases) for project, releases in known.items()}
        chosen: dict[tuple[str, Fix], list[SeenVersion]] = {}
        for project, fix in sorted(set(fixes.values()), key=str):
            seen = (SeenVersion(release.environment, release.version) for release in known.get(project, ()))
            order = orders.get(project, ReleaseOrder())
            chosen[project, fix] = choose_showing_versions(fix, seen, order)[:MOST_SHOWING]
        return {id_: chosen[key] for id_, key in fixes.items()}


def _build_columns(keys: Sequence[VersionKey]) -> dict[str, list[str]]:
    return {name: [getattr(key, name) for key in keys] for name in VersionKey._fields}


def _build_release_json(row: "sa.Row[Any]") -> ReleaseRecord:
    return {
        "projectId": row.project,
        "environment": row.environment,
        "version": row.version,
        "branch": row.branch,
        "releasedAt": format_utc_time(row.released_at),
        "addedBy": row.added_by,
        "firstSeen": format_utc_time(row.first_seen),
    }
