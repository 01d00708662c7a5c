"""Pages that failed: a navigation whose document was answered 4xx or 5xx (docs/contracts/events.md, `status` of a navigation).

A form of a server-rendered page is answered by a page, and many collectors report no request for it, only the page with its
status or its title ("Server Error"). Such a navigation gets the request that it implies: to the page's own address, without
method and duration, ended when the page was shown. It stands directly before the navigation, so that the rules for requests
find the form, press or navigation that it answers.
"""

from dataclasses import replace

import numpy as np

from ufse.arrays import is_among
from ufse.server_logs import CompletedEvents
from ufse.sessions import NAVIGATION, NETWORK


def add_page_answers(read: CompletedEvents) -> CompletedEvents:
    """The events with the requests that failed pages imply; unchanged where no page failed.

    A page whose failed request is reported, too (same visit, at the same address, at most 1 s before it), implies none.
    """
    ordered, rows = read.ordered, read.rows
    moves = rows[ordered.kind[rows] == NAVIGATION]
    if not len(moves):
        return read
    failed = moves[ordered.columns.read_at("status", moves) >= 400]
    failed = failed[~is_among(failed, rows[read.implied])]
    if not len(failed):
        return read
    both = np.concatenate([failed, rows])
    place = np.lexsort((np.append(np.zeros(len(failed)), np.ones(len(rows))), both))
    number, added = both[place], place < len(failed)
    origin = np.append(read.origin[np.searchsorted(rows, failed)], read.origin)[place]
    implied = np.append(np.ones(len(failed), dtype=np.bool_), read.implied)[place]
    whole = replace(
        ordered,
        row=ordered.row[number],
        ts=ordered.ts[number],
        kind=np.where(added, NETWORK, ordered.kind[number]).astype(ordered.kind.dtype),
        visit=ordered.visit[number],
        analysed=ordered.analysed[number],
    )
    return CompletedEvents(whole, np.arange(len(number)), origin, implied)
