"""The orders of lists of incidents, and where a page of a list begins.

A page begins after a value and an id, not after a number of rows: the thousandth page costs what the first one costs, and rows
that others add or move meanwhile neither repeat nor hide one.
"""

from typing import Final, NamedTuple

from core.errors import PermanentError
from incidents.model import Place

# JSON name → SQL that is never NULL, and its type. Ranks replace words whose alphabetical order differs.
_ORDERS: Final = {
    "lastSeen": ("coalesce(i.last_seen, i.created_at)", "timestamptz"),
    "firstSeen": ("coalesce(i.first_seen, i.created_at)", "timestamptz"),
    "affectedSessions": ("i.affected_sessions", "integer"),
    "affectedUsers": ("i.affected_users", "integer"),
    "highestScore": ("i.highest_score", "integer"),
    "medianScore": ("i.median_score", "double precision"),
    "severity": ("array_position(ARRAY['Low', 'Medium', 'High', 'Critical'], i.severity)", "integer"),
    "priority": ("i.priority", "text"),
    "createdAt": ("i.created_at", "timestamptz"),
    "updatedAt": ("i.updated_at", "timestamptz"),
}
ORDERS: Final = tuple(_ORDERS)


class ListOrder(NamedTuple):
    """SQL of a list: the value, which a cursor holds as text, the clause after ORDER BY, and the condition with its bound
    values under which a row comes after the cursor."""

    value: str
    clause: str
    condition: str
    values: dict[str, object]


def build_list_order(sort: str, after: Place | None) -> ListOrder:
    """The order ``sort`` from ``after`` on (None: from the beginning). Raises PermanentError for an unknown one."""
    name = sort.removeprefix("-")
    if name not in _ORDERS:
        raise PermanentError(f"incidents cannot be sorted by {name[:40]!r}; use one of {', '.join(_ORDERS)}")
    order, kind = _ORDERS[name]
    falls = sort.startswith("-")
    clause = f"{order} {'DESC' if falls else 'ASC'}, i.incident_id"
    if after is None:
        return ListOrder(order, clause, "true", {})
    sign, place = "<" if falls else ">", f"CAST(:place AS {kind})"
    # The first comparison follows from the second; an index can begin with it.
    condition = f"{order} {sign}= {place} AND ({order} {sign} {place} OR i.incident_id > :place_id)"
    return ListOrder(order, clause, condition, {"place": after.value, "place_id": after.incident_id})
