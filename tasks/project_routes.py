"""Learn from the routes that sessions show, and read what was learned."""

from collections.abc import Mapping, Sequence

from incidents.model import PendingSession
from stores.events.event_reader import build_span_parameters
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from ufse.grouping.learned import RouteRules
from ufse.grouping.observed_routes import list_routes

_SEEN = """
    SELECT DISTINCT project, route FROM events
    WHERE received_ms >= {first:Int64} AND received_ms <= {last:Int64} AND session_hash IN {hashes:Array(UInt64)}
    ORDER BY project, route
"""


def learn_project_routes(
    pending: Sequence[PendingSession], first_received_ms: int, last_received_ms: int | None
) -> Mapping[str, RouteRules]:
    """Add the routes of these sessions, those without any failure included, and return the rules of their projects.

    Without an incident store (mode ``log``) nothing is learned.
    """
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore) or not pending:
        return {}
    hashes = [session.session_hash for session in pending]
    seen = connections.event_store().query_arrow(
        _SEEN, build_span_parameters(hashes, first_received_ms, last_received_ms)
    )
    return store.routes.learn_routes(list_routes(seen))


def read_route_rules(projects: Sequence[str]) -> Mapping[str, RouteRules]:
    """The rules of these projects; none without an incident store."""
    store = connections.incident_store()
    return {} if isinstance(store, LogIncidentStore) else store.routes.read_rules(projects)
