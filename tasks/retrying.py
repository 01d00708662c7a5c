"""How every task retries: transient errors alone, three times, with exponential backoff and jitter."""

from typing import Any, Final

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from core.errors import TransientError


def is_transient_failure(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the failed attempt is worth another one."""
    return isinstance(state.result(raise_on_failure=False), TransientError)


POLICY: Final[dict[str, Any]] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=1),  # 1, 2, 4 s: done well before the next scheduled run
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient_failure,
    # Inputs and results hold whole sessions: not to be hashed, cached or stored by Prefect.
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
