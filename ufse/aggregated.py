"""Clicks that were running when a request or error began (``during``): its cause, and the clicks of an aggregated one.

Datadog's SDK names in each request and error the clicks that were running when it began, the newest first. Two things follow
(docs/contracts/events.md, Shapes):

* The newest of them that the session has is the cause, where the event names none.
* Clicks that the SDK joined to one (``count``) were never sent, but their ids stand in these lists. The SDK gives an id to the
  first click, then to the joined one, then to each further click; a click that is alone has a companion that is never sent,
  with an id right after its own. So all ids that no event of the session has, newer than a joined click and older than the next
  click that was sent, are clicks of the joined one; the id right before the next joined click is that one's own.

Source: @datadog/browser-rum-core 7.16.2, ``clickChain.ts`` and ``trackClickActions.ts`` (``finalizeClicks``), and recordings.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Bools, Ints, count_by_owner

_MOST_CLICKS: Final = 100
"""The limit of the contract for ``count``."""
_LONGEST_GAP_MS: Final = 1_000
"""Between two clicks of a joined one (``MAX_DURATION_BETWEEN_CLICKS``)."""
_KEYS: Final = ("project", "session_id")


def read_running_clicks(table: pa.Table) -> pa.Table:
    """The table with ``cause`` from ``during``, and ``clicks`` and ``span_ms`` of joined clicks; no row is added."""
    rows = np.flatnonzero(_is_filled(table["during"]))
    clicks = np.flatnonzero(
        np.asarray(pc.equal(table["event_type"].cast(pa.string()), "click").fill_null(False).to_numpy())
    )
    clicks = clicks[_is_filled(table["own_id"].take(pa.array(clicks)))]
    if not len(rows) or not len(clicks):
        return table
    lists = pc.split_pattern(_take_texts(table, "during", rows), " ")
    owner = np.asarray(pc.list_parent_indices(lists).to_numpy(), dtype=np.int64)
    named = pc.list_flatten(lists)
    own, place = _find_named_clicks(table, rows, clicks, owner, named)
    table = _fill_causes(table, rows, owner, place, named)
    return _count_joined_clicks(table, clicks, own, owner, place, named)


def _take_texts(table: pa.Table, name: str, rows: Ints) -> pa.Array:
    taken = table[name].take(pa.array(rows)).cast(pa.string()).fill_null("")
    return pa.concat_arrays(taken.chunks) if taken.num_chunks else pa.array([], pa.string())


def _is_filled(column: pa.ChunkedArray) -> Bools:
    return np.asarray(
        pc.greater(pc.binary_length(column.cast(pa.string())), 0).fill_null(False).to_numpy(), dtype=np.bool_
    )


def _find_named_clicks(table: pa.Table, rows: Ints, clicks: Ints, owner: Ints, named: pa.Array) -> tuple[Ints, Ints]:
    """(Per click: number of its id in its session; per name in the lists: that number, -1 without such a click).

    Copies of one event have one number.
    """
    both = np.concatenate([clicks, rows])
    keys = np.zeros(len(both), dtype=np.int64)
    for name in _KEYS:
        coded = _take_texts(table, name, both).dictionary_encode()
        keys = keys * (len(coded.dictionary) + 1) + coded.indices.to_numpy().astype(np.int64)
    _, session = np.unique(keys, return_inverse=True)
    texts = pa.concat_arrays([_take_texts(table, "own_id", clicks), named]).dictionary_encode()
    code = texts.indices.to_numpy().astype(np.int64)
    width = len(texts.dictionary) + 1
    have = session[: len(clicks)] * width + code[: len(clicks)]
    asked = session[len(clicks) :][owner] * width + code[len(clicks) :]
    known, own = np.unique(have, return_inverse=True)
    at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return own.astype(np.int64), np.where(known[at] == asked, at, -1)


def _fill_causes(table: pa.Table, rows: Ints, owner: Ints, place: Ints, named: pa.Array) -> pa.Table:
    """``cause`` of the ``rows`` that name none: the first name of their list that the session has."""
    found = np.flatnonzero(place >= 0)
    first = found[np.append(True, owner[found][1:] != owner[found][:-1])] if len(found) else found
    if not len(first):
        return table
    index = np.full(table.num_rows, -1, dtype=np.int64)
    index[rows[owner[first]]] = first
    chosen = pa.array(index >= 0) if "cause" in table.column_names else None
    if chosen is None:
        return table
    stored = table["cause"].cast(pa.string()).fill_null("").combine_chunks()
    chosen = pc.and_(chosen, pc.equal(stored, ""))
    filled = named.take(pa.array(index, mask=index < 0)).fill_null("")
    return _replace_column(table, "cause", pc.if_else(chosen, filled, stored))


def _count_joined_clicks(
    table: pa.Table, clicks: Ints, own: Ints, owner: Ints, place: Ints, named: pa.Array
) -> pa.Table:
    """``clicks`` of the joined ones, where the lists name more; ``span_ms`` becomes unknown where it is too long for them."""
    stored = np.asarray(table["clicks"].fill_null(-1).to_numpy(), dtype=np.int64)
    joined = np.zeros(int(own.max()) + 1, dtype=np.bool_)
    joined[own[stored[clicks] > 1]] = True
    if not joined.any():
        return table
    member = _find_members(joined, owner, place)
    at = np.flatnonzero(member >= 0)
    code = named.dictionary_encode().indices.to_numpy().astype(np.int64)
    pairs = np.unique(member[at] * (int(code.max(initial=0)) + 1) + code[at])
    more = 1 + count_by_owner(pairs // (int(code.max(initial=0)) + 1), len(joined))
    rows, by = clicks[joined[own]], own[joined[own]]
    count, span = stored.copy(), np.array(table["span_ms"].fill_null(-1).to_numpy(), dtype=np.int64)
    count[rows] = np.minimum(np.maximum(count[rows], more[by]), _MOST_CLICKS)
    span[rows] = np.where(span[rows] > (count[rows] - 1) * _LONGEST_GAP_MS, -1, span[rows])
    table = _replace_column(table, "clicks", pa.array(count.astype(np.int32)))
    return _replace_column(table, "span_ms", pa.array(span))


def _find_members(joined: Bools, owner: Ints, place: Ints) -> Ints:
    """Per name in the lists: the number of the joined click of which it is one, -1 at others.

    A list has the newest first, so that the sent click next to a name's right is the last that began before it.
    """
    size = len(place)
    known = place >= 0
    following = np.minimum.accumulate(np.where(known, np.arange(size), size)[::-1])[::-1]
    safe = np.minimum(following, size - 1)
    older = (following < size) & (owner[safe] == owner)
    member = np.where(~known & older, place[safe], -1)
    member = np.where((member >= 0) & joined[member], member, -1)
    newer = np.append(-1, place[:-1])
    same = np.append(False, owner[1:] == owner[:-1])
    begins = same & (newer >= 0) & joined[newer]  # right before a joined click in time: its own first click
    return np.where(begins, -1, member)


def _replace_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)
