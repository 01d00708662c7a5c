"""Which of the due runs begin now: one at a time of each deployment, and no queue of scheduled runs behind it.

A scheduled run does all the work that waits. So of those that came due while one was at work only the latest is kept, which
begins as soon as that one has ended; the others are superseded. Runs that people started are all kept, and go first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID


class DueRun(Protocol):
    """What is to be known of a due run."""

    @property
    def id(self) -> UUID: ...
    @property
    def deployment_id(self) -> UUID | None: ...
    @property
    def auto_scheduled(self) -> bool | None: ...
    @property
    def run_count(self) -> int: ...
    @property
    def expected_start_time(self) -> datetime | None: ...


R = TypeVar("R", bound=DueRun)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass
class RunChoice(Generic[R]):
    """``begin``: runs that may be submitted now; ``superseded``: scheduled runs that a later one makes superfluous."""

    begin: list[R] = field(default_factory=list)
    superseded: list[R] = field(default_factory=list)


def choose_due_runs(due: Iterable[R], at_work: Iterable[UUID]) -> RunChoice[R]:
    """Choose among the ``due`` runs, while runs of the deployments ``at_work`` are being worked on."""
    choice: RunChoice[R] = RunChoice()
    waiting: dict[UUID, list[R]] = {}
    for run in due:
        if run.deployment_id is None:
            choice.begin.append(run)
        else:
            waiting.setdefault(run.deployment_id, []).append(run)
    busy = set(at_work)
    for deployment, runs in waiting.items():
        scheduled = sorted((run for run in runs if is_scheduled(run)), key=_expected_start)
        by_hand = sorted((run for run in runs if not is_scheduled(run)), key=_expected_start)
        choice.superseded += scheduled[:-1]
        if deployment not in busy:
            choice.begin += _first_to_begin(by_hand, scheduled)
    return choice


def is_scheduled(run: DueRun) -> bool:
    """Whether only a schedule asked for this run: one that ran already was tried again by somebody."""
    return bool(run.auto_scheduled) and not run.run_count


def _first_to_begin(by_hand: Sequence[R], scheduled: Sequence[R]) -> Sequence[R]:
    return by_hand[:1] or scheduled[-1:]


def _expected_start(run: DueRun) -> datetime:
    return run.expected_start_time or _EARLIEST
