"""What a person did in a visit of which only a server's log is known (docs/contracts/detection.md, Access logs).

A log holds navigations and requests, and no interaction: a form that is sent again and again looks like a page's own polling.
Here the requests that only a person makes get the interaction that made them: a form submit for the POST of a page's form,
and a navigation for each request of a failing page that is tried again. It stands directly before its request.

Who is a machine is decided by behaviour (own choices): machines keep a pace, send forms that they did not read, and visit no
other page.
"""

from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from ufse.arrays import (
    Bools,
    Ints,
    Lookup,
    any_by_owner,
    equals_any,
    is_among,
    mark_group_starts,
)
from ufse.encoding import encode_texts, read_integers
from ufse.memo import memoize_texts
from ufse.patterns import fold_path
from ufse.sessions import END, NAVIGATION, NETWORK, SUBMIT, OrderedEvents

_READ_MS: Final = 2_000
"""A form that is sent sooner after its page was asked for was not read by a person."""
_STEP_MS: Final = 30_000
"""Requests of one page with longer pauses are no run of tries."""
_NEAR_MS: Final = 120_000
"""A person who asks for a failing page was on another page within this time, before or after."""
_LEAVES_MS: Final = 60_000
_FEWEST_FAILED_FORMS: Final = 2
_FEWEST_PAGE_REQUESTS: Final = 3
_MOST_AT_A_PACE: Final = 8
_EVEN_MS: Final = 1_000
"""Pauses that differ by no more are a pace: a log's times are whole seconds."""
_FAR: Final = 2**60
_EVEN_PAGES: Final = 3
_EVEN_FORMS: Final = 4
"""So many even pauses in a row are a clock. A form that is sent to its own page is a person's more often."""

_PAGE_EXTENSIONS: Final = frozenset(
    "html htm xhtml shtml php php5 phtml asp aspx jsp jspx jsf do action cgi pl cfm".split()  # noqa: SIM905
)
_SERVICES: Final = frozenset(
    "api apis ajax graphql rest rpc ws socket.io feed rss atom wp-json xmlrpc.php admin-ajax.php".split()  # noqa: SIM905
)
"""Segments of paths that scripts ask for, by protocols and products, not by words."""


class _Requests(NamedTuple):
    """The requests of pages in visits of a log, ordered by visit, address and time; one entry each."""

    at: Ints
    """Number of the event among the ordered ones."""
    visit: Ints
    address: Ints
    """Code of the folded path that was asked for; ``route`` has the same codes."""
    route: Ints
    related: Bools
    """Whether the path asked for is the route's, lies below it, or above it."""
    ts: Ints
    posted: Bools
    failed: Bools


@memoize_texts
def is_page_path(path: str) -> bool:
    """Whether a path is that of a page, not of an asset or of a service for scripts."""
    segments = path.lower().split("/")
    if any(segment in _SERVICES for segment in segments):
        return False
    _, dot, extension = segments[-1].rpartition(".")
    # "/articles/v1.2" ends in a number, not in an extension.
    return (
        not dot or not extension.isalnum() or len(extension) > 8 or extension.isdigit() or extension in _PAGE_EXTENSIONS
    )


class CompletedEvents(NamedTuple):
    """Events with the interactions that they imply."""

    ordered: OrderedEvents
    rows: Ints
    """Their numbers among ``ordered``; ascending."""
    origin: Ints
    """Per row: its number before; of an implied interaction, that of the request that implies it."""
    implied: Bools
    """Per row: whether it is an implied interaction."""


def add_implied_actions(ordered: OrderedEvents, rows: Ints) -> CompletedEvents:
    """The events ``rows`` (ascending, whole visits) with the implied interactions, as ordered events of their own."""
    unchanged = CompletedEvents(ordered, rows, rows, np.zeros(len(rows), dtype=np.bool_))
    visit, kind = ordered.visit[rows], ordered.kind[rows]
    unlike = any_by_owner(visit, ~equals_any(kind, NAVIGATION, NETWORK, END), len(ordered.visits))
    logged = rows[~unlike[visit]]
    if not len(logged):
        return unchanged
    timed = read_integers(ordered.table, "duration_ms")[ordered.row[logged]] >= 0
    unlike |= any_by_owner(ordered.visit[logged], timed, len(ordered.visits))
    logged = logged[~unlike[ordered.visit[logged]]]
    requests, pages = _read_page_requests(ordered, logged)
    if not len(requests.at):
        return unchanged
    made = np.concatenate([_find_sent_forms(requests, pages), _find_page_tries(requests, pages)])
    if not len(made):
        return unchanged
    submitted = is_among(made, requests.at[requests.posted])
    both = np.concatenate([made, rows])
    place = np.lexsort((np.append(np.zeros(len(made)), np.ones(len(rows))), both))
    kinds = np.concatenate([np.where(submitted, SUBMIT, NAVIGATION), kind])[place]
    number = both[place]
    whole = replace(
        ordered,
        row=ordered.row[number],
        ts=ordered.ts[number],
        kind=kinds.astype(ordered.kind.dtype),
        visit=ordered.visit[number],
        analysed=ordered.analysed[number],
    )
    return CompletedEvents(whole, np.arange(len(number)), number, place < len(made))


