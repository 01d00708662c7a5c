"""What the rules look up in a batch: its rows by action, endpoint and flow, and what each control and page is."""

import re
from functools import cached_property

import numpy as np

from ufse.arrays import Bools, Ints, Lookup, among, any_by, distinct_by, expand, heads, unique
from ufse.attribution import Attribution
from ufse.config import Config
from ufse.feedback import CRASH, FAILURE, INVALID, NONE, REJECTION, SLOW
from ufse.frame import PAGE, Frame
from ufse.patterns import ID, fold_path
from ufse.sessions import CLICK, END, INPUT, LOADING, NAVIGATION, NETWORK, PERFORMANCE, SUBMIT, VISIBILITY

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
_LOGIN = re.compile(
    r"(^|/)(log-?in|log-?on|sign-?in|auth|authenticate|session|anmelden|anmeldung|einloggen|connexion|se-connecter|"
    r"iniciar-sesion|acceder|entrar|accedi|inloggen|aanmelden|logga-in|logowanie|zaloguj)(/|$)"
)
"""Login pages by the usual words of a few languages; whatever is named otherwise is no login for the rules."""
_TIER = {NONE: 9, FAILURE: 0, CRASH: 0, REJECTION: 1, INVALID: 1, SLOW: 2}


def _item(route: str) -> str:
    """A route as far as the last generated id in it: ``/orders/8841/edit`` is a page of ``/orders/8841``; '' without one."""
    segments = route.split("/")
    last = max((i for i, s in enumerate(segments) if s and fold_path(f"/{s}") == f"/{ID}"), default=-1)
    return "/".join(segments[: last + 1])


def is_thanks(pattern: str) -> bool:
    """Whether a route says that something was achieved (a thank-you page)."""
    return bool(THANKS.search(pattern.lower())) and not _FAILED_ROUTE.search(pattern.lower())


def is_detour(pattern: str) -> bool:
    """Whether a route is where an application sends people who failed: an error page or the login."""
    return bool(_DETOUR.search(pattern.lower()))


