"""A flow for the worker's tests: it works until it is asked to stop, between steps like the real ones."""

import time
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from tasks.stopping import Stopped, raise_if_stopped


@flow(name="slow")
def slow(seconds: float = 60) -> State[Any] | None:
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            raise_if_stopped()
            time.sleep(0.05)
    except Stopped as stopped:
        return Cancelled(message=str(stopped))
    return None