class _Pages(NamedTuple):
    """The pages that a log's visits were shown; one entry per navigation, in order."""

    at: Ints
    """Number of the event among the ordered ones."""
    visit: Ints
    address: Ints
    """Code of the folded path."""
    ts: Ints
    base: int
    """Above every code."""

    def key(self, visit: Ints | None = None, address: Ints | None = None) -> Ints:
        """Visit and address packed into one integer, of these pages or of others."""
        return (self.visit if visit is None else visit) * self.base + (self.address if address is None else address)


def _read_page_requests(ordered: OrderedEvents, rows: Ints) -> tuple[_Requests, _Pages]:
    """The GET and POST requests of pages among the events ``rows``, and the pages that were shown there."""
    network = rows[ordered.kind[rows] == NETWORK]
    moves = rows[ordered.kind[rows] == NAVIGATION]
    of = ordered.row
    method, methods = encode_texts(ordered.table, "method", of[network])
    url, urls = encode_texts(ordered.table, "url", of[network])
    route, routes = encode_texts(ordered.table, "route", of[network])
    shown, shows = encode_texts(ordered.table, "route", of[moves])
    status = read_integers(ordered.table, "status")[of[network]]
    folded = [[fold_path(text) for text in texts] for texts in (urls, routes, shows)]
    names = sorted({name for texts in folded for name in texts})
    place = {name: i for i, name in enumerate(names)}
    codes = [np.array([place[name] for name in texts] or [0], dtype=np.int64) for texts in folded]
    posted = np.array([m == "POST" for m in methods] or [False])[method]
    known = posted | np.array([m == "GET" for m in methods] or [False])[method]
    page = known & np.array([bool(u) and is_page_path(u) for u in urls] or [False])[url]
    order = np.lexsort((ordered.ts[network], posted, codes[0][url], ordered.visit[network]))
    order = order[page[order]]
    requests = _Requests(
        at=network[order],
        visit=ordered.visit[network][order],
        address=codes[0][url][order],
        route=codes[1][route][order],
        related=_are_related_paths(codes[0][url][order], codes[1][route][order], names),
        ts=ordered.ts[network][order],
        posted=posted[order],
        failed=(status >= 500)[order] | equals_any(status[order], 0, 408, 429),
    )
    return requests, _Pages(moves, ordered.visit[moves], codes[2][shown], ordered.ts[moves], max(len(names), 1))


