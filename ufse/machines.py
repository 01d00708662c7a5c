"""Visits that a program or assistive technology made, as its user agent or its events declare. ``source``: columns of events;
``visit``: per event, the number of its visit."""

import re

import numpy as np
import pyarrow as pa

from ufse.agents import is_machine_agent
from ufse.arrays import Bools, Ints, any_by_owner
from ufse.encoding import measure_texts
from ufse.event_columns import EventColumns

_DECLARED = re.compile(
    r'"(assistive|assistive_?technology|(is_?)?screen_?reader|(is_?)?bot|webdriver|automated|synthetic)"'
    r'\s*:\s*(true|1\b|"(?!"|false|no|none|0")[^"]*")',
    re.I,
)


def find_machine_visits(source: EventColumns, visit: Ints, visits: int) -> Bools:
    """Per visit: whether its user agent declares a bot or assistive technology."""
    code, texts = source.read_codes("user_agent", np.arange(len(visit)))
    declared = np.array([is_machine_agent(t) for t in texts] or [False])
    return any_by_owner(visit, declared[code], visits) if declared.any() else np.zeros(visits, dtype=np.bool_)


def find_declared_machines(source: EventColumns, visit: Ints, asked: Ints, visits: int) -> Ints:
    """Of the visits ``asked``: those whose metadata declare a bot or assistive technology."""
    rows = np.flatnonzero(any_by_owner(asked, np.ones(len(asked), dtype=np.bool_), visits)[visit])
    column = source.table["metadata"]
    if not pa.types.is_dictionary(column.type):  # most are empty, and their lengths are cheap to read
        rows = rows[measure_texts(column, source.row[rows]) > 2]
    if not len(rows):
        return asked[:0]
    code, texts = source.read_codes("metadata", rows)
    declared = np.array([bool(_DECLARED.search(t)) for t in texts])
    return np.unique(visit[rows[declared[code]]])
