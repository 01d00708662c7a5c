"""A batch in parts: by configuration, and in slices that fit a processor's caches; and the visits of all parts."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Ints, mark_group_starts, sort_unique
from ufse.config import DEFAULT, Config
from ufse.encoding import encode_text_runs, rank_distinct_texts
from ufse.sessions import Visits

SLICE_EVENTS: Final = 250_000
"""Events of one part of a batch. Measured: parts of 0.2 to 1 million events are fastest; with 10 million, an event takes twice
the time.
"""


def split_batch(events: pa.Table, config: Config | Mapping[str, Config]) -> Iterator[tuple[Config, pa.Table]]:
    """Parts of the batch, each with its configuration; ``config`` may map projects to configurations ('' is the default)."""
    groups = [(config, events)] if isinstance(config, Config) else _group_by_config(events, config)
    for own, whole in groups:
        for part in _slice_batch(whole):
            yield own, part


def _slice_batch(events: pa.Table) -> Iterator[pa.Table]:
    """The batch in parts that fit a processor's caches, if the rows of each client session stand together, as from a store;
    else the batch as it is.
    """
    if events.num_rows <= SLICE_EVENTS:
        yield events
        return
    project, _ = encode_text_runs(events, "project")
    session, names = encode_text_runs(events, "session_id")
    begin = np.flatnonzero(mark_group_starts(project, session))
    runs = project[begin] * max(len(names), 1) + session[begin]
    if len(sort_unique(runs)) != len(runs):
        yield events
        return
    cuts = np.searchsorted(begin, np.arange(0, events.num_rows, SLICE_EVENTS))
    bounds = [*sort_unique(begin[cuts[cuts < len(begin)]]).tolist(), events.num_rows]
    for low, high in pairwise(bounds):
        yield events.slice(low, high - low)


def _group_by_config(events: pa.Table, config: Mapping[str, Config]) -> Iterator[tuple[Config, pa.Table]]:
    projects = sorted(t or "" for t in pc.unique(events["project"].cast(pa.string())).to_pylist())
    groups: dict[Config, list[str]] = {}
    for project in projects:
        groups.setdefault(config.get(project, config.get("", DEFAULT)), []).append(project)
    if len(groups) <= 1:
        yield next(iter(groups), config.get("", DEFAULT)), events
        return
    column = events["project"].cast(pa.string()).fill_null("")
    for own, names in groups.items():
        yield own, events.filter(pc.is_in(column, pa.array(names)))


def join_visits(parts: list[Visits]) -> Visits:
    """All visits of the parts of a batch, ordered by project, session and start."""
    project, projects = _join_codes([(v.project_code, v.projects) for v in parts])
    session, sessions = _join_codes([(v.session_code, v.sessions) for v in parts])
    arrays = {
        n: np.concatenate([getattr(v, n) for v in parts])
        for n in ("start_ms", "end_ms", "events", "late_events", "truncated")
    }
    order = np.lexsort((arrays["start_ms"], session, project))
    return Visits(projects, sessions, project[order], session[order], **{n: a[order] for n, a in arrays.items()})


def _join_codes(parts: list[tuple[Ints, Sequence[str]]]) -> tuple[Ints, list[str]]:
    """One column of codes, and its sorted texts, from several with texts of their own."""
    rank, distinct = rank_distinct_texts([text for _, texts in parts for text in texts])
    bounds = np.cumsum([0, *(len(texts) for _, texts in parts)])
    return np.concatenate([rank[low + code] for low, (code, _) in zip(bounds, parts, strict=False)]), distinct
