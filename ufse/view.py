"""One candidate visit, as plain Python lists and indexes; built only for visits that hold attributed
negative feedback.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ufse.attribution import CRASH, FAILURE, INVALID, REJECTION, SLOW, Attribution
from ufse.config import Config
from ufse.frame import PAGE, Frame
from ufse.sessions import CLICK, END, INPUT, LOADING, NAVIGATION, NETWORK, SUBMIT
from ufse.signals.model import Signal
from ufse.targets import Target

THANKS = re.compile(
    r"(^|/)[^/]*\b(thank(s|-?you|_you)?|success|successful|confirmation|confirmed|completed?|done|receipt|"
    r"order-placed)\b[^/]*(/|$)"
)
_FAILED_ROUTE = re.compile(
    r"\b(un|not-?|in|fail\w*|error)-?(success\w*|completed?|confirmed)\b|\b(error|failed|failure)\b"
)
_DETOUR = re.compile(
    r"(^|/)(errors?|oops|failed|failure|sorry|unavailable|maintenance|40[0-9]|50[0-9]|log-?in|sign-?in)(/|$)"
)
_SAFE_METHODS = ("GET ", "HEAD ", "OPTIONS ")


def is_thanks(pattern: str) -> bool:
    """Whether a route says that something was achieved (a thank-you page)."""
    return bool(THANKS.search(pattern.lower())) and not _FAILED_ROUTE.search(pattern.lower())


def is_detour(pattern: str) -> bool:
    """Whether a route is where an application sends people who failed: an error page or the login."""
    return bool(_DETOUR.search(pattern.lower()))


class View:
    """Rows of one visit. Row numbers are those of the frame; times are epoch ms."""

    def __init__(
        self,
        frame: Frame,
        given: Attribution,
        config: Config,
        visit: int,
        low: int,
        high: int,
        rage: Sequence[Signal],
        confusion: Sequence[Signal],
        truncated: bool,
    ) -> None:
        self.frame, self.given, self.config, self.visit = frame, given, config, visit
        self.low, self.high = low, high
        self.rage, self.confusion, self.truncated = rage, confusion, truncated
        span = slice(low, high)
        self.ts: list[int] = frame.ts[span].tolist()
        self.kind: list[int] = frame.kind[span].tolist()
        self.action: list[int] = given.action[span].tolist()
        self.cause: list[int] = given.cause[span].tolist()
        self.negative: list[int] = given.negative[span].tolist()

    def at(self, row: int) -> int:
        return self.ts[row - self.low]

    def begin(self, row: int) -> int:
        """When the request of a feedback row began."""
        return int(self.given.begin[row])

    def waited(self, row: int) -> int:
        """How long the answer of a feedback row let the user wait, in ms."""
        if self.kind[row - self.low] == LOADING:
            return int(self.frame.duration[row])
        return self.at(row) - self.begin(row)

    def target_of(self, action: int) -> Target:
        return self.frame.targets[action % max(len(self.frame.targets), 1)]

    def is_page(self, action: int) -> bool:
        return action % max(len(self.frame.targets), 1) == PAGE

    def pattern_of(self, action: int) -> str:
        return self.frame.patterns[action // max(len(self.frame.targets), 1)]

    def pattern(self, row: int) -> str:
        return self.frame.patterns[int(self.frame.pattern[row])]

    def flow(self, row: int) -> str:
        return self.frame.flows[int(self.frame.pattern[row])]

    def flow_of(self, action: int) -> str:
        return self.frame.flows[action // max(len(self.frame.targets), 1)]

    @cached_property
    def attempts_by_action(self) -> dict[int, list[int]]:
        """Rows of meaningful actions by action: clicks on controls, submits, pages opened by a click."""
        found: dict[int, list[int]] = {}
        for row in (np.flatnonzero(self.given.meaningful[self.low : self.high]) + self.low).tolist():
            found.setdefault(self.action[row - self.low], []).append(row)
        return found

    @cached_property
    def negatives_by_action(self) -> dict[int, list[int]]:
        """Rows of attributed negative feedback by the action that caused it, in order."""
        found: dict[int, list[int]] = {}
        for row in (np.flatnonzero(self.given.attributed[self.low : self.high]) + self.low).tolist():
            found.setdefault(self.action[self.cause[row - self.low] - self.low], []).append(row)
        return found

    @cached_property
    def by_cause(self) -> dict[int, list[int]]:
        """Attributed negative rows by the interaction that caused them."""
        found: dict[int, list[int]] = {}
        for rows in self.negatives_by_action.values():
            for row in rows:
                found.setdefault(self.cause[row - self.low], []).append(row)
        return found

    @cached_property
    def good_rows(self) -> list[int]:
        """Requests answered with success."""
        return (np.flatnonzero(self.given.success[self.low : self.high]) + self.low).tolist()

    @cached_property
    def good_by_endpoint(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for row in self.good_rows:
            found.setdefault(int(self.frame.endpoint[row]), []).append(row)
        return found

    @cached_property
    def crashed(self) -> set[int]:
        """Interactions whose answer crashed in the page, unless it had led on to another page before."""
        return {
            c
            for c, rows in self.by_cause.items()
            if any(self.negative[r - self.low] == CRASH and not self._moved(c, r) for r in rows)
        }

    def _moved(self, cause: int, row: int) -> bool:
        low, high = bisect_right(self.navigations, cause), bisect_left(self.navigations, row)
        return any(self.frame.route[r] != self.frame.route[cause] for r in self.navigations[low:high])

    @cached_property
    def thanks(self) -> list[int]:
        """Times at which a thank-you page was reached."""
        return [
            self.ts[i]
            for i, kind in enumerate(self.kind)
            if kind == NAVIGATION and is_thanks(self.pattern(self.low + i))
        ]

    @cached_property
    def navigations(self) -> list[int]:
        return [self.low + i for i, kind in enumerate(self.kind) if kind == NAVIGATION]

    @cached_property
    def ends(self) -> list[int]:
        return [self.low + i for i, kind in enumerate(self.kind) if kind == END]

    @cached_property
    def acts(self) -> list[int]:
        """Rows of clicks, inputs and submits."""
        return [self.low + i for i, kind in enumerate(self.kind) if kind in (CLICK, INPUT, SUBMIT)]

    @cached_property
    def other_successes(self) -> list[int]:
        """Successful requests that a click or submit on a control caused and that may have achieved
        something.
        """
        kept = []
        for row in self.good_rows:
            by = self.cause[row - self.low]
            if by < 0 or not self.given.meaningful[by] or by in self.crashed or self.frame.third_party[row] == 1:
                continue
            endpoint = int(self.frame.endpoint[row])
            alone = not self.frame.endpoint_known[endpoint] or bool(self.given.lonely[row])
            stayed = bisect_right(self.navigations, by) == bisect_left(self.navigations, row)
            if alone and stayed and not self.target_of(self.action[by - self.low]).leaves:
                kept.append(row)
        return kept

    @cached_property
    def acts_by_flow(self) -> dict[str, list[int]]:
        """Rows of clicks, inputs and submits by flow."""
        found: dict[str, list[int]] = {}
        for row in self.acts:
            found.setdefault(self.flow(row), []).append(row)
        return found

    @cached_property
    def begun_by_flow(self) -> dict[str, list[int]]:
        """Rows at which fields were touched or a form submitted, by flow."""
        return {
            flow: [r for r in rows if self.kind[r - self.low] in (INPUT, SUBMIT)]
            for flow, rows in self.acts_by_flow.items()
        }

    @cached_property
    def achieved_by_flow(self) -> dict[str, list[int]]:
        """Rows of requests that a form or control of the flow sent and that were accepted."""
        found: dict[str, list[int]] = {}
        for row in self.other_successes:
            by = self.cause[row - self.low]
            if not self.frame.endpoints[self.frame.endpoint[row]].startswith(_SAFE_METHODS):
                found.setdefault(self.flow(by), []).append(row)
        return found

    @cached_property
    def submitters(self) -> dict[int, set[int]]:
        """Actions that sent a form, by pattern code."""
        found: dict[int, set[int]] = {}
        for i, kind in enumerate(self.kind):
            if kind == SUBMIT:
                found.setdefault(int(self.frame.pattern[self.low + i]), set()).add(self.action[i])
        return found

    @cached_property
    def good_by_cause(self) -> dict[int, int]:
        """The last successful request of each interaction."""
        return {self.cause[r - self.low]: r for r in self.good_rows if self.cause[r - self.low] >= 0}

    def successes(self, action: int, negatives: Sequence[int]) -> list[int]:
        """Times at which the action that met these negatives was achieved, in order.

        By the request that failed, answered well; by an attempt that went on without failure; on a thank-you
        page; or by another control of the same route that led on with success (detection.md, Attribution).
        """
        times = [*self._request_successes(action, negatives), *self._attempt_successes(action, negatives)]
        first = self.at(self.cause[negatives[0] - self.low])
        times += [t for t in self.thanks if t >= first]
        times += self._other_ways(action, negatives)
        times += self._sent_beside(action, negatives)
        return sorted(times)

    def _request_successes(self, action: int, negatives: Sequence[int]) -> list[int]:
        """Good answers of the requests that failed. One address for everything must have answered this very
        action.
        """
        own = {r for r in negatives if self.negative[r - self.low] == SLOW}
        endpoints = {int(self.frame.endpoint[r]) for r in negatives if self.kind[r - self.low] == NETWORK}
        return [
            self.at(row)
            for endpoint in endpoints
            for row in self.good_by_endpoint.get(endpoint, ())
            if row not in own
            and self.cause[row - self.low] not in self.crashed
            and (self._exact(row) or self._caused_by(row) == action)
        ]

    def _exact(self, row: int) -> bool:
        """Whether a request's endpoint says what it was for."""
        return bool(self.frame.endpoint_known[self.frame.endpoint[row]]) and not self.given.shared[row]

    def _caused_by(self, row: int) -> int:
        by = self.cause[row - self.low]
        return self.action[by - self.low] if by >= 0 else -1

    def _attempt_successes(self, action: int, negatives: Sequence[int]) -> list[int]:
        """Attempts with positive and no negative feedback, where nothing more exact can be known."""
        failing_requests = [
            r
            for r in negatives
            if self.kind[r - self.low] == NETWORK and self.frame.endpoint_known[self.frame.endpoint[r]]
        ]
        times = []
        good = self.good_by_cause
        for row in self.attempts_by_action.get(action, ()):
            if row in self.by_cause or self._sibling_failed(row):
                continue
            if self.given.progress[row]:
                times.append(int(self.given.progress_at[row]))
            elif row in good and (
                not failing_requests or not self.frame.endpoint_known[self.frame.endpoint[good[row]]]
            ):
                times.append(self.at(good[row]))
            elif not failing_requests and (
                self.frame.flags["responded"][row] == 1
                or (self.kind[row - self.low] == SUBMIT and self._valid(row, negatives))
            ):
                times.append(self.at(row))
        return times

    def _sent_beside(self, action: int, negatives: Sequence[int]) -> list[int]:
        """A form whose own request was accepted is achieved, though something that was only read failed
        beside it.
        """
        failing = [self.frame.endpoints[self.frame.endpoint[r]] for r in negatives if self.frame.endpoint[r] >= 0]
        if not failing or not all(e.startswith(_SAFE_METHODS) for e in failing):
            return []
        if not any(self.kind[r - self.low] == SUBMIT for r in self.attempts_by_action.get(action, ())):
            return []
        return [
            self.at(row)
            for row in self.good_rows
            if self._caused_by(row) == action
            and self.given.lonely[row]
            and not self.frame.endpoints[self.frame.endpoint[row]].startswith(_SAFE_METHODS)
        ]

    def _sibling_failed(self, row: int) -> bool:
        """Whether the click or submit that is one action with this one failed."""
        near = (r for r in (row - 2, row - 1, row + 1, row + 2) if self.low <= r < self.high)
        return any(
            r in self.by_cause
            and self.action[r - self.low] == self.action[row - self.low]
            and abs(self.at(r) - self.at(row)) <= self.config.double_click_ms
            for r in near
        )

    def _valid(self, row: int, negatives: Sequence[int]) -> bool:
        """A form found valid is an answer where only validation had failed."""
        only = all(self.negative[r - self.low] == INVALID for r in negatives)
        return only and int(self.frame.flags["valid"][row]) == 1

    def _other_ways(self, action: int, negatives: Sequence[int]) -> list[int]:
        first, pattern = negatives[0], action // max(len(self.frame.targets), 1)
        failing = [self.frame.endpoints[self.frame.endpoint[r]] for r in negatives if self.frame.endpoint[r] >= 0]
        reading = bool(failing) and all(e.startswith(_SAFE_METHODS) for e in failing)
        parents = {e.rsplit("/", 1)[0] for e in failing if e.count("/") > 2}
        times = []
        for row in self.other_successes:
            by = self.cause[row - self.low]
            other = self.action[by - self.low]
            if by < first or other == action or other // max(len(self.frame.targets), 1) != pattern:
                continue
            endpoint = self.frame.endpoints[self.frame.endpoint[row]]
            if not endpoint.startswith(_SAFE_METHODS) or (reading and endpoint.rsplit("/", 1)[0] in parents):
                times.append(self.at(row))
        return times

    def class_tier(self, row: int) -> int:
        """Failures before rejections before slowness: which of several answers is the failure point."""
        return {FAILURE: 0, CRASH: 0, REJECTION: 1, INVALID: 1, SLOW: 2}[self.negative[row - self.low]]
