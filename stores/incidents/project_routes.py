"""What the routes of each project show: the tables ``project_routes`` and ``route_rules`` (docs/decisions/0131-learned-
routes.md).

Routes are added when sessions are scored. Rules are learned anew when a route is new, from at most ``MOST_ROUTES`` of a
project. A place that holds a parameter stays one, and the routes of its values become one route, so that the table follows
the places of a project and not its values. What a person decided wins, and is never learned again.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from core.errors import PermanentError
from stores.incidents.incident_database import Database, clean_for_postgres
from ufse.grouping.learned import RouteRules, RuleKind, is_place, learn_rules

MOST_ROUTES: Final = 5_000
"""Routes of a project that are kept; further ones are not learned from (own choice)."""
RULES_VERSION: Final = 1
"""Version of the rules that learn; it is shown with each rule."""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('furrow routes ' || :project, 0))")
_MISSING = text("""
    SELECT new.name FROM unnest(CAST(:routes AS text[])) AS new(name)
    WHERE NOT EXISTS (SELECT FROM project_routes p WHERE (p.project, p.route) = (:project, new.name))
""")
_ADD = text("""
    INSERT INTO project_routes (project, route) SELECT :project, route FROM unnest(CAST(:routes AS text[])) AS route
    ON CONFLICT DO NOTHING
""")
_REMOVE = text("DELETE FROM project_routes WHERE project = :project AND route = ANY(CAST(:routes AS text[]))")
_ROUTES = text("SELECT route FROM project_routes WHERE project = :project ORDER BY route")
_RULES = text("""
    SELECT project, place, kind, decided_by, version, updated_at FROM route_rules
    WHERE project = ANY(CAST(:projects AS text[])) ORDER BY project, place
""")
_SAVE = text("""
    INSERT INTO route_rules AS r (project, place, kind, decided_by, version)
    VALUES (:project, :place, :kind, :decided_by, :version)
    ON CONFLICT (project, place) DO UPDATE
        SET kind = excluded.kind, decided_by = excluded.decided_by, version = excluded.version, updated_at = now()
    WHERE (r.kind, r.decided_by, r.version) IS DISTINCT FROM (excluded.kind, excluded.decided_by, excluded.version)
      AND (r.decided_by IS NULL OR excluded.decided_by IS NOT NULL)
""")
_FORGET = text("DELETE FROM route_rules WHERE project = :project AND place = :place RETURNING 1")


class RouteRule(NamedTuple):
    """A rule as it is shown; ``decided_by``: the person who decided it, None if it was learned."""

    project: str
    place: str
    kind: RuleKind
    decided_by: str | None
    version: int
    updated_at: object


class ProjectRoutes:
    """The routes and rules of projects. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def learn_routes(self, seen: Mapping[str, Sequence[list[str]]]) -> dict[str, RouteRules]:
        """Add the routes (``split_route``) that projects show, and return their rules. Known routes cost one look-up."""
        with self._database.open_transaction() as connection:
            rules = _read_rules(connection, sorted(seen))
            for project in sorted(seen):
                known = rules.get(project, RouteRules())
                routes = {_join(known.replace_values(route)) for route in seen[project]}
                missing = connection.execute(_MISSING, {"project": project, "routes": sorted(routes)}).scalars().all()
                if missing:
                    rules[project] = _learn_project(connection, project, missing)
            return rules

    def read_rules(self, projects: Sequence[str]) -> dict[str, RouteRules]:
        """The rules of these projects, learned and decided."""
        with self._database.open_transaction() as connection:
            return _read_rules(connection, sorted(set(projects)))

    def list_rules(self, project: str) -> list[RouteRule]:
        """The rules of a project, by place."""
        with self._database.open_transaction() as connection:
            return [RouteRule(*row) for row in connection.execute(_RULES, {"projects": [project]})]

    def decide_rule(self, project: str, place: str, kind: RuleKind, actor: str) -> None:
        """A person's decision about a place or a first segment. Raises PermanentError for a place that is none."""
        if not is_place(place, kind):
            raise PermanentError(
                f"{place!r} is no place for {kind}: a parameter or name has a place like /shop/*, a locale or word a first "
                "segment like it"
            )
        values = {
            "project": project,
            "place": place,
            "kind": kind,
            "decided_by": clean_for_postgres(actor),
            "version": RULES_VERSION,
        }
        with self._database.open_transaction() as connection:
            connection.execute(_SAVE, values)

    def forget_rule(self, project: str, place: str) -> bool:
        """Remove a rule, so that it may be learned again. Returns whether there was one."""
        with self._database.open_transaction() as connection:
            return connection.execute(_FORGET, {"project": project, "place": place}).one_or_none() is not None


def _read_rules(connection: sa.Connection, projects: Sequence[str]) -> dict[str, RouteRules]:
    places: dict[str, dict[str, RuleKind]] = {}
    locales: dict[str, dict[str, RuleKind]] = {}
    for row in connection.execute(_RULES, {"projects": list(projects)}):
        into = places if row.kind in ("parameter", "name") else locales
        into.setdefault(row.project, {})[row.place] = row.kind
    return {name: RouteRules(places.get(name, {}), locales.get(name, {})) for name in sorted({*places, *locales})}


def _learn_project(connection: sa.Connection, project: str, missing: Sequence[str]) -> RouteRules:
    """Add the missing routes while there is room, and learn from all. Two writers do so one after the other."""
    connection.execute(_LOCK, {"project": project})
    stored = connection.execute(_ROUTES, {"project": project}).scalars().all()
    room = max(MOST_ROUTES - len(stored), 0)
    routes = sorted({*stored, *sorted(missing)[:room]})
    before = {rule.place: rule for rule in map(RouteRule._make, connection.execute(_RULES, {"projects": [project]}))}
    decided = {place: rule.kind for place, rule in before.items() if rule.decided_by is not None}
    kept = {place: rule.kind for place, rule in before.items() if rule.kind == "parameter"} | decided
    known = RouteRules(
        {place: kind for place, kind in kept.items() if is_place(place, kind) and place.startswith("/")},
        {place: kind for place, kind in kept.items() if not place.startswith("/")},
    )
    rules = learn_rules([_split(route) for route in routes], known)
    for place, kind in sorted({**rules.places, **rules.locales}.items()):
        if place not in decided:
            values = {"project": project, "place": place, "kind": kind, "decided_by": None, "version": RULES_VERSION}
            connection.execute(_SAVE, values)
    folded = {_join(rules.replace_values(_split(route))) for route in routes}
    connection.execute(_REMOVE, {"project": project, "routes": sorted(set(stored) - folded)})
    connection.execute(_ADD, {"project": project, "routes": sorted(folded)})
    return rules


def _join(route: list[str]) -> str:
    return "/".join(route)


def _split(route: str) -> list[str]:
    return route.split("/") if route else []
