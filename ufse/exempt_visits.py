"""The visits that would have a detection without the exceptions of their project, and which exceptions silenced them."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ufse.arrays import Ints, any_by_owner
from ufse.attribution import attribute_feedback
from ufse.config import Config
from ufse.event_columns import EventColumns
from ufse.exempted import find_covered_rows
from ufse.exemptions import Exemption
from ufse.frame import Frame
from ufse.index import Index
from ufse.judge import Judgement, drop_same_struggles, judge_clusters
from ufse.verdicts import describe_exemptions


class ExemptVisits(NamedTuple):
    """The judgement without exceptions, and of each visit its number, its clusters with a detection, and the exceptions in
    words; ordered by visit."""

    judged: Judgement
    visits: list[tuple[int, list[int], str]]


def find_exempt_visits(
    frame: Frame, source: EventColumns, visit: Ints, config: Config, choose: Callable[[Judgement], Ints]
) -> ExemptVisits | None:
    """Judges once more without exceptions; None where no exception covers anything, which costs next to nothing.

    ``source``, ``visit``: as in ``find_test_visits``. ``choose``: the clusters that passed all rules and count.
    """
    covered = [(exemption, rows) for exemption, rows in find_covered_rows(frame, source, visit, config) if rows.any()]
    if not covered:
        return None
    plain = replace(config, exemptions=())
    judged = judge_clusters(Index(frame, attribute_feedback(frame, plain), plain))
    emitted = drop_same_struggles(judged.index, judged, choose(judged))
    owner, row = judged.rows_of_clusters
    own = [any_by_owner(owner, rows[row], len(judged.clusters)) for _, rows in covered]
    wide = [any_by_owner(frame.visit, rows, len(frame.low)) for _, rows in covered]
    exemptions = [exemption for exemption, _ in covered]
    visits = judged.clusters.visit[emitted]
    found = []
    for number in np.unique(visits).tolist():
        clusters = emitted[visits == number]
        named = _select_named(exemptions, [bool(at[clusters].any()) for at in own])
        named = named or _select_named(exemptions, [bool(at[number]) for at in wide])
        found.append((number, clusters.tolist(), describe_exemptions(named)))
    return ExemptVisits(judged, found)


def _select_named(exemptions: list[Exemption], chosen: list[bool]) -> list[Exemption]:
    return [exemption for exemption, is_chosen in zip(exemptions, chosen, strict=True) if is_chosen]
