"""Presses of a control that its own failure left disabled: tries that cannot fail again, because no code runs.

Many buttons disable themselves when they are pressed, and stay so if the code after that fails. Who presses one again tries
again; neither a request nor an error shows it. Presses of a disabled control without a failure before them are calm: a form
that waits for its fields, or for the answer to a request.

Source: a recording of @sentry/browser 11.12.0 (one press raised an error, two more fell on the disabled button).
"""

from typing import Final

import numpy as np

from ufse.arrays import Bools, any_by_owner, count_by_owner, equals_any, mark_group_starts
from ufse.candidates import Clusters
from ufse.feedback import CRASH, FAILURE
from ufse.index import Index

DOUBLE_CLICK_MS: Final = 500
"""A press so soon after another one is its double click (the default time of a double click in Windows)."""
REFUSED_PRESSES: Final = 2
"""Presses of the disabled control that are a try (own choice): with the failed one, three presses of one control."""


def is_tried_while_disabled(index: Index, clusters: Clusters) -> Bools:
    """Per cluster: whether the control failed by a request or an uncaught error, and was then pressed again at least twice
    while it was disabled, within ``retry_window_ms`` of the failure, and never while it was enabled.

    A refusal of what was entered does not count: its control may rightly be disabled until the form is corrected.
    """
    frame, size = index.frame, len(clusters)
    failed = equals_any(index.attribution.negative[clusters.failure], FAILURE, CRASH) & ~clusters.resolved
    if not failed.any():
        return failed
    last = clusters.negatives.last
    until = frame.find_first_since(clusters.visit, frame.ts[last] + index.config.retry_window_ms + 1)
    key = index.visit_action_key(clusters.visit, clusters.action)
    owner, row = index.presses_by_action.find_entries(key, last + 1, until)
    disabled = frame.source.read_at("disabled", row) == 1
    single = mark_group_starts(owner)
    single[1:] |= np.diff(frame.ts[row]) > DOUBLE_CLICK_MS
    single &= frame.ts[row] - frame.ts[index.attribution.cause[last[owner]]] > index.config.rage_gap_ms
    refused = count_by_owner(owner, size, disabled & single)
    enabled = any_by_owner(owner, ~disabled, size)
    return np.asarray(failed & (refused >= REFUSED_PRESSES) & ~enabled, dtype=np.bool_)