def _are_related_paths(asked: Ints, route: Ints, names: list[str]) -> Bools:
    """Per pair of codes: whether a path is the other, or lies below it. Everything lies below "/", which relates nothing."""
    pairs, inverse = np.unique(asked * max(len(names), 1) + route, return_inverse=True)
    found = []
    for pair in pairs.tolist():
        short, long = sorted((names[pair // len(names)], names[pair % len(names)]), key=len)
        found.append(short == long or (short != "/" and long.startswith(short.rstrip("/") + "/")))
    return np.array(found or [False])[inverse]


def _take_requests(requests: _Requests, chosen: Bools) -> _Requests:
    columns: list[Any] = [column[chosen] for column in requests]
    return _Requests(*columns)


def _find_sent_forms(requests: _Requests, pages: _Pages) -> Ints:
    """Numbers of the POST requests that sent a form: from its page to that page's path or to one below or above it, at least
    ``_READ_MS`` after the page was shown, at no pace, and at least two of them failed.
    """
    sent = _take_requests(requests, requests.posted & requests.related)
    if not len(sent.at) or not len(pages.at):
        return sent.at[:0]
    first = mark_group_starts(sent.visit, sent.address)
    group, size = np.cumsum(first) - 1, int(first.sum())
    shown = Lookup(pages.key(), np.arange(len(pages.at)))
    # Events are compared by their numbers: in one second, their order is the log's.
    before = shown.find_last_before(pages.key(sent.visit, sent.route), np.searchsorted(pages.at, sent.at))
    read = (before >= 0) & (sent.ts - pages.ts[np.maximum(before, 0)] >= _READ_MS)
    kept = any_by_owner(group, first & read, size) & (
        np.bincount(group[sent.failed], minlength=size) >= _FEWEST_FAILED_FORMS
    )
    kept &= ~any_by_owner(group, _keeps_a_pace(group, sent.ts, _EVEN_FORMS), size)
    return np.asarray(sent.at[kept[group]], dtype=np.int64)


def _find_page_tries(requests: _Requests, pages: _Pages) -> Ints:
    """Numbers of the failed GET requests with which a person tried a page again and again.

    At least three in a run, while the person was on another page before or after. At a pace, they are a person's only if there
    are few, made from the page itself, and another page follows soon: a machine does not leave.
    """
    asked = _take_requests(requests, ~requests.posted & requests.failed)
    if len(asked.at) < _FEWEST_PAGE_REQUESTS or not len(pages.at):
        return asked.at[:0]
    first = mark_group_starts(asked.visit, asked.address)
    apart = first | np.append(True, np.diff(asked.ts) > _STEP_MS)
    run, heads = np.cumsum(apart) - 1, np.flatnonzero(apart)
    tails, length = np.append(heads[1:], len(asked.at)) - 1, np.bincount(run)
    begin, end, visit = asked.ts[heads], asked.ts[tails], asked.visit[heads]
    left = _find_other_page(pages, visit, asked.address[heads], asked.at[tails], after=True)
    came = _find_other_page(pages, visit, asked.address[heads], asked.at[heads], after=False)
    person = (left - end <= _NEAR_MS) | (begin - came <= _NEAR_MS)
    own = ~any_by_owner(run, asked.route != asked.address, len(heads))
    few = own & (left - end <= _LEAVES_MS) & (length <= _MOST_AT_A_PACE)
    few &= ~is_among(pages.key(visit, asked.address[heads]), pages.key())
    clocked = _is_clocked(asked, pages)
    # In a log, a navigation is a page that was served: they got there.
    served = Lookup(pages.key(), pages.at).find_first_from(pages.key(visit, asked.address[heads]), asked.at[tails]) >= 0
    kept = (length >= _FEWEST_PAGE_REQUESTS) & person & ~served & (few | ~any_by_owner(run, clocked, len(heads)))
    return np.asarray(asked.at[kept[run]], dtype=np.int64)


def _find_other_page(pages: _Pages, visit: Ints, address: Ints, at: Ints, *, after: bool) -> Ints:
    """Per query: the time of the next (or the last) page of the visit with another address, epoch ms; far away without one."""
    fresh = np.asarray(mark_group_starts(pages.visit, pages.address))
    step = 1 if after else -1
    place = np.searchsorted(pages.at, at) - (0 if after else 1)
    # Pages of one address in a row are skipped together: at most two steps, for the neighbour of such a run is another page.
    starts = np.flatnonzero(fresh)
    ends = np.append(starts[1:], len(fresh)) - 1
    number = np.cumsum(fresh) - 1
    for _ in range(2):
        inside = (place >= 0) & (place < len(fresh))
        same = inside & (pages.address[np.clip(place, 0, len(fresh) - 1)] == address)
        same &= pages.visit[np.clip(place, 0, len(fresh) - 1)] == visit
        bound = (ends if after else starts)[number[np.clip(place, 0, len(fresh) - 1)]]
        place = np.where(same, bound + step, place)
    inside = (place >= 0) & (place < len(fresh))
    safe = np.clip(place, 0, len(fresh) - 1)
    found = inside & (pages.visit[safe] == visit) & (pages.address[safe] != address)
    return np.where(found, pages.ts[safe], _FAR if after else -_FAR)


def _is_clocked(asked: _Requests, pages: _Pages) -> Bools:
    """Per failed request: whether its page is asked for at a pace, answered well or not."""
    known = is_among(pages.key(), pages.key(asked.visit, asked.address))
    key = np.concatenate([pages.key(asked.visit, asked.address), pages.key()[known]])
    ts = np.concatenate([asked.ts, pages.ts[known]])
    order = np.lexsort((ts, key))
    even = _keeps_a_pace(np.cumsum(mark_group_starts(key[order])), ts[order], _EVEN_PAGES)
    return is_among(pages.key(asked.visit, asked.address), key[order][even])


def _keeps_a_pace(group: Ints, ts: Ints, pauses: int) -> Bools:
    """Per entry (ordered by group and time): whether as many ``pauses`` before it are even: equal within a second and 20 %."""
    inner = ~mark_group_starts(group)
    pause = np.where(inner, np.append(0, np.diff(ts)), 0)
    before = np.append(0, pause[:-1])
    even = inner & (before > 0) & (pause > 0) & (np.abs(pause - before) <= np.minimum(_EVEN_MS, pause // 5))
    found = even.copy()
    for back in range(1, pauses - 1):
        found &= np.append(np.zeros(min(back, len(even)), dtype=np.bool_), even[: max(len(even) - back, 0)])
    return np.asarray(found, dtype=np.bool_)
