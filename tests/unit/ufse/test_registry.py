"""A signal is one file and one line of the registry: a toy signal, added through the registry alone, appears everywhere."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest

from core.engine_settings import build_engine_config, find_section_problems
from scripts.reference import render_thresholds_table, render_weights_table
from tests.unit.ufse.scene import answer, bodies, click, event, table
from tests.unit.ufse.test_detection_doc import points as points_of_the_guide
from ufse import Config, detect
from ufse.arrays import Ragged
from ufse.candidates import Clusters
from ufse.config import THRESHOLDS
from ufse.declared import Rule, Threshold
from ufse.index import Index
from ufse.sessions import HOVER
from ufse.signals.flows import select_flow_signals
from ufse.signals.model import PLAIN, ClusterSignals, SignalFacts, SignalKind, Signals
from ufse.signals.registry import SIGNALS
from ufse.weights import TEXTS


def _find_dwells(index: Index, clusters: Clusters) -> ClusterSignals:
    """The first and the last ``hover`` of a visit, if they lie far enough apart."""
    frame = index.frame
    rows = np.flatnonzero(frame.kind == HOVER)
    if len(rows) < 2 or frame.ts[rows[-1]] - frame.ts[rows[0]] < index.config["dwell_ms"]:
        return ClusterSignals.make_empty()
    both = Ragged(rows[[0, -1]], np.array([0, 2]))
    found = Signals.of_form(
        PLAIN,
        start=frame.ts[both.first],
        end=frame.ts[both.last],
        count=both.sizes,
        action=frame.pattern[both.first] * max(len(frame.targets), 1),
        row=both.first,
        rows=both,
    )
    return select_flow_signals(index, clusters, found, both)


def _describe_dwell(facts: SignalFacts) -> str:
    return f"the pointer rested on {facts.page} for {facts.lasted_ms} ms"


TOY: Final = SignalKind(
    "dwell",
    describe=_describe_dwell,
    find=_find_dwells,
    is_shown_by_page=True,
    thresholds={"dwell_ms": Threshold("Shortest rest of the pointer, ms.", 2_000, 1, 60_000)},
    rules={"dwelt": Rule(37, "the pointer rested on the page")},
)

SCENE: Final = [
    event(0, "hover"),
    click(10.1),
    answer(10.4, 500),
    event(14, "hover"),
]
"""One failure and nothing but the pointer: silent, unless the toy is registered. The engine reads a visit's edges only."""


@pytest.fixture
def toy() -> Iterator[SignalKind]:
    SIGNALS.append(TOY)
    yield TOY
    SIGNALS.remove(TOY)


def _everything() -> tuple[object, ...]:
    """All that a registered signal changes."""
    result = detect(table(SCENE), Config(), why_not=True)  # DEFAULT keeps its digest once it is computed
    outputs = [d.to_json() for d in result.detections], [w.to_json() for w in result.why_not]
    tables = render_thresholds_table(), render_weights_table(), points_of_the_guide()
    return (
        *outputs,
        *tables,
        list(THRESHOLDS),
        list(TEXTS),
        Config().digest,
        find_section_problems("weights", {"dwelt": 1}),
    )


BEFORE: Final = _everything()
BEFORE_DIGEST: Final = Config().digest


def test_a_registered_signal_is_in_the_output(toy: SignalKind) -> None:
    (body,) = bodies(SCENE)
    (signal,) = [s for s in body["triggeringSignals"] if s["type"] == "dwell"]
    assert signal["text"] == "the pointer rested on /checkout for 14000 ms"
    assert (signal["route"], signal["target"], signal["count"], len(signal["eventIds"])) == ("/checkout", "", 2, 2)
    assert {"rule": "the pointer rested on the page", "points": 37} in body["points"]
    assert "The pointer rested on /checkout for 14000 ms (" in body["explanation"]
    assert "the pointer rested on the page +37" in body["explanation"]
    assert {e["eventId"] for e in body["timeline"]} >= set(signal["eventIds"])


def test_a_registered_signal_is_in_the_documentation(toy: SignalKind) -> None:
    assert "| `dwell_ms` | 2,000 | Shortest rest of the pointer, ms. | 1 to 60,000 |" in render_thresholds_table()
    assert "| `dwelt` | 37 | the pointer rested on the page |" in render_weights_table()
    assert "| the pointer rested on the page | +37 | `dwelt` |" in points_of_the_guide()


def test_a_project_sets_the_numbers_of_a_registered_signal(toy: SignalKind) -> None:
    assert find_section_problems("thresholds", {"dwell_ms": 14_001}) == []
    assert find_section_problems("thresholds", {"dwell_ms": 0}) == [
        "thresholds.dwell_ms must be a whole number from 1 to 60000, not 0"
    ]
    assert find_section_problems("weights", {"dwelt": 101}) == [
        "weights.dwelt must be a whole number from 0 to 100, not 101"
    ]
    patient = build_engine_config({"thresholds": {"dwell_ms": 14_001, "rage_clicks": 5}})
    assert (patient["dwell_ms"], patient["rage_clicks"], patient.rage_clicks) == (14_001, 5, 5)
    assert bodies(SCENE, patient) == []
    generous = build_engine_config({"weights": {"dwelt": 40, "failure": 35}})
    assert (generous.read_points("dwelt"), generous.weights.failure) == (40, 35)
    (body,) = bodies(SCENE, generous)
    assert {"rule": "the pointer rested on the page", "points": 40} in body["points"]
    assert len({BEFORE_DIGEST, Config().digest, patient.digest, generous.digest}) == 4
    with pytest.raises(ValueError, match="dwell_ms must be a whole number"):
        Config().override_numbers({"dwell_ms": 0}, {})


def test_without_the_signal_everything_is_as_before() -> None:
    SIGNALS.append(TOY)
    assert _everything() != BEFORE
    SIGNALS.remove(TOY)
    assert _everything() == BEFORE
    assert BEFORE[0] == []
    assert not {"dwell_ms", "dwelt"} & {*THRESHOLDS, *TEXTS}
