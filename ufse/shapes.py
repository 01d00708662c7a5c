"""Shapes that SDKs report, brought into the form that the rules read (docs/contracts/events.md, Shapes).

* A *verdict* on an earlier click (by its id, ``verdict_for``, or by its control and time) fills its ``responded`` and
  ``verdict`` where the click names none, and is then dropped. Of contradicting verdicts, an answer (``responded`` true) wins.
* A click that stands for several (``clicks``, ``span_ms``) becomes that many clicks, evenly over the span.
* An event without a route has the route that its session showed last.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.aggregated import read_running_clicks
from ufse.arrays import Bools, Ints
from ufse.encoding import is_empty_column
from ufse.nearest_clicks import find_nearest_clicks

MOST_CLICKS: Final = 100
"""Clicks that one event may stand for; the same limit as in the contract."""
CLICK_PACE_MS: Final = 300
"""Between two clicks of an event that names no span (own choice)."""
REPORTED_DEAD: Final = "dead, reported"
"""Verdict of a click that a verdict of its own called dead: it is no click that repeats an earlier one (verdict_reports.py)."""
COPY_MARK: Final = "\x1f"
"""Between the id of an event and the number of the click that it stands for."""


def unfold_shapes(table: pa.Table) -> pa.Table:
    """The table without verdicts, and with a row for every click. Without such events it is returned as it is."""
    if _has_verdicts(table):
        table = _apply_verdicts(table)
    if "own_id" in table.column_names and table.num_rows and (pc.max(table["status"]).as_py() or 0) >= 400:
        table = _join_failed_pages(table)
    if "during" in table.column_names and not is_empty_column(table["during"]):
        table = read_running_clicks(table)
    if "clicks" in table.column_names and table.num_rows and (pc.max(table["clicks"]).as_py() or 0) > 1:
        table = _expand_clicks(table)
    return table


def _may_be_empty(column: pa.ChunkedArray) -> bool:
    """Whether a text may be empty or null; of a dictionary, its words are read alone."""
    words = [chunk.dictionary if pa.types.is_dictionary(column.type) else chunk for chunk in column.chunks]
    return bool(column.null_count) or any(not pc.min(pc.binary_length(part)).as_py() for part in words)


def _mark_empty(column: pa.ChunkedArray) -> Bools:
    """Per row: whether its text is empty or null; of a dictionary, its words are measured once."""
    parts = [np.zeros(0, dtype=np.bool_)]
    for chunk in column.chunks:
        coded = pa.types.is_dictionary(column.type)
        words = chunk.dictionary if coded else chunk
        empty = np.append(pc.binary_length(words).fill_null(0).to_numpy(zero_copy_only=False) == 0, True)
        parts.append(empty[chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False)] if coded else empty[:-1])
    return np.concatenate(parts)


def _read_texts(table: pa.Table, name: str, rows: Ints) -> list[str]:
    return [text or "" for text in table[name].take(pa.array(rows)).cast(pa.string()).to_pylist()]


def _mark_types(table: pa.Table, name: str) -> Bools:
    """Per row: whether its event is of this type."""
    types = table["event_type"].cast(pa.string())
    return np.asarray(pc.equal(types, name).fill_null(False).to_numpy(), dtype=np.bool_)


def _has_verdicts(table: pa.Table) -> bool:
    """Whether any event is a verdict on an earlier click."""
    names = [name for name in ("verdict_for", "verdict") if name in table.column_names]
    return any(not is_empty_column(table[name]) for name in names) and bool(_mark_types(table, "verdict").any())


def _match_verdicts(table: pa.Table, verdicts: Ints, clicks: Ints) -> tuple[Ints, Ints, int]:
    """Per verdict and per click (rows): the number of what was judged, -1 for nothing; and how many such numbers there are.

    A verdict without the id of its click is about the nearest click on its control.
    """
    names = ("project", "session_id")
    wanted = list(zip(*(_read_texts(table, n, verdicts) for n in (*names, "verdict_for")), strict=True))
    named = list(zip(*(_read_texts(table, n, clicks) for n in (*names, "own_id")), strict=True))
    asked = {key for key in wanted if key[2]}
    place = {key: i for i, key in enumerate(sorted(asked))}
    owner = np.array([place.get(key, -1) for key in named], dtype=np.int64)
    judged = np.array([place.get(key, -1) for key in wanted], dtype=np.int64)
    nameless = np.flatnonzero([not key[2] for key in wanted])
    if not len(nameless) or not len(clicks):
        return judged, owner, len(place)
    nearest = find_nearest_clicks(table, verdicts[nameless], clicks)
    nameless, nearest = nameless[nearest >= 0], nearest[nearest >= 0]
    fresh = np.unique(nearest[owner[nearest] < 0])
    owner[fresh] = len(place) + np.arange(len(fresh))
    judged[nameless] = owner[nearest]
    return judged, owner, len(place) + len(fresh)


def _apply_verdicts(table: pa.Table) -> pa.Table:
    """The table without verdicts; each fills what its click does not name."""
    is_verdict = _mark_types(table, "verdict")
    verdicts = np.flatnonzero(is_verdict)
    clicks = np.flatnonzero(_mark_types(table, "click"))
    judged, owner, size = _match_verdicts(table, verdicts, clicks)
    responded = np.array(table["responded"].fill_null(-1).to_numpy(), dtype=np.int8)
    answer = np.full(size + 1, -1, dtype=np.int8)
    np.maximum.at(answer, judged, responded[verdicts])  # the answers: unknown -1, no 0, yes 1
    answer[-1] = -1
    open_clicks = clicks[responded[clicks] < 0]
    responded[open_clicks] = answer[owner[responded[clicks] < 0]]
    found = [""] * (size + 1)
    for number, text in sorted(zip(judged.tolist(), _read_texts(table, "verdict", verdicts), strict=True)):
        if number >= 0 and text:
            found[number] = REPORTED_DEAD if text == "dead" else text
    texts = np.array(_read_texts(table, "verdict", np.arange(table.num_rows)), dtype=object)
    own = texts[clicks]
    texts[clicks] = np.where(own == "", np.array(found, dtype=object)[owner], own)
    table = _replace_column(table, "responded", pa.array(responded))
    table = _replace_column(table, "verdict", pa.array(texts, pa.string()))
    return table.filter(pa.array(~is_verdict))


def _join_failed_pages(table: pa.Table) -> pa.Table:
    """The table, where two navigations with one id, of which one alone has a status, are one with that status.

    Some SDKs report the page when it opens, and the answer of its document later.
    """
    rows = np.flatnonzero(pc.greater_equal(table["status"], 400).fill_null(False).to_numpy())
    some = table.select(["event_type", "own_id"]).take(pa.array(rows))
    rows = rows[_mark_types(some, "navigation") & ~_mark_empty(some["own_id"])]
    if not len(rows):
        return table
    names = ("project", "session_id", "own_id")
    wanted = dict(zip(zip(*(_read_texts(table, n, rows) for n in names), strict=True), rows.tolist(), strict=True))
    alike = pc.is_in(table["own_id"].cast(pa.string()), value_set=pa.array(sorted({key[2] for key in wanted})))
    moves = np.setdiff1d(np.flatnonzero(alike.to_numpy() & _mark_types(table, "navigation")), rows)
    found = [wanted.get(key, -1) for key in zip(*(_read_texts(table, n, moves) for n in names), strict=True)]
    source = np.array(found, dtype=np.int64)
    moves, source = moves[source >= 0], source[source >= 0]
    if not len(moves):
        return table
    index = np.arange(table.num_rows)
    index[moves] = source
    for name in ("status", "url"):
        table = _replace_column(table, name, table[name].take(pa.array(index)))
    keys = list(zip(*(_read_texts(table, n, rows) for n in names), strict=True))
    joined = {keys[i] for i, row in enumerate(rows.tolist()) if row in set(source.tolist())}
    kept = np.ones(table.num_rows, dtype=np.bool_)
    kept[rows[[key in joined for key in keys]]] = False
    return table.filter(pa.array(kept))


def _expand_clicks(table: pa.Table) -> pa.Table:
    """The table with a row for every click that an event stands for; ids get a number behind ``COPY_MARK``."""
    total = np.asarray(table["clicks"].fill_null(-1).to_numpy(), dtype=np.int64)
    rows = np.flatnonzero((total > 1) & _mark_types(table, "click"))
    count = np.minimum(total[rows], MOST_CLICKS)
    span = np.asarray(table["span_ms"].fill_null(-1).to_numpy(), dtype=np.int64)[rows]
    span = np.where(span >= 0, span, CLICK_PACE_MS * (count - 1))
    origin = np.repeat(rows, count - 1)
    begin = np.append(0, np.cumsum(count - 1))[:-1]
    number = np.arange(len(origin)) - np.repeat(begin, count - 1) + 1
    later = np.repeat(span, count - 1) * number // np.repeat(count - 1, count - 1)
    more = table.take(pa.array(origin))
    for name in ("ts", "client_ts"):
        at = np.asarray(more[name].fill_null(-1).to_numpy(), dtype=np.int64)
        more = _replace_column(more, name, pa.array(np.where(at >= 0, at + later, at)))
    ids = [
        f"{text}{COPY_MARK}{n}" for text, n in zip(_read_texts(table, "event_id", origin), number.tolist(), strict=True)
    ]
    more = _replace_column(more, "event_id", pa.array(ids, pa.string()))
    joined = pa.concat_tables([table, more.cast(table.schema)])
    return joined.replace_schema_metadata(table.schema.metadata)


def _replace_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, name, values)


def remove_copy_mark(event_id: str) -> str:
    """The id of an event as it was stored."""
    return event_id.partition(COPY_MARK)[0]


def remove_copy_marks(event_ids: list[str]) -> list[str]:
    """``remove_copy_mark`` of each; mostly no id has a mark, which one search shows."""
    if COPY_MARK not in "".join(event_ids):
        return event_ids
    return list(map(remove_copy_mark, event_ids))


def fill_unknown_routes(table: pa.Table, row: Ints, session: Ints) -> pa.Table:
    """The table with a route for events that name none: the last that their session showed, else the next.

    ``row``: rows of the table ordered by ``session`` and time. Before the first navigation it is the page that this came from.
    """
    if not _may_be_empty(table["route"]):
        return table
    unknown = _mark_empty(table["route"])[row]
    if not unknown.any():
        return table
    route = table["route"].cast(pa.string())
    place = np.arange(len(row))
    last = np.maximum.accumulate(np.where(unknown, -1, place))
    later = np.minimum.accumulate(np.where(unknown, len(row), place)[::-1])[::-1]
    ahead = np.minimum(later, max(len(row) - 1, 0))
    follows = (last >= 0) & (session[np.maximum(last, 0)] == session)
    precedes = (later < len(row)) & (session[ahead] == session)
    source = np.where(follows, last, np.where(precedes, ahead, place))
    texts = np.array([text or "" for text in route.to_pylist()], dtype=object)
    came = np.flatnonzero(unknown & ~follows & precedes)
    texts[row[unknown]] = texts[row[source[unknown]]]
    if len(came):
        before = np.array(_read_texts(table, "nav_from", row[ahead[came]]), dtype=object)
        texts[row[came]] = np.where(before != "", before, texts[row[came]])
    return _replace_column(table, "route", pa.array(texts, pa.string()))