class Index:
    """Lookups over one frame. Rows are numbers of frame rows; times are epoch ms; a *deed* is an action of one visit."""

    def __init__(self, frame: Frame, given: Attribution, config: Config) -> None:
        self.frame, self.given, self.config = frame, given, config
        self.begin_of, self.end_of = frame.low, frame.high
        self._properties: dict[str, Bools] = {}
        self.actions = max(int(given.action.max(initial=0)) + 1, 1)

    def for_telling(self) -> "Index":
        """One over as much of the frame as telling reads; of deeds it knows nothing."""
        return Index(self.frame.for_telling(), self.given.for_telling(), self.config)

    # -- texts and kinds -------------------------------------------------------------------------

    def target_is(self, name: str) -> Bools:
        """Per target: the property of that name."""
        if name not in self._properties:
            self._properties[name] = np.array([getattr(t, name) for t in self.frame.targets], dtype=np.bool_)
        return self._properties[name]

    def target_of(self, action: Ints) -> Ints:
        return action % max(len(self.frame.targets), 1)

    def pattern_of(self, action: Ints) -> Ints:
        return action // max(len(self.frame.targets), 1)

    def is_page(self, action: Ints) -> Bools:
        return np.asarray(self.target_of(action) == PAGE, dtype=np.bool_)

    @cached_property
    def flow_codes(self) -> Ints:
        """Per pattern: the code of its flow."""
        place = {f: i for i, f in enumerate(dict.fromkeys(self.frame.flows))}
        return np.array([place[f] for f in self.frame.flows] or [0], dtype=np.int64)

    def flow(self, row: Ints) -> Ints:
        return self.flow_codes[self.frame.pattern[row]]

    def flow_of(self, action: Ints) -> Ints:
        return self.flow_codes[self.pattern_of(action)]

    @cached_property
    def parents(self) -> tuple[Ints, Bools]:
        """Per endpoint: the code of what lies above its last segment, and whether that is more than a root."""
        texts = [e.rsplit("/", 1)[0] for e in self.frame.endpoints]
        place = {t: i for i, t in enumerate(dict.fromkeys(texts))}
        deep = [e.count("/") > 2 for e in self.frame.endpoints]
        return np.array([place[t] for t in texts] or [0], dtype=np.int64), np.array(deep or [False])

    @cached_property
    def detours(self) -> Bools:
        return np.array([is_detour(p) for p in self.frame.patterns] or [False])

    def tier(self, rows: Ints) -> Ints:
        """Of rows: failures before rejections before slowness: which of several answers is the failure point."""
        return np.array([_TIER[k] for k in range(len(_TIER))], dtype=np.int64)[self.given.negative[rows]]

    # -- keys ------------------------------------------------------------------------------------

    def deed(self, visit: Ints, action: Ints) -> Ints:
        return visit * self.actions + action

    def ask(self, visit: Ints, endpoint: Ints) -> Ints:
        return visit * (len(self.frame.endpoints) + 1) + endpoint + 1

    def in_flow(self, visit: Ints, flow: Ints) -> Ints:
        return visit * (int(self.flow_codes.max()) + 1) + flow

    def on_page(self, visit: Ints, pattern: Ints) -> Ints:
        return visit * len(self.frame.patterns) + pattern

    # -- times -----------------------------------------------------------------------------------

    def waited(self, rows: Ints) -> Ints:
        """How long the answers of feedback rows let the user wait, in ms."""
        lasted = self.frame.ts[rows] - self.given.begin[rows]
        return np.where(self.frame.kind[rows] == LOADING, self.frame.duration[rows], lasted)

    # -- rows ------------------------------------------------------------------------------------

    def _rows(self, *kinds: int) -> Ints:
        found = self.frame.kind == kinds[0]
        for kind in kinds[1:]:
            found |= self.frame.kind == kind
        return np.flatnonzero(found)

    @cached_property
    def moves(self) -> Ints:
        """Navigations."""
        return self._rows(NAVIGATION)

    @cached_property
    def opened(self) -> Ints:
        """Per row: code of the route that a navigation shows, or that a click or submit led to within 2 s; else -1."""
        frame = self.frame
        found = np.full(len(frame), -1, dtype=np.int64)
        moves = self.moves
        found[moves] = frame.route[moves]
        acts = self.acts[frame.kind[self.acts] != INPUT]
        if len(acts) and len(moves):
            at = np.minimum(np.searchsorted(moves, acts), len(moves) - 1)
            move, following = moves[at], np.append(acts[1:], len(frame))
            led = (move > acts) & (move < following) & (frame.visit[move] == frame.visit[acts])
            led &= frame.ts[move] - frame.ts[acts] <= self.config.reaction_window_ms
            led &= frame.route[move] != frame.route[acts]
            found[acts[led]] = frame.route[move[led]]
        return found

    @cached_property
    def led_to(self) -> Bools:
        """Per row: whether it opened a page that is no error page and no login, where one is sent who failed elsewhere."""
        detour = np.zeros(len(self.frame.routes), dtype=np.bool_)
        detour[self.frame.route] = self.detours[self.frame.pattern]
        own = self.opened == self.frame.route
        return np.asarray((self.opened >= 0) & (own | ~detour[np.maximum(self.opened, 0)]), dtype=np.bool_)

    @cached_property
    def served(self) -> Bools:
        """Per row: an interaction, or the navigation that it led to, that got a good answer from the application itself."""
        frame, cause = self.frame, self.given.cause
        # Reading that every page does is background, but it is an answer here.
        good = np.flatnonzero((frame.kind == NETWORK) & (frame.status >= 200) & (frame.status < 400) & (cause >= 0))
        good = good[~frame.noise[good] & (frame.third_party[good] != 1)]
        found = np.zeros(len(frame), dtype=np.bool_)
        found[cause[good]] = True
        moves = self.moves
        acts = self.acts
        if len(moves) and len(acts):
            by = acts[np.maximum(np.searchsorted(acts, moves) - 1, 0)]
            led = (by < moves) & (frame.visit[by] == frame.visit[moves]) & (self.opened[by] == frame.route[moves])
            either = found[by[led]] | found[moves[led]]
            found[by[led]] |= either
            found[moves[led]] |= either
        return found

    @cached_property
    def ends(self) -> Ints:
        return self._rows(END)

    @cached_property
    def farewells(self) -> Ints:
        """Session ends, and pages hidden after which their visit holds no interaction and no navigation."""
        rows = self._rows(VISIBILITY)
        if not len(rows):
            return self.ends
        code, texts = self.frame.source.codes("state", rows)
        hidden = np.array([t == "hidden" for t in texts])[code]
        done = np.sort(np.concatenate((self.acts, self.moves, rows[~hidden])))
        after = np.append(done, len(self.frame))[np.searchsorted(done, rows, "right")]
        alone = after >= self.frame.high[self.frame.visit[rows]]
        return np.sort(np.concatenate((self.ends, rows[hidden & alone])))

    @cached_property
    def acts(self) -> Ints:
        """Clicks, inputs and submits."""
        return self._rows(CLICK, INPUT, SUBMIT)

    @cached_property
    def acts_by_flow(self) -> Lookup:
        return Lookup(self.in_flow(self.frame.visit[self.acts], self.flow(self.acts)), self.acts)

    @cached_property
    def begun_by_flow(self) -> Lookup:
        """Rows at which fields were touched or a form submitted."""
        rows = self._rows(INPUT, SUBMIT)
        return Lookup(self.in_flow(self.frame.visit[rows], self.flow(rows)), rows)

    @cached_property
    def attempts(self) -> Lookup:
        """Meaningful actions by deed: clicks on controls, submits, pages opened by a click."""
        rows = np.flatnonzero(self.given.meaningful)
        return Lookup(self.deed(self.frame.visit[rows], self.given.action[rows]), rows)

    @cached_property
    def presses(self) -> Lookup:
        """The attempts and every other click, by deed: what is made to be repeated is no attempt, but may lead on."""
        rows = np.flatnonzero(self.given.meaningful | (self.frame.kind == CLICK))
        return Lookup(self.deed(self.frame.visit[rows], self.given.action[rows]), rows)

    @cached_property
    def failing(self) -> Bools:
        """Per row: an interaction that met negative feedback."""
        found = np.zeros(len(self.frame), dtype=np.bool_)
        found[self.given.cause[self.given.attributed]] = True
        return found

    @cached_property
    def good(self) -> Ints:
        """Requests answered with success."""
        return np.flatnonzero(self.given.success)

    @cached_property
    def loaded(self) -> Bools:
        """Per row: a page that was opened, and whose load was measured and not slow."""
        frame, given = self.frame, self.given
        rows = self._rows(PERFORMANCE)
        rows = rows[(given.cause[rows] >= 0) & (given.negative[rows] == NONE) & (frame.duration[rows] > 0)]
        rows = rows[frame.is_word("perf_kind", "page_load", rows=rows)]
        found = np.zeros(len(frame), dtype=np.bool_)
        found[given.cause[rows]] = True
        return found

    @cached_property
    def good_by_endpoint(self) -> Lookup:
        return Lookup(self.ask(self.frame.visit[self.good], self.frame.endpoint[self.good]), self.good)

    @cached_property
    def good_by_deed(self) -> Lookup:
        """Good answers by the deed that caused them; spans are over the answers."""
        rows = self.good[self.given.cause[self.good] >= 0]
        return Lookup(self.deed(self.frame.visit[rows], self.given.action[self.given.cause[rows]]), rows)

    @cached_property
    def last_good(self) -> Ints:
        """Per interaction: its last good answer, -1 without one."""
        found = np.full(len(self.frame), -1, dtype=np.int64)
        rows = self.good[self.given.cause[self.good] >= 0]
        found[self.given.cause[rows]] = rows
        return found

    @cached_property
    def crashed(self) -> Bools:
        """Per row: an interaction whose answer crashed in the page, unless it had led on to another page before."""
        rows = np.flatnonzero(self.given.attributed & (self.given.negative == CRASH))
        cause = self.given.cause[rows]
        found = np.zeros(len(self.frame), dtype=np.bool_)
        owner, place = expand(np.searchsorted(self.moves, cause, "right"), np.searchsorted(self.moves, rows))
        away = self.frame.route[self.moves[place]] != self.frame.route[cause[owner]]
        found[cause[~any_by(owner, away, len(rows))]] = True
        return found

    @cached_property
    def thanks(self) -> Lookup:
        """Arrivals on thank-you pages by visit."""
        welcome = np.array([is_thanks(p) for p in self.frame.patterns] or [False])
        rows = self.moves[welcome[self.frame.pattern[self.moves]]]
        return Lookup(self.frame.visit[rows], rows)

    @cached_property
    def other_successes(self) -> Ints:
        """Successful requests that a click or submit on a control caused and that may have achieved something."""
        frame, given = self.frame, self.given
        rows = self.good[given.cause[self.good] >= 0]
        by = given.cause[rows]
        kept = given.meaningful[by] & ~self.crashed[by] & ~self.failing[by] & (frame.third_party[rows] != 1)
        kept &= frame.kind[by] != NAVIGATION
        rows, by = rows[kept], by[kept]
        stayed = np.searchsorted(self.moves, by, "right") == np.searchsorted(self.moves, rows)
        target = self.target_of(given.action[by])
        # In whole seconds the page that a link opened may be told after its answer, which no address tells from another's.
        followed = self.target_is("link")[target] & (self.opened[by] >= 0) & ~self.known(rows)
        return np.asarray(rows[stayed & ~followed & ~self.target_is("leaves")[target]], dtype=np.int64)

    @cached_property
    def telling(self) -> Bools:
        """Per endpoint: its method is told, so that reading and writing at one address are not taken for each other."""
        return np.array([not e.startswith("/") for e in self.frame.endpoints] or [False])

    @cached_property
    def logins(self) -> Bools:
        """Per pattern: a page at which one logs in."""
        return np.array([bool(_LOGIN.search(p)) for p in self.frame.patterns] or [False])

    @cached_property
    def led_on(self) -> Ints:
        """Clicks and submits that were accepted by a request that writes and led on to another page."""
        frame, given = self.frame, self.given
        rows = self.good[given.cause[self.good] >= 0]
        rows = rows[~frame.reads[frame.endpoint[rows]] & (frame.third_party[rows] != 1)]
        by = unique(given.cause[rows])
        leaves = self.target_is("leaves")[self.target_of(given.action[by])]
        link = self.target_is("link")[self.target_of(given.action[by])]
        # A click and the submit that it causes are one action; either may be told to have led on.
        on = np.flatnonzero(given.progress)
        deeds = self.deed(frame.visit[on], given.action[on])
        led = among(self.deed(frame.visit[by], given.action[by]), deeds)
        # In whole seconds another click may stand between: then what the visit goes on to tells.
        after = np.append(self.moves, len(frame))[np.searchsorted(self.moves, by, "right")]
        onward = np.minimum(after, len(frame) - 1)
        went = (after < self.frame.high[frame.visit[by]]) & (frame.route[onward] != frame.route[by])
        led |= went & ~self.logins[frame.pattern[onward]]
        kept = given.meaningful[by] & led & (frame.kind[by] != NAVIGATION) & ~leaves & ~link
        return np.asarray(by[kept], dtype=np.int64)

    @cached_property
    def carried_through(self) -> Ints:
        """Forms, and controls whose request was accepted, that led on to another page by themselves."""
        on = np.flatnonzero(self.given.progress & (self.frame.kind != NAVIGATION))
        accepted = among(on, self.led_on) | (self.frame.kind[on] == SUBMIT)
        return np.asarray(on[accepted], dtype=np.int64)

    @cached_property
    def items(self) -> Ints:
        """Per exact route: the code of the item that it is a page of, -1 where it names none."""
        named = [_item(route) for route in self.frame.routes]
        place = {item: i for i, item in enumerate(dict.fromkeys(n for n in named if n))}
        return np.array([place.get(item, -1) for item in named] or [-1], dtype=np.int64)

    @cached_property
    def achieved_by_flow(self) -> Lookup:
        """Requests that a form or control of the flow sent and that were accepted."""
        rows = self.other_successes
        own = ~self.known(rows) | self.given.lonely[rows]
        rows = rows[own & ~self.frame.reads[self.frame.endpoint[rows]]]
        by = self.given.cause[rows]
        return Lookup(self.in_flow(self.frame.visit[by], self.flow(by)), rows)

    @cached_property
    def entries(self) -> Lookup:
        """Navigations that entered a flow from another one, by flow."""
        rows = self.moves
        flows = self.flow(rows)
        entered = ~heads(self.frame.visit[rows]) & np.append(False, flows[1:] != flows[:-1])[: len(rows)]
        rows, flows = rows[entered], flows[entered]
        return Lookup(self.in_flow(self.frame.visit[rows], flows), rows)

    @cached_property
    def submitted(self) -> tuple[Ints, Ints]:
        """Keys of the deeds that sent a form, and of the pages on which one was sent."""
        rows = self._rows(SUBMIT)
        visit = self.frame.visit[rows]
        return self.deed(visit, self.given.action[rows]), self.on_page(visit, self.frame.pattern[rows])

    @cached_property
    def step_deeds(self) -> Ints:
        """Keys of the deeds that are steps of a wizard."""
        rows = np.flatnonzero(self.given.step & self.given.meaningful)
        return self.deed(self.frame.visit[rows], self.given.action[rows])

    def distinct_causes(self, owner: Ints, rows: Ints, size: int) -> Ints:
        """How many interactions caused each owner's feedback rows."""
        return distinct_by(owner, self.given.cause[rows], size)

    def is_request(self, rows: Ints) -> Bools:
        return np.asarray(self.frame.kind[rows] == NETWORK)

    def known(self, rows: Ints) -> Bools:
        """Per feedback row: whether a URL or message identifies it."""
        endpoint = self.frame.endpoint[rows]
        return (endpoint >= 0) & self.frame.endpoint_known[endpoint] if len(self.frame.endpoints) else endpoint >= 0
