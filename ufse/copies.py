"""Events that a page reports twice, because its SDK was loaded twice: each is one event, and is judged as one.

A hand does not click twice within 50 ms. Two or three reports of one control, field, form or page within that time, with equal
texts and nearly the same position, are reports of one act. Longer series are a held key or a script, and stay as they are. What
an engine of the browser counted as a second click (``clickCount``) is a second click. In visits with such copies, requests,
errors and measurements that are reported twice are one each, too. Times in whole seconds show no copies.
"""

from typing import Final

import numpy as np

from ufse.arrays import Bools, Ints, Small, any_by_owner, equals_any, mark_group_starts
from ufse.columns import UNKNOWN_POSITION
from ufse.event_columns import EventColumns, encode_text_tuples
from ufse.sessions import (
    CLICK,
    ERROR,
    INPUT,
    LOADING,
    NAVIGATION,
    NETWORK,
    PERFORMANCE,
    SUBMIT,
    OrderedEvents,
)

COPY_WITHIN_MS: Final = 50
"""A report follows the one of which it is a copy within this time (own choice: the fastest hands need more)."""
_COPIES: Final = 3
"""Reports of one act, at most; more are a held key or a script (own choice)."""
_NEAR_PX: Final = 3
"""Positions of one click differ at most by this, CSS pixels (own choice: rounding)."""
_MEASURED_ALIKE_MS: Final = 10
"""Durations of one request differ at most by this (own choice: each SDK measures by itself)."""

_ACT_TEXTS: Final = (
    *("target_id", "target_selector", "target_type", "target_tag", "target_label"),
    *("event_type", "route", "action", "nav_type"),
)
_NAMES: Final = 2
"""The first of these texts name a control by themselves; two SDKs may describe the rest differently."""
_ANSWER_TEXTS: Final = (
    *("event_type", "route", "method", "url", "error_type", "message", "source", "perf_kind", "state"),
)


def drop_doubled_reports(ordered: OrderedEvents, rows: Ints) -> Ints:
    """The ``rows`` (ascending numbers of ordered events, whole visits) without copies of an event before."""
    kind, visit, ts = ordered.kind[rows], ordered.visit[rows], ordered.ts[rows]
    acts = np.zeros(len(rows), dtype=np.bool_)
    for each in (CLICK, SUBMIT, INPUT, NAVIGATION):
        acts[_find_close_rows(np.flatnonzero(kind == each), visit, ts)] = True
    at = np.flatnonzero(acts)
    if len(at):
        precise = np.unique(visit[at[ts[at] % 1_000 != 0]])
        at = at[np.isin(visit[at], precise)]
    if not len(at):
        return rows
    source = EventColumns(ordered.table, ordered.row[rows])
    at = _keep_like_acts(source, at, visit, ts)
    copy = np.zeros(len(rows), dtype=np.bool_)
    copy[_find_copies(source, at, visit, ts, _ACT_TEXTS)] = True
    if not copy.any():
        return rows
    doubled = any_by_owner(visit[copy], np.ones(int(copy.sum()), dtype=np.bool_), int(visit.max()) + 1)
    answers = np.flatnonzero(doubled[visit] & equals_any(kind, NETWORK, ERROR, PERFORMANCE, LOADING))
    copy[_find_copies(source, answers, visit, ts, _ANSWER_TEXTS)] = True
    return np.asarray(rows[~copy], dtype=np.int64)


def _find_close_rows(at: Ints, visit: Ints, ts: Ints) -> Ints:
    """Of the rows ``at`` of one kind: those within 50 ms of the one before or after."""
    close = (visit[at][1:] == visit[at][:-1]) & (np.diff(ts[at]) <= COPY_WITHIN_MS)
    return at[np.append(False, close) | np.append(close, False)] if len(at) else at


def _keep_like_acts(source: EventColumns, at: Ints, visit: Ints, ts: Ints) -> Ints:
    """Of the rows ``at``: those with another of one kind and one way near them. A field is often changed and left at once; this
    is found without reading all texts.
    """
    code, _ = encode_text_tuples(source, at, ("event_type", "action", "nav_type"))
    order = np.lexsort((at, code, visit[at]))
    row = at[order]
    close = ~mark_group_starts(visit[row], code[order]) & (np.append(0, np.diff(ts[row])) <= COPY_WITHIN_MS)
    return np.sort(row[close | np.append(close[1:], False)])


def _find_copies(source: EventColumns, at: Ints, visit: Ints, ts: Ints, texts: tuple[str, ...]) -> Ints:
    """Of the rows ``at``: the copies, which are the second and third of a series with equal texts."""
    if not len(at):
        return at
    code, tuples = encode_text_tuples(source, at, texts)
    code = _merge_named_controls(tuples)[code] if texts is _ACT_TEXTS else code
    order = np.lexsort((at, code, visit[at]))
    row, code = at[order], code[order]
    again = ~mark_group_starts(visit[row], code)
    again &= np.append(0, np.diff(ts[row])) <= COPY_WITHIN_MS
    series = np.cumsum(~again) - 1
    few = np.bincount(series)[series] <= _COPIES
    return np.asarray(row[again & few & _is_same_measure(source, row)], dtype=np.int64)


def _merge_named_controls(tuples: list[tuple[str, ...]]) -> Ints:
    """Per distinct tuple of ``_ACT_TEXTS``: a code that is equal for one id, or without an id for one selector, of one act."""
    names = [next((place for place in range(_NAMES) if each[place]), -1) for each in tuples]
    keys = [
        each if place < 0 else (str(place), each[place], *each[5:]) for each, place in zip(tuples, names, strict=True)
    ]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64)


def _is_same_measure(source: EventColumns, row: Ints) -> Bools:
    """Per row: whether its numbers are those of the row before."""
    same = np.ones(len(row), dtype=np.bool_)
    for name in ("click_count", "status", "input_method"):
        value: Small | Ints = source.read_codes(name, row)[0] if name == "input_method" else source.read_at(name, row)
        same[1:] &= value[1:] == value[:-1]
    for name, unknown, within in (
        ("x", UNKNOWN_POSITION, _NEAR_PX),
        ("y", UNKNOWN_POSITION, _NEAR_PX),
        ("duration_ms", -1, _MEASURED_ALIKE_MS),
    ):
        value = source.read_at(name, row).astype(np.int64)
        apart = np.abs(np.diff(value)) > within
        same[1:] &= ~(apart & (value[1:] != unknown) & (value[:-1] != unknown))
    return same
