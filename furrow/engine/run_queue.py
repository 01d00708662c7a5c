"""Chooses which due runs start now: one at a time per deployment, without a queue of scheduled runs.

A scheduled run does all pending work. So of the scheduled runs that became due while another run was active, only the latest
is kept and starts next; the others are superseded. Runs that users started are all kept and start first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID


class DueRun(Protocol):
    """The properties of a due run that are used here."""

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
    """``begin``: runs to submit now. ``superseded``: scheduled runs whose work a later run does."""

    begin: list[R] = field(default_factory=list)
    superseded: list[R] = field(default_factory=list)


def choose_due_runs(due: Iterable[R], at_work: Iterable[UUID]) -> RunChoice[R]:
    """Choose among the ``due`` runs. ``at_work``: deployments that have an active run."""
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
    """Whether a schedule created this run and it has not run yet. A run that has run before was retried by a user."""
    return bool(run.auto_scheduled) and not run.run_count


def _first_to_begin(by_hand: Sequence[R], scheduled: Sequence[R]) -> Sequence[R]:
    return by_hand[:1] or scheduled[-1:]


def _expected_start(run: DueRun) -> datetime:
    return run.expected_start_time or _EARLIEST
