"""What the collector of each client session reports, learned from all events of the session, quiet visits included.

What a collector does not report is unknown, not absent (docs/contracts/events.md).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from ufse.arrays import Bools, Ints, Small, any_by_owner, count_by_owner, equals_any, mark_group_starts
from ufse.columns import UNKNOWN_POSITION
from ufse.config import Config
from ufse.encoding import encode_text_runs, read_integers
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT, OrderedEvents
from ufse.verdict_reports import drop_verdict_reports

COUNTED: Final = (
    "requests",
    "good",
    "timed",
    "repeated",
    "aborted",
    "clicks",
    "responded",
    "submits",
    "fields",
)
"""The counts of ``SessionReports``, in the order of ``ufse.history.OBSERVED_COLLECTORS``."""


@dataclass(frozen=True)
class SessionReports:
    """Counts of events by client session; every array has one entry per client session, in the order of the visits."""

    ordered: OrderedEvents
    config: Config
    _known: dict[str, Ints] = field(default_factory=dict)

    @cached_property
    def session_of_visit(self) -> Ints:
        """Per visit: the number of its client session."""
        visits = self.ordered.visits
        return np.asarray(np.cumsum(mark_group_starts(visits.project_code, visits.session_code)) - 1, dtype=np.int64)

    @cached_property
    def first_visits(self) -> Ints:
        """Per client session: its first visit."""
        visits = self.ordered.visits
        return np.flatnonzero(mark_group_starts(visits.project_code, visits.session_code))

    @cached_property
    def _owner(self) -> Ints:
        return self.session_of_visit[self.ordered.visit]

    def _count_events(self, chosen: Bools) -> Ints:
        return count_by_owner(self._owner, len(self.first_visits), chosen)

    def _read_column(self, name: str) -> Small:
        return self.ordered.columns[name]

    def count(self, name: str) -> Ints:
        """Per client session: one of the counts of COUNTED."""
        if name not in self._known:
            self._known[name] = self._count_events(self._choose_events(name))
        return self._known[name]

    def _choose_events(self, name: str) -> Bools:
        kind = self.ordered.kind
        network, click = kind == NETWORK, kind == CLICK
        if name == "good":
            status = self._read_column("status")
            return np.asarray(network & (status >= 200) & (status < 400), dtype=np.bool_)
        if name == "repeated":
            return self._is_repeated_request(self._read_column("status"))
        if name == "timed":
            return np.asarray(network & (self._read_column("duration_ms") > 0), dtype=np.bool_)
        if name == "aborted":
            return np.asarray(network & (self._read_column("aborted") == 1), dtype=np.bool_)
        if name == "responded":
            return np.asarray(click & (self._read_column("responded") >= 0), dtype=np.bool_)
        plain = {"requests": network, "clicks": click, "submits": kind == SUBMIT, "fields": kind == INPUT}
        return np.asarray(plain[name], dtype=np.bool_)

    def _is_repeated_request(self, status: Small) -> Bools:
        """Per event: whether it is a request to the same URL as a failed one before it in its client session."""
        found = np.zeros(len(status), dtype=np.bool_)
        rows = np.flatnonzero(self.ordered.kind == NETWORK)
        if len(rows):
            code, _ = self.ordered.columns.read_codes("url", rows)
            order = np.lexsort((rows, code, self._owner[rows]))
            rows, code = rows[order], code[order]
            bad = (status[rows] >= 400) | (status[rows] == 0)
            first = mark_group_starts(self._owner[rows], code)
            found[rows] = np.append(False, bad[:-1]) & ~first
        return found

    @cached_property
    def unanswered_acts(self) -> Ints:
        """Per client session: clicks, submits and navigations, each at least ``rage_gap_ms`` after the one before, less the
        failed requests: so often something happened of which a collector that reports all requests had reported an answer.
        Another tool's reports of earlier clicks are no acts.
        """
        ordered = self.ordered
        acts = drop_verdict_reports(ordered, np.flatnonzero(equals_any(ordered.kind, CLICK, SUBMIT, NAVIGATION)))
        size = len(self.first_visits)
        if not len(acts):
            return np.zeros(size, dtype=np.int64)
        apart = mark_group_starts(self._owner[acts])
        apart[1:] |= ordered.ts[acts[1:]] - ordered.ts[acts[:-1]] > self.config.rage_gap_ms
        status = self._read_column("status")
        failed = (ordered.kind == NETWORK) & ((status >= 400) | (status == 0))
        return count_by_owner(self._owner[acts], size, apart) - self._count_events(failed)

    @cached_property
    def collectors(self) -> list[str]:
        """Per client session: the SDK version (of several the first in the alphabet); else ``~`` and the optional fields that
        its events carry, which tell one kind of collector from another.
        """
        ordered = self.ordered
        code, texts = encode_text_runs(ordered.table, "sdk_version")
        size, code = len(self.first_visits), code[ordered.row]
        place = np.argsort(np.argsort(np.array(texts or [""], dtype=object), kind="stable"), kind="stable")
        rank = np.where(np.array([not t for t in texts or [""]]), len(place), place)[code]
        best = np.full(size, len(place), dtype=np.int64)
        np.minimum.at(best, self._owner, rank)
        names = [*sorted(texts), ""]
        shape = self._describe_shapes()
        return [names[b] or shape[i] for i, b in enumerate(best.tolist())]

    def _describe_shapes(self) -> list[str]:
        """Per client session: the names of the optional fields that its events carry."""
        ordered, size = self.ordered, len(self.first_visits)
        marks = {
            "seq": self._read_column("seq") >= 0,
            "x": read_integers(ordered.table, "x", UNKNOWN_POSITION)[ordered.row] > UNKNOWN_POSITION,
            "click_count": self._read_column("click_count") >= 0,
        }
        for name in ("method", "target_selector", "target_label", "input_method", "nav_type"):
            code, texts = encode_text_runs(ordered.table, name)
            marks[name] = np.array([bool(t) for t in texts] or [False])[code][ordered.row]
        present = {name: any_by_owner(self._owner, mark, size) for name, mark in marks.items()}
        return ["~" + "+".join(n for n, some in present.items() if some[i]) for i in range(size)]


def make_collector_rows(reports: SessionReports) -> dict[str, pa.Array]:
    """The columns of ``ufse.history.OBSERVED_COLLECTORS``."""
    visits, first = reports.ordered.visits, reports.first_visits
    return {
        "project": pa.array([visits.projects[c] for c in visits.project_code[first].tolist()], pa.string()),
        "session_id": pa.array([visits.sessions[c] for c in visits.session_code[first].tolist()], pa.string()),
        "collector": pa.array(reports.collectors, pa.string()),
        **{name: pa.array(reports.count(name), pa.int64()) for name in COUNTED},
    }
