"""What is known of the endpoints and collectors of one frame: the history of its projects, and the sessions themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from ufse.arrays import Bools, Ints
from ufse.collectors import SessionReports
from ufse.columns import EVENT_SCHEMA
from ufse.config import DEFAULT
from ufse.history import NO_HISTORY, ProjectHistory
from ufse.sessions import order_events

LEAST_SESSIONS: Final = 5
"""Client sessions from which an endpoint's behaviour is known (own choice): a person, who has one or two, decides nothing."""
LEAST_REQUESTS: Final = 10
"""Requests from which shares are meaningful (own choice)."""
LEAST_ALONE: Final = 5
LEAST_ALONE_SESSIONS: Final = 3
"""An endpoint runs by itself if it provably did so this often, in this many client sessions (own choice): two may be chance."""
OWN_PERCENT: Final = 90
"""An endpoint is one control's if that control caused at least this part of its requests (own choice)."""
AWAITED_PERCENT: Final = 33
"""A control sends requests if it causes a third of the presses' requests to an address (own choice): a collector's next
release may call it otherwise, and a tracker follows whatever is pressed."""
ANSWERING_PERCENT: Final = 50
"""A control answers if so much of its tries are answered where it answers at all (own choice): a toggle, a player or what is
kept in the browser asks once and is silent then."""
ANSWERING_SESSIONS_PERCENT: Final = 50
"""A control answers if it does so in half of the client sessions that press it (own choice): collectors may report less."""
SCATTERED_CONTROLS: Final = 10
SCATTERED_MAIN_PERCENT: Final = 20
SCATTERED_GOOD_PERCENT: Final = 5
SCATTERED_UNPRESSED_PERCENT: Final = 33
"""A scattered endpoint follows at least ten controls, none of which causes more than a fifth of what presses cause, is asked
without a press in a third of the cases, and is answered well in at most 5 % (own choice, docs/decisions/0060).
"""
LEAST_COLLECTOR_SESSIONS: Final = 20
"""Client sessions with requests from which it is known what a collector reports (own choice)."""
REPORTED_PERCENT: Final = 90
UNREPORTED_PERCENT: Final = 2
"""A collector reports what at least 90 % of its sessions with requests have, and not what at most 2 % have (own choice)."""
LEAST_UNANSWERED_ACTS: Final = 4
"""Acts of one session without any reported success that show that its collector reports none (own choice)."""
NORMAL_FACTOR: Final = 2
"""An answer within twice the typical duration of a slow endpoint is normal (own choice)."""
BEYOND_FACTOR: Final = 10
"""An answer that takes ten times the typical duration is beyond what is normal (issue: by an order)."""


@dataclass(frozen=True)
class EndpointKnowledge:
    """What other sessions show of each event's endpoint; every array has one entry per event of the frame."""

    runs_alone: Bools
    """It mostly runs without an action."""
    scattered: Bools
    """It follows many controls, is the answer of none, runs without a press, too, and hardly ever succeeds."""
    own_control: Ints
    """Hash of the control whose answer it nearly always is (as int64); 0 without one."""
    typical_ms: Ints
    """How long its good answers usually take; -1 if unknown."""


