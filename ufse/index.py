"""Lookups for the rules: the rows of a batch by action, endpoint and flow, and properties of targets and pages."""

from functools import cached_property

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    any_by_owner,
    expand_ranges,
    is_among,
    mark_group_starts,
    sort_unique,
)
from ufse.attribution import Attribution
from ufse.config import Config
from ufse.feedback import CRASH, FAILURE, INVALID, NONE, REJECTION, RETURNED, SILENT, SLOW
from ufse.frame import Frame
from ufse.page_kinds import is_detour_page, is_login_page, is_thanks_page
from ufse.patterns import ID, fold_path
from ufse.sessions import CLICK, END, INPUT, LOADING, NAVIGATION, NETWORK, PERFORMANCE, SUBMIT, VISIBILITY
from ufse.target_codes import PAGE

_TIER = {NONE: 9, FAILURE: 0, CRASH: 0, REJECTION: 1, INVALID: 1, SLOW: 2, SILENT: 2, RETURNED: 2}


def _find_item_route(route: str) -> str:
    """The route up to its last generated id: ``/orders/8841/edit`` → ``/orders/8841``; '' without an id."""
    segments = route.split("/")
    last = max((i for i, s in enumerate(segments) if s and fold_path(f"/{s}") == f"/{ID}"), default=-1)
    return "/".join(segments[: last + 1])


