"""The routes that events of a batch show, by project: what rules are learned from."""

import pyarrow as pa

from ufse.grouping.routes import split_route
from ufse.patterns import fold_path


def list_routes(events: pa.Table) -> dict[str, list[list[str]]]:
    """Per project: the segments of its distinct routes (``split_route``), in order. Each distinct route is folded once."""
    texts = pa.table({name: events[name].cast(pa.string()) for name in ("project", "route")})
    pairs = texts.group_by(["project", "route"], use_threads=False).aggregate([]).to_pylist()
    found: dict[str, set[tuple[str, ...]]] = {}
    for pair in pairs:
        if pair["route"]:
            found.setdefault(pair["project"] or "", set()).add(tuple(split_route(fold_path(pair["route"]))))
    return {project: [list(route) for route in sorted(routes)] for project, routes in sorted(found.items())}
