"""The scenes of verdicts, all in one batch and in any order of rows, give what each gives alone."""

import random

from tests.unit.ufse.scene import Row, run, table
from tests.unit.ufse.verdicts import (
    test_crawlers,
    test_form_pages,
    test_late_answers,
    test_one_failure,
    test_reload_until_it_came,
    test_sent_back,
    test_silent_controls,
    test_slow_and_served,
    test_ways_that_worked,
)
from ufse import detect

MODULES = (
    test_crawlers,
    test_form_pages,
    test_late_answers,
    test_one_failure,
    test_reload_until_it_came,
    test_sent_back,
    test_silent_controls,
    test_slow_and_served,
    test_ways_that_worked,
)


def _name_sessions() -> list[list[Row]]:
    """The rows of every scene under a session of its own, with event ids."""
    scenes = [rows for module in MODULES for rows in (*module.CALM.values(), *module.STRUGGLES.values())]
    return [
        [{**row, "session_id": f"s{n:03d}", "event_id": f"{n:03d}-{i:04d}"} for i, row in enumerate(rows)]
        for n, rows in enumerate(scenes)
    ]


def test_a_batch_in_any_order_gives_what_its_sessions_give_alone() -> None:
    sessions = _name_sessions()
    alone = sorted(repr(d.to_json()) for rows in sessions for d in run(rows).detections)
    together = [row for rows in sessions for row in rows]
    assert len(alone) > 30
    for seed in range(3):
        random.Random(seed).shuffle(together)
        assert sorted(repr(d.to_json()) for d in detect(table(together)).detections) == alone
