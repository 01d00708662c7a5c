"""Which due runs begin, and which scheduled ones a later one makes superfluous."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from furrow.engine.run_queue import choose_due_runs

DETECT, EXPORT = uuid4(), uuid4()
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Run:
    deployment_id: UUID | None
    at: int = 0
    auto_scheduled: bool | None = True
    run_count: int = 0
    id: UUID = field(default_factory=uuid4)

    @property
    def expected_start_time(self) -> datetime | None:
        return NOW + timedelta(seconds=self.at)


def test_of_scheduled_runs_the_latest_begins_and_the_others_are_superseded() -> None:
    runs = [Run(DETECT, 30), Run(DETECT, 90), Run(DETECT, 60), Run(EXPORT, 10)]
    choice = choose_due_runs(runs, [])
    assert choice.begin == [runs[1], runs[3]]
    assert choice.superseded == [runs[0], runs[2]]


def test_behind_a_run_that_works_one_is_kept_and_none_begins() -> None:
    runs = [Run(DETECT, n) for n in range(20)]
    choice = choose_due_runs(runs, [DETECT])
    assert (choice.begin, choice.superseded) == ([], runs[:-1])


def test_runs_that_people_started_are_kept_and_go_first_one_at_a_time() -> None:
    first, second = Run(DETECT, 5, auto_scheduled=False), Run(DETECT, 6, auto_scheduled=None)
    scheduled = Run(DETECT, 1)
    choice = choose_due_runs([scheduled, second, first], [])
    assert (choice.begin, choice.superseded) == ([first], [])
    assert choose_due_runs([scheduled, second], []).begin == [second]
    assert choose_due_runs([scheduled, second], [DETECT]).superseded == []


def test_a_scheduled_run_that_somebody_tries_again_is_not_superseded() -> None:
    again, next_one = Run(DETECT, -3_600, run_count=1), Run(DETECT, 0)
    choice = choose_due_runs([again, next_one], [])
    assert (choice.begin, choice.superseded) == ([again], [])


def test_a_run_of_no_deployment_is_nobodys_rival() -> None:
    runs = [Run(None), Run(None)]
    assert choose_due_runs(runs, [DETECT]).begin == runs
