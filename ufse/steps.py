"""Steps: what a session used, failed or not, by the same names as failure points (docs/impact.md).

A step is a control on a route, a request on a route, or a route. The step of a failure point is its control; of a page that was
opened, the request that failed, and where no request is named, the route. Routes, controls and requests are folded by the same
functions as in a frame (``ufse.frame``), so that the sessions that used a control without a failure have the step of
those in which it failed.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from ufse.arrays import Bools, Ints, Small, equals_any
from ufse.columns import UNKNOWN_POSITION
from ufse.config import DEFAULT
from ufse.detection import FailurePoint
from ufse.encoding import read_integers
from ufse.endpoints import encode_endpoints
from ufse.event_columns import EventColumns, encode_folded_texts
from ufse.memo import memoize_texts
from ufse.patterns import fold_path
from ufse.sessions import KINDS, NETWORK
from ufse.shapes import fill_unknown_routes
from ufse.target_codes import PAGE, encode_targets

StepKind = Literal["control", "request", "page"]

USED_TYPES: Final = ("click", "input", "form_submit", "navigation", "network")
"""Types of events by which a session reaches a step."""
TARGET_COLUMNS: Final = ("target_type", "target_id", "target_selector", "target_tag", "target_label")
USED_COLUMNS: Final = ("project", "event_type", "route", *TARGET_COLUMNS, "nav_from", "method", "url")
"""Text columns of ``find_used_steps``, beside ``session`` (uint64), ``ts`` (epoch ms) and ``seq``."""
_REQUEST: Final = re.compile(r"(?:[A-Za-z]+ )?/\S*")


class Step(NamedTuple):
    """A step and its hash (signed, 64 bits; the same in every process)."""

    kind: StepKind
    code: int


class UsedSteps(NamedTuple):
    """Distinct pairs of a session (uint64) and the hash of a step that it reached, ordered by both."""

    session: np.ndarray
    step: Ints

    @staticmethod
    def join_parts(parts: "Sequence[UsedSteps]") -> "UsedSteps":
        """All parts, which have no session in common."""
        session = np.concatenate([np.zeros(0, dtype=np.uint64), *(part.session for part in parts)])
        step = np.concatenate([np.zeros(0, dtype=np.int64), *(part.step for part in parts)])
        order = np.lexsort((step, session))
        return UsedSteps(session[order], step[order])


def identify_step(project: str, point: FailurePoint) -> Step:
    """The step of a failure point of ``project``."""
    route, target = point["route"], point.get("target") or ""
    if target:
        return Step("control", _hash_step("control", project, route, target))
    request, arrow, _ = (point.get("feedback") or "").rpartition(" → ")
    if arrow and _REQUEST.fullmatch(request):
        return Step("request", _hash_step("request", project, route, request))
    return Step("page", _hash_step("page", project, route, ""))


def find_used_steps(used: pa.Table) -> UsedSteps:
    """The steps that sessions reached. ``used``: their uses with ``USED_COLUMNS``, in any row order.

    Requests that are noise by themselves (images, preflights) are no step. Raises nothing for any texts.
    """
    if not used.num_rows:
        return UsedSteps.join_parts([])
    sessions, code = np.unique(used["session"].to_numpy(), return_inverse=True)
    row = np.lexsort((read_integers(used, "seq"), read_integers(used, "ts"), code))
    session, rows = code[row], np.arange(len(row))
    source = EventColumns(_add_positions(fill_unknown_routes(used, row, session)), row)
    kind = _read_kinds(source, rows)
    project, projects = source.read_codes("project", rows)
    route, routes = source.read_codes("route", rows)
    pattern, patterns = encode_folded_texts(route, [fold_path(r) for r in routes])
    _, target, targets, _ = encode_targets(source, kind, session, route, DEFAULT)
    endpoint, endpoints, known, noise = encode_endpoints(source, kind)
    place = project * len(patterns) + pattern
    parts = [
        _Part("page", np.ones(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.int64), [""]),
        _Part("control", (target != PAGE) & ~equals_any(kind, NETWORK), target, [t.name for t in targets]),
        _Part("request", (kind == NETWORK) & ~noise & known[endpoint], endpoint, endpoints),
    ]
    found = [_hash_part(part, session, place, projects, patterns) for part in parts]
    owner, step = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((step, owner))
    owner, step = owner[order], step[order]
    first = np.append(True, (owner[1:] != owner[:-1]) | (step[1:] != step[:-1]))
    return UsedSteps(sessions[owner[first]], step[first])


class _Part(NamedTuple):
    """The steps of one kind: at which uses there is one, and the codes and texts of their names."""

    kind: StepKind
    chosen: Bools
    name: Ints
    names: list[str]


def _hash_part(part: _Part, session: Ints, place: Ints, projects: list[str], patterns: list[str]) -> tuple[Ints, Ints]:
    """(Session, hash of the step) of each chosen use; each distinct step is hashed once."""
    at = np.flatnonzero(part.chosen)
    if not len(at):
        return at, at
    packed, inverse = np.unique(place[at] * len(part.names) + part.name[at], return_inverse=True)
    where, name = packed // len(part.names), packed % len(part.names)
    count = len(patterns)
    hashes = [
        _hash_step(part.kind, projects[w // count], patterns[w % count], part.names[n])
        for w, n in zip(where.tolist(), name.tolist(), strict=True)
    ]
    return session[at], np.array(hashes, dtype=np.int64)[inverse]


def _read_kinds(source: EventColumns, rows: Ints) -> Small:
    code, texts = source.read_codes("event_type", rows)
    return np.array([KINDS.get(t, -1) for t in texts] or [-1], dtype=np.int8)[code]


def _add_positions(table: pa.Table) -> pa.Table:
    """The table with positions that are not known: distinct uses have none."""
    unknown = pa.array(np.full(table.num_rows, UNKNOWN_POSITION, dtype=np.int32))
    return table.append_column("x", unknown).append_column("y", unknown)


@memoize_texts
def _hash_step(kind: str, project: str, route: str, name: str) -> int:
    text = "\x1f".join(("step", kind, project, route, name))
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)