class Index:
    """Lookups over one frame, each made when it is first used.

    Rows are numbers of frame rows. A key packs two codes (a visit and an action, an endpoint, …) into one integer.
    """

    def __init__(self, frame: Frame, attribution: Attribution, config: Config) -> None:
        self.frame, self.attribution, self.config = frame, attribution, config
        self._properties: dict[str, Bools] = {}
        self.actions = max(int(attribution.action.max(initial=0)) + 1, 1)

    def trim_for_explanation(self) -> "Index":
        """An index over the part of the frame that explanations read; it cannot look up actions."""
        return Index(self.frame.trim_for_explanation(), self.attribution.trim_for_explanation(), self.config)

    # -- texts and kinds -------------------------------------------------------------------------

    def target_property(self, name: str) -> Bools:
        """Per target: the property ``name`` of ``Target``."""
        if name not in self._properties:
            self._properties[name] = np.array([getattr(t, name) for t in self.frame.targets], dtype=np.bool_)
        return self._properties[name]

    def target_of_action(self, action: Ints) -> Ints:
        return action % max(len(self.frame.targets), 1)

    def pattern_of_action(self, action: Ints) -> Ints:
        return action // max(len(self.frame.targets), 1)

    def is_page_action(self, action: Ints) -> Bools:
        return np.asarray(self.target_of_action(action) == PAGE, dtype=np.bool_)

    @cached_property
    def flow_codes(self) -> Ints:
        """Per pattern: the code of its flow."""
        place = {f: i for i, f in enumerate(dict.fromkeys(self.frame.flows))}
        return np.array([place[f] for f in self.frame.flows] or [0], dtype=np.int64)

    def flow_of_row(self, row: Ints) -> Ints:
        return self.flow_codes[self.frame.pattern[row]]

    def flow_of_action(self, action: Ints) -> Ints:
        return self.flow_codes[self.pattern_of_action(action)]

    @cached_property
    def parent_endpoints(self) -> tuple[Ints, Bools]:
        """Per endpoint: the code of its path without the last segment, and whether that path is deeper than a root."""
        texts = [e.rsplit("/", 1)[0] for e in self.frame.endpoints]
        place = {t: i for i, t in enumerate(dict.fromkeys(texts))}
        deep = [e.count("/") > 2 for e in self.frame.endpoints]
        return np.array([place[t] for t in texts] or [0], dtype=np.int64), np.array(deep or [False])

    @cached_property
    def detour_patterns(self) -> Bools:
        return np.array([is_detour_page(p) for p in self.frame.patterns] or [False])

    def failure_tier(self, rows: Ints) -> Ints:
        """Per row: rank of its feedback for the choice of the failure point: failures, rejections, slowness."""
        return np.array([_TIER[k] for k in range(len(_TIER))], dtype=np.int64)[self.attribution.negative[rows]]

    # -- keys ------------------------------------------------------------------------------------

    def visit_action_key(self, visit: Ints, action: Ints) -> Ints:
        return visit * self.actions + action

    def visit_endpoint_key(self, visit: Ints, endpoint: Ints) -> Ints:
        return visit * (len(self.frame.endpoints) + 1) + endpoint + 1

    def visit_flow_key(self, visit: Ints, flow: Ints) -> Ints:
        return visit * (int(self.flow_codes.max()) + 1) + flow

    def visit_page_key(self, visit: Ints, pattern: Ints) -> Ints:
        return visit * len(self.frame.patterns) + pattern

    # -- times -----------------------------------------------------------------------------------

    def waiting_times(self, rows: Ints) -> Ints:
        """How long the user waited for the answers of these feedback rows, ms."""
        lasted = self.frame.ts[rows] - self.attribution.begin[rows]
        return np.where(self.frame.kind[rows] == LOADING, self.frame.duration[rows], lasted)

    # -- rows ------------------------------------------------------------------------------------

    def _rows_of_kinds(self, *kinds: int) -> Ints:
        found = self.frame.kind == kinds[0]
        for kind in kinds[1:]:
            found |= self.frame.kind == kind
        return np.flatnonzero(found)

    @cached_property
    def navigation_rows(self) -> Ints:
        """Rows of navigations."""
        return self._rows_of_kinds(NAVIGATION)

    @cached_property
    def opened_routes(self) -> Ints:
        """Per row: code of the route that a navigation shows, or to which a click or submit led within 2 s to stay; else -1."""
        frame = self.frame
        found = np.full(len(frame), -1, dtype=np.int64)
        moves = self.navigation_rows
        found[moves] = frame.route[moves]
        acts = self.interaction_rows[frame.kind[self.interaction_rows] != INPUT]
        if len(acts) and len(moves):
            at = np.minimum(np.searchsorted(moves, acts), len(moves) - 1)
            move, following = moves[at], np.append(acts[1:], len(frame))
            led = (move > acts) & (move < following) & (frame.visit[move] == frame.visit[acts])
            led &= frame.ts[move] - frame.ts[acts] <= self.config.reaction_window_ms
            led &= frame.route[move] != frame.route[acts]
            found[acts[led]] = frame.route[move[led]]
            found[acts[self.attribution.negative[acts] == RETURNED]] = -1
        return found

    @cached_property
    def led_to_page(self) -> Bools:
        """Per row: whether it opened a page that is neither an error page nor a login reached from another page."""
        detour = np.zeros(len(self.frame.routes), dtype=np.bool_)
        detour[self.frame.route] = self.detour_patterns[self.frame.pattern]
        own = self.opened_routes == self.frame.route
        return np.asarray(
            (self.opened_routes >= 0) & (own | ~detour[np.maximum(self.opened_routes, 0)]), dtype=np.bool_
        )

    @cached_property
    def is_served(self) -> Bools:
        """Per row: whether an interaction, or the navigation to which it led, got a good answer that is not a third party's."""
        frame, cause = self.frame, self.attribution.cause
        # A request that every page sends is background, but counts as an answer here.
        good = np.flatnonzero((frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (cause >= 0))
        good = good[~frame.noise[good] & (frame.third_party[good] != 1)]
        found = np.zeros(len(frame), dtype=np.bool_)
        found[cause[good]] = True
        moves = self.navigation_rows
        acts = self.interaction_rows
        if len(moves) and len(acts):
            by = acts[np.maximum(np.searchsorted(acts, moves) - 1, 0)]
            led = (
                (by < moves) & (frame.visit[by] == frame.visit[moves]) & (self.opened_routes[by] == frame.route[moves])
            )
            either = found[by[led]] | found[moves[led]]
            found[by[led]] |= either
            found[moves[led]] |= either
        return found

    @cached_property
    def session_end_rows(self) -> Ints:
        return self._rows_of_kinds(END)

    @cached_property
    def visit_end_rows(self) -> Ints:
        """Session ends, and hidden pages without a later interaction or navigation in the visit."""
        rows = self._rows_of_kinds(VISIBILITY)
        if not len(rows):
            return self.session_end_rows
        code, texts = self.frame.source.read_codes("state", rows)
        hidden = np.array([t == "hidden" for t in texts])[code]
        done = np.sort(np.concatenate((self.interaction_rows, self.navigation_rows, rows[~hidden])))
        after = np.append(done, len(self.frame))[np.searchsorted(done, rows, "right")]
        alone = after >= self.frame.high[self.frame.visit[rows]]
        return np.sort(np.concatenate((self.session_end_rows, rows[hidden & alone])))

    @cached_property
    def interaction_rows(self) -> Ints:
        """Rows of clicks, inputs and submits."""
        return self._rows_of_kinds(CLICK, INPUT, SUBMIT)

    @cached_property
    def interactions_by_flow(self) -> Lookup:
        return Lookup(
            self.visit_flow_key(self.frame.visit[self.interaction_rows], self.flow_of_row(self.interaction_rows)),
            self.interaction_rows,
        )

    @cached_property
    def form_events_by_flow(self) -> Lookup:
        """Rows of inputs and submits, by flow."""
        rows = self._rows_of_kinds(INPUT, SUBMIT)
        return Lookup(self.visit_flow_key(self.frame.visit[rows], self.flow_of_row(rows)), rows)

    @cached_property
    def attempts_by_action(self) -> Lookup:
        """Meaningful interactions by (visit, action): clicks on controls, submits, pages opened by a click."""
        rows = np.flatnonzero(self.attribution.meaningful)
        return Lookup(self.visit_action_key(self.frame.visit[rows], self.attribution.action[rows]), rows)

    @cached_property
    def presses_by_action(self) -> Lookup:
        """``attempts_by_action`` and all other clicks: a control for repeated clicks may lead to another page."""
        rows = np.flatnonzero(self.attribution.meaningful | (self.frame.kind == CLICK))
        return Lookup(self.visit_action_key(self.frame.visit[rows], self.attribution.action[rows]), rows)

    @cached_property
    def is_failing(self) -> Bools:
        """Per row: whether it is an interaction that caused negative feedback."""
        found = np.zeros(len(self.frame), dtype=np.bool_)
        found[self.attribution.cause[self.attribution.attributed]] = True
        return found

    @cached_property
    def good_answer_rows(self) -> Ints:
        """Rows of requests answered with success."""
        return np.flatnonzero(self.attribution.success)

    @cached_property
    def is_loaded_page(self) -> Bools:
        """Per row: whether it opened a page whose load was measured and not slow."""
        frame, attribution = self.frame, self.attribution
        rows = self._rows_of_kinds(PERFORMANCE)
        rows = rows[(attribution.cause[rows] >= 0) & (attribution.negative[rows] == NONE) & (frame.duration[rows] > 0)]
        rows = rows[frame.column_equals("perf_kind", "page_load", rows=rows)]
        found = np.zeros(len(frame), dtype=np.bool_)
        found[attribution.cause[rows]] = True
        return found

    @cached_property
    def good_answers_by_endpoint(self) -> Lookup:
        return Lookup(
            self.visit_endpoint_key(
                self.frame.visit[self.good_answer_rows], self.frame.endpoint[self.good_answer_rows]
            ),
            self.good_answer_rows,
        )

    @cached_property
    def good_answers_by_action(self) -> Lookup:
        """Good answers by the (visit, action) that caused them; spans are over the rows of the answers."""
        rows = self.good_answer_rows[self.attribution.cause[self.good_answer_rows] >= 0]
        return Lookup(
            self.visit_action_key(self.frame.visit[rows], self.attribution.action[self.attribution.cause[rows]]), rows
        )

    @cached_property
    def last_good_answer(self) -> Ints:
        """Per interaction: its last good answer, -1 without one."""
        found = np.full(len(self.frame), -1, dtype=np.int64)
        rows = self.good_answer_rows[self.attribution.cause[self.good_answer_rows] >= 0]
        found[self.attribution.cause[rows]] = rows
        return found

    @cached_property
    def is_crashed(self) -> Bools:
        """Per row: whether an uncaught error followed the interaction before it led to another page."""
        rows = np.flatnonzero(self.attribution.attributed & (self.attribution.negative == CRASH))
        cause = self.attribution.cause[rows]
        found = np.zeros(len(self.frame), dtype=np.bool_)
        owner, place = expand_ranges(
            np.searchsorted(self.navigation_rows, cause, "right"), np.searchsorted(self.navigation_rows, rows)
        )
        away = self.frame.route[self.navigation_rows[place]] != self.frame.route[cause[owner]]
        found[cause[~any_by_owner(owner, away, len(rows))]] = True
        return found

    @cached_property
    def thanks_pages_by_visit(self) -> Lookup:
        """Navigations to thank-you pages, by visit."""
        welcome = np.array([is_thanks_page(p) for p in self.frame.patterns] or [False])
        rows = self.navigation_rows[welcome[self.frame.pattern[self.navigation_rows]]]
        return Lookup(self.frame.visit[rows], rows)

    @cached_property
    def control_successes(self) -> Ints:
        """Successful requests caused by a click or submit on a control that may complete something."""
        frame, attribution = self.frame, self.attribution
        rows = self.good_answer_rows[attribution.cause[self.good_answer_rows] >= 0]
        by = attribution.cause[rows]
        kept = attribution.meaningful[by] & ~self.is_crashed[by] & ~self.is_failing[by] & (frame.third_party[rows] != 1)
        kept &= frame.kind[by] != NAVIGATION
        rows, by = rows[kept], by[kept]
        stayed = np.searchsorted(self.navigation_rows, by, "right") == np.searchsorted(self.navigation_rows, rows)
        target = self.target_of_action(attribution.action[by])
        # With times in whole seconds, the page that a link opened may be reported after its answer; without an address that
        # answer cannot be recognised.
        followed = self.target_property("link")[target] & (self.opened_routes[by] >= 0) & ~self.is_identified(rows)
        return np.asarray(rows[stayed & ~followed & ~self.target_property("leaves")[target]], dtype=np.int64)

    @cached_property
    def has_known_method(self) -> Bools:
        """Per endpoint: whether its method is known, so that reads and writes of one address can be distinguished."""
        return np.array([not e.startswith("/") for e in self.frame.endpoints] or [False])

    @cached_property
    def login_patterns(self) -> Bools:
        """Per pattern: whether it is a login page."""
        return np.array([is_login_page(p) for p in self.frame.patterns] or [False])

    @cached_property
    def accepted_action_rows(self) -> Ints:
        """Clicks and submits whose writing request was accepted and that led to another page."""
        frame, attribution = self.frame, self.attribution
        rows = self.good_answer_rows[attribution.cause[self.good_answer_rows] >= 0]
        rows = rows[~frame.only_reads[frame.endpoint[rows]] & (frame.third_party[rows] != 1)]
        by = sort_unique(attribution.cause[rows])
        leaves = self.target_property("leaves")[self.target_of_action(attribution.action[by])]
        link = self.target_property("link")[self.target_of_action(attribution.action[by])]
        # A click and the submit that it causes are one action; the navigation may belong to either.
        on = np.flatnonzero(attribution.progress)
        progress_keys = self.visit_action_key(frame.visit[on], attribution.action[on])
        led = is_among(self.visit_action_key(frame.visit[by], attribution.action[by]), progress_keys)
        # With times in whole seconds, another click may stand between: then the next navigation of the visit decides.
        after = np.append(self.navigation_rows, len(frame))[np.searchsorted(self.navigation_rows, by, "right")]
        onward = np.minimum(after, len(frame) - 1)
        went = (after < self.frame.high[frame.visit[by]]) & (frame.route[onward] != frame.route[by])
        led |= went & ~self.login_patterns[frame.pattern[onward]]
        kept = attribution.meaningful[by] & led & (frame.kind[by] != NAVIGATION) & ~leaves & ~link
        return np.asarray(by[kept], dtype=np.int64)

    @cached_property
    def completed_action_rows(self) -> Ints:
        """Form submits, and controls whose request was accepted, that led to another page."""
        on = np.flatnonzero(self.attribution.progress & (self.frame.kind != NAVIGATION))
        accepted = is_among(on, self.accepted_action_rows) | (self.frame.kind[on] == SUBMIT)
        return np.asarray(on[accepted], dtype=np.int64)

    @cached_property
    def route_items(self) -> Ints:
        """Per exact route: the code of the item (generated id) to which the page belongs, -1 without one."""
        named = [_find_item_route(route) for route in self.frame.routes]
        place = {item: i for i, item in enumerate(dict.fromkeys(n for n in named if n))}
        return np.array([place.get(item, -1) for item in named] or [-1], dtype=np.int64)

    @cached_property
    def successes_by_flow(self) -> Lookup:
        """Accepted requests that a form or control of the flow sent, by flow."""
        rows = self.control_successes
        own = ~self.is_identified(rows) | self.attribution.lonely[rows]
        rows = rows[own & ~self.frame.only_reads[self.frame.endpoint[rows]]]
        by = self.attribution.cause[rows]
        return Lookup(self.visit_flow_key(self.frame.visit[by], self.flow_of_row(by)), rows)

    @cached_property
    def flow_entries(self) -> Lookup:
        """Navigations that entered a flow from another one, by flow."""
        rows = self.navigation_rows
        flows = self.flow_of_row(rows)
        entered = ~mark_group_starts(self.frame.visit[rows]) & np.append(False, flows[1:] != flows[:-1])[: len(rows)]
        rows, flows = rows[entered], flows[entered]
        return Lookup(self.visit_flow_key(self.frame.visit[rows], flows), rows)

    @cached_property
    def submitted_form_keys(self) -> tuple[Ints, Ints]:
        """Keys of the (visit, action) pairs that sent a form, and of the (visit, page) pairs on which a form was sent."""
        rows = self._rows_of_kinds(SUBMIT)
        visit = self.frame.visit[rows]
        return self.visit_action_key(visit, self.attribution.action[rows]), self.visit_page_key(
            visit, self.frame.pattern[rows]
        )

    @cached_property
    def wizard_step_keys(self) -> Ints:
        """Keys of the (visit, action) pairs that are steps of a wizard."""
        rows = np.flatnonzero(self.attribution.step & self.attribution.meaningful)
        return self.visit_action_key(self.frame.visit[rows], self.attribution.action[rows])

    def is_request(self, rows: Ints) -> Bools:
        return np.asarray(self.frame.kind[rows] == NETWORK)

    def is_identified(self, rows: Ints) -> Bools:
        """Per feedback row: whether a URL or message identifies it."""
        endpoint = self.frame.endpoint[rows]
        return (endpoint >= 0) & self.frame.endpoint_known[endpoint] if len(self.frame.endpoints) else endpoint >= 0