class Known:
    """Answers for one frame. Everything is computed when it is first asked for."""

    def __init__(self, history: ProjectHistory, reports: SessionReports) -> None:
        self.history, self.reports = history, reports

    @staticmethod
    @cache
    def make_empty() -> "Known":
        """Nothing: for a frame that is only explained."""
        return Known(NO_HISTORY, SessionReports(order_events(EVENT_SCHEMA.empty_table(), DEFAULT), DEFAULT))

    def describe_endpoints(self, visit: Ints, endpoint: Ints, endpoints: Sequence[str]) -> EndpointKnowledge | None:
        """What is known of the endpoints of these events (visit, code into ``endpoints``); None if nothing is."""
        facts = self.history.endpoints
        if not facts.num_rows:
            return None
        visits = self.reports.ordered.visits
        project, size = visits.project_code[visit], len(endpoints) + 1
        places = {t: i for i, t in enumerate(endpoints)}
        projects = {t: i for i, t in enumerate(visits.projects)}
        place = np.full(len(visits.projects) * size, -1, dtype=np.int64)
        pairs = zip(facts["project"].to_pylist(), facts["endpoint"].to_pylist(), strict=True)
        for number, (name, text) in enumerate(pairs):
            if name in projects and text in places:
                place[projects[name] * size + places[text]] = number
        found = place[project * size + np.where(endpoint >= 0, endpoint, size - 1)]
        return _judge_facts(facts, found)

    def is_awaited_control(self, visit: Ints, control: Ints) -> Bools:
        """Per pair of a visit and the hash of a control (as int64): whether that control sends requests in other sessions: it
        causes a good part of what presses send to an address that is mostly asked by presses.
        """
        facts = self.history.endpoints
        found = np.zeros(len(visit), dtype=np.bool_)
        if not facts.num_rows or not len(visit):
            return found
        pressed, main = (np.asarray(facts[name].to_numpy(), dtype=np.int64) for name in ("pressed", "main_pressed"))
        sure = (np.asarray(facts["sessions"].to_numpy()) >= LEAST_SESSIONS) & (main >= LEAST_REQUESTS)
        sure &= (2 * pressed >= np.asarray(facts["requests"].to_numpy())) & (100 * main >= AWAITED_PERCENT * pressed)
        known = facts["main_control"].to_numpy().astype(np.uint64).view(np.int64)
        named = np.array(facts["project"].to_pylist(), dtype=object)
        visits = self.reports.ordered.visits
        code = visits.project_code[visit]
        for number in np.unique(code).tolist():
            own = code == number
            found[own] = np.isin(control[own], known[sure & (named == visits.projects[number])])
        return found

    def answers_others(self, visit: Ints, control: Ints) -> Bools:
        """Per pair of a visit and the hash of a control (as int64): whether that control answers in other sessions, nearly each
        time, and this visit's collector reports such answers: pages, or requests if it is known to report successes.
        """
        facts = self.history.controls
        found, asked = np.zeros(len(visit), dtype=np.bool_), np.zeros(len(visit), dtype=np.bool_)
        if not facts.num_rows or not len(visit):
            return found
        column = {name: np.asarray(facts[name].to_numpy(), dtype=np.int64) for name in facts.column_names[2:]}
        some, answered = column["answered_sessions"], column["answered"]
        sure = some >= LEAST_SESSIONS
        sure &= 100 * some >= ANSWERING_SESSIONS_PERCENT * column["sessions"]
        sure &= 100 * answered >= ANSWERING_PERCENT * column["tries"]
        paged = 100 * column["paged"] >= ANSWERING_PERCENT * column["tries"]
        known = facts["control"].to_numpy().astype(np.uint64).view(np.int64)
        named = np.array(facts["project"].to_pylist(), dtype=object)
        visits = self.reports.ordered.visits
        code = visits.project_code[visit]
        for number in np.unique(code).tolist():
            own, here = code == number, sure & (named == visits.projects[number])
            found[own] = np.isin(control[own], known[here & paged])
            asked[own] = np.isin(control[own], known[here])
        if (asked & ~found).any():
            found |= asked & self.reports_successes[visit]
        return found

    @cached_property
    def reports_no_successes(self) -> Bools:
        """Per visit: whether its collector reports failed requests only, so that a success is not seen.

        Its collector's other sessions decide; without enough of them, the session itself.
        """
        reports = self.reports
        failed_only = reports.count("good") == 0
        found = failed_only & (reports.unanswered_acts >= LEAST_UNANSWERED_ACTS)
        if self.history.collectors.num_rows and failed_only.any():
            share = self._read_collector_shares("with_requests", "with_good")
            found = np.where((share >= 0) & (share <= UNREPORTED_PERCENT), failed_only, found)
            found &= share < REPORTED_PERCENT
        return np.asarray(found[reports.session_of_visit], dtype=np.bool_)

    @cached_property
    def reports_successes(self) -> Bools:
        """Per visit: whether its client session shows a success, or its collector's other sessions do."""
        reports = self.reports
        found = reports.count("good") > 0
        if self.history.collectors.num_rows and not found.all():
            found = found | (self._read_collector_shares("with_requests", "with_good") >= REPORTED_PERCENT)
        return np.asarray(found[reports.session_of_visit], dtype=np.bool_)

    def _read_collector_shares(self, among: str, having: str) -> Ints:
        """Per client session: percent of its collector's sessions with ``among`` that have ``having``; -1 if unknown."""
        facts, reports = self.history.collectors, self.reports
        keys = zip(facts["project"].to_pylist(), facts["collector"].to_pylist(), strict=True)
        rows = zip(facts[among].to_pylist(), facts[having].to_pylist(), strict=True)
        share = {
            key: -1 if total < LEAST_COLLECTOR_SESSIONS else -(-100 * some // total)
            for key, (total, some) in zip(keys, rows, strict=True)
        }
        visits, first = reports.ordered.visits, reports.first_visits
        projects = [visits.projects[c] for c in visits.project_code[first].tolist()]
        return np.array(
            [share.get(key, -1) for key in zip(projects, reports.collectors, strict=True)] or [], dtype=np.int64
        )


def _judge_facts(facts: pa.Table, found: Ints) -> EndpointKnowledge:
    """``found``: per event the row of ``facts``, -1 without one."""
    column = {
        name: np.asarray(facts[name].to_numpy(), dtype=np.int64)
        for name in facts.column_names[2:]
        if name != "main_control"
    }
    enough = (column["sessions"] >= LEAST_SESSIONS) & (column["requests"] >= LEAST_REQUESTS)
    reads = np.array(
        [not t or t.startswith(("GET ", "HEAD ", "/")) for t in facts["endpoint"].to_pylist()], dtype=np.bool_
    )
    # A field's own writes are autosave; a field's own reads are a search, which a button may start, too.
    by_itself = column["unasked"] + np.where(reads, 0, column["typed"])
    proven = (column["alone"] >= LEAST_ALONE) & (column["alone_sessions"] >= LEAST_ALONE_SESSIONS)
    proven |= ~reads & (column["typed"] >= LEAST_ALONE)
    alone = enough & proven & (by_itself > column["pressed"])
    own = enough & (100 * column["main_pressed"] >= OWN_PERCENT * column["requests"])
    control = facts["main_control"].to_numpy().astype(np.uint64).view(np.int64)
    typical = np.where(column["timed_sessions"] >= LEAST_SESSIONS, column["typical_ms"], -1)
    at, some = np.maximum(found, 0), found >= 0
    scattered = enough & _is_scattered(column)
    return EndpointKnowledge(
        alone[at] & some,
        scattered[at] & some,
        np.where(own[at] & some, control[at], 0),
        np.where(some, typical[at], -1),
    )


def _is_scattered(column: dict[str, Ints]) -> Bools:
    """Per row of facts: whether the endpoint follows whatever is pressed, also what is not, and practically never succeeds.

    An address that serves everything (GraphQL) follows many controls, too, but answers most of them well; a control's own
    endpoint, however often it fails, is asked by that control.
    """
    controls = (column["controls"] >= SCATTERED_CONTROLS) & (
        100 * column["main_pressed"] <= SCATTERED_MAIN_PERCENT * column["pressed"]
    )
    useless = 100 * column["good"] <= SCATTERED_GOOD_PERCENT * column["requests"]
    unpressed = 100 * (column["requests"] - column["pressed"]) >= SCATTERED_UNPRESSED_PERCENT * column["requests"]
    return np.asarray(controls & useless & unpressed, dtype=np.bool_)
