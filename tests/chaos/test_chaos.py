"""The short form of ``make chaos``: some seeds of both sorts, and that the suite sees what it is there to see."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.boundary import Fault
from tests.chaos.fresh import fresh
from tests.chaos.outcome import Outcome
from tests.chaos.plan import Catalogue, Plan, Step, plan
from tests.chaos.scenario import Scenario, undisturbed
from tests.chaos.stack import Stack

pytestmark = pytest.mark.long

SEEDS = range(1, 6)
NAMED: dict[str, tuple[Step, Fault]] = {
    "after reading": ("detect", Fault("clickhouse read of what landed", 1, "after", "kill")),
    "between upsert and watermark": ("detect", Fault("INSERT INTO pending_sessions", 1, "after", "kill")),
    "between detections and clearing": ("detect", Fault("INSERT INTO detections", 1, "after", "kill")),
    "between the Jira ticket and its record": ("export", Fault("jira POST /rest/api/3/issue", 2, "after", "kill")),
    "between the Linear ticket and its record": ("export", Fault("linear FurrowCreate", 2, "after", "kill")),
    "between insert and deletion": ("land", Fault("clickhouse insert of a segment", 1, "after", "kill")),
    "before the insert is done": ("land", Fault("clickhouse insert of a segment", 1, "before", "kill")),
    "in the middle of a write": ("collector", Fault("spool write", 3, "before", "torn")),
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as made:
        yield made


@pytest.fixture(scope="module")
def reference(stack: Stack) -> tuple[Outcome, Catalogue]:
    return undisturbed(stack)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_outcome_is_that_of_the_undisturbed_run(
    stack: Stack, reference: tuple[Outcome, Catalogue], seed: int
) -> None:
    expected, catalogue = reference
    with Scenario(stack, plan(seed, catalogue)) as scenario:
        found = scenario.run().differences(expected)
    assert found == [], f"{scenario.struck} {scenario.plan.words()}"


@pytest.mark.parametrize("where", NAMED)
def test_a_kill_at_each_step(stack: Stack, reference: tuple[Outcome, Catalogue], where: str) -> None:
    expected, _ = reference
    with Scenario(stack, Plan(seed=1, workers=2, faults=(NAMED[where],))) as scenario:
        found = scenario.run().differences(expected)
    assert found == []
    assert str(NAMED[where][1]) in scenario.struck[0]


def test_a_seed_is_one_plan(reference: tuple[Outcome, Catalogue]) -> None:
    _, catalogue = reference
    assert plan(7, catalogue) == plan(7, catalogue)
    plans = [plan(seed, catalogue) for seed in range(200)]
    assert {step for one in plans for step, _ in one.faults} == {"collector", "land", "detect", "export"}
    struck = {fault.label for one in plans for _, fault in one.faults}
    for crossing in (
        "clickhouse read of what landed",  # after reading
        "INSERT INTO pending_sessions",  # between upsert and watermark
        "INSERT INTO detections",  # between detections and clearing pending
        "jira POST /rest/api/3/issue",  # between "ticket created" and "recorded"
        "clickhouse insert of a segment",  # between insert and deletion of the segment
        "spool write",  # a torn tail
    ):
        assert crossing in struck


def test_what_differs_is_told(reference: tuple[Outcome, Catalogue]) -> None:
    expected, _ = reference
    lacking = Outcome(
        events=set(sorted(expected.events)[1:]),
        sessions=dict(expected.sessions),
        detections=dict(list(expected.detections.items())[1:]),
        incidents={id_: {**one, "affectedSessions": 99} for id_, one in expected.incidents.items()},
        tickets=dict.fromkeys(expected.tickets, 2),
    )
    told = "\n".join(lacking.differences(expected))
    for words in ("1 events lost", "detections: ", "affectedSessions 99 instead of", "tickets: "):
        assert words in told
    assert expected.differences(expected) == []


def test_servers_that_a_killed_flow_left_behind_are_ended(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)", "prefect.server"]
    ours = subprocess.Popen(sleeper, env={"PREFECT_HOME": str(folder)})
    other = subprocess.Popen(sleeper, env={"PREFECT_HOME": str(tmp_path / "other")})
    stack = Stack.__new__(Stack)
    stack.folder = folder
    try:
        stack.end_servers()
        assert ours.poll() is None, "its flow, this process, lives"
        stack.end_servers(orphans_alone=False)
        assert ours.wait(10) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


@pytest.mark.soak
def test_every_process_fresh() -> None:
    ((told, equal),) = list(fresh([1]))
    assert equal, told
