"""A signal is one file and one line of the registry: a toy signal, added through the registry alone, appears everywhere."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from core.engine_settings import build_engine_config, find_section_problems
from scripts.reference import render_thresholds_table, render_weights_table
from tests.data.toy_signal import SIGNAL as TOY
from tests.unit.ufse.scene import answer, bodies, click, event, table
from tests.unit.ufse.test_detection_doc import points as points_of_the_guide
from ufse import Config, detect
from ufse.config import THRESHOLDS
from ufse.signals.model import SignalKind
from ufse.signals.registry import SIGNALS
from ufse.weights import TEXTS

ROOT: Final = Path(__file__).parents[3]
PACKAGES: Final = (
    "furrow",
    "flows",
    "tasks",
    "blocks",
    "collector",
    "stores",
    "trackers",
    "incidents",
    "core",
    "ufse",
    "scripts",
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


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with the toy as CONTRIBUTING.md says: one file, and two lines of the registry."""
    root = tmp_path_factory.mktemp("tree")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "data" / "toy_signal.py", root / "ufse" / "signals" / "dwell.py")
    registry = root / "ufse" / "signals" / "registry.py"
    text, imports = re.subn(r"^from ufse\.signals import ", r"\g<0>dwell, ", registry.read_text(), flags=re.M)
    text, entries = re.subn(r"(\nSIGNALS: [^\n]*\n(?:    [^\n]*\n)+)\]", r"\1    dwell.SIGNAL,\n]", text)
    assert (imports, entries) == (1, 1)
    registry.write_text(text)
    return root


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("from scripts import reference; print(reference.render_thresholds_table())", "| `dwell_ms` | 2,000 |"),
        ("from scripts import reference; print(reference.render_weights_table())", "| `dwelt` | 37 |"),
        (
            "from core.project_settings import find_setting_problem as find\n"
            "print(find('thresholds', {'dwell_ms': 0}), find('weights', {'dwelt': 101}))",
            "thresholds.dwell_ms must be a whole number from 1 to 60000, not 0 "
            "weights.dwelt must be a whole number from 0 to 100, not 101",
        ),
    ],
)
def test_processes_that_do_not_run_the_engine_know_a_new_signal(tree: Path, program: str, shown: str) -> None:
    """Here the registry is loaded by other imports; ``make docs`` and ``furrow projects set`` do not import the engine."""
    done = subprocess.run([sys.executable, "-c", program], cwd=tree, capture_output=True, text=True, check=True)
    assert shown in done.stdout


def test_the_settings_of_the_engine_need_no_engine() -> None:
    program = (
        "import sys; from core.project_settings import find_setting_problem as find\n"
        "print([find('thresholds', {'rage_clicks': 5}), find('weights', {'failure': 35}), 'numpy' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['', '', False]"
