"""The engine process: the lander, the embedded ClickHouse and the worker of the flows, which must share one process.

``furrow up`` runs it as ``python -m furrow.engine.process`` with the settings in its environment. On SIGTERM it stops within
seconds: queries are killed, runs stop between their steps, and the rest of the work stays pending.
"""

import logging
import os
import signal
import sys
import threading

import anyio
import httpx
from prefect.exceptions import PrefectHTTPStatusError

from core import last_errors, prefect_gate
from core.health import BEAT_S, Heartbeat, heartbeat_file
from core.metrics import count_degraded
from core.session_window import find_window_socket
from core.settings import Settings
from furrow import prefect_economy
from furrow.engine import worker
from furrow.engine.watch import watch_lag
from lander.loop import Lander
from lander.session_socket import serve_session_windows
from tasks import connections, stopping

_STOP_SECONDS = 8.0
_WORKER_RETRY_SECONDS = 3.0
_log = logging.getLogger("furrow.engine.process")


async def main(settings: Settings) -> None:
    """Run the lander and the worker until SIGTERM or SIGINT."""
    prefect_economy.prepare_client()
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    beat = Heartbeat(heartbeat_file(settings.data_dir, "lander")).touch_file
    lander = Lander(settings.spool_dir, connections.landing_store, settings.lander_status, beat)
    thread = threading.Thread(target=lander.land_until_stopped, name="furrow-lander")
    thread.start()
    watching = threading.Event()
    threading.Thread(target=watch_lag, args=(watching,), name="furrow-watch", daemon=True).start()
    windows = serve_session_windows(find_window_socket(settings.lander_status), connections.landing_store)
    async with anyio.create_task_group() as group:
        group.start_soon(_beat_while_alive, Heartbeat(heartbeat_file(settings.data_dir, "worker")))
        group.start_soon(_serve_worker)
        with windows, anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                break
        _log.info("stopping")
        lander.stop()
        watching.set()
        stopping.request_stop_of_all()
        await anyio.to_thread.run_sync(connections.stop_queries)
        group.cancel_scope.cancel()
    thread.join(_STOP_SECONDS)


async def _beat_while_alive(beat: Heartbeat) -> None:
    # The heartbeat is that of the event loop: a worker that waits for Prefect is alive, a blocked loop is not.
    while True:
        beat.touch_file()
        await anyio.sleep(BEAT_S / 2)


async def _serve_worker() -> None:
    # Prefect may start later than this process, or stop for a while: the worker is restarted, the lander continues.
    while True:
        if not prefect_gate.is_gate_open():
            await anyio.sleep(BEAT_S)
            continue
        try:
            await worker.serve_in_process_worker(anyio.Event())
        except (httpx.HTTPError, PrefectHTTPStatusError, ExceptionGroup) as error:
            count_degraded("worker", type(error).__name__)
            last_errors.record_last_error(Settings().data_dir, "prefect", error)
            _log.warning("the worker lost its connection to Prefect and is restarted: %s", error)
        await anyio.sleep(_WORKER_RETRY_SECONDS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s engine %(levelname)s %(name)s: %(message)s")
    anyio.run(main, Settings())
    # Threads of runs that have not stopped in time must not keep the process alive. Their work stays pending.
    sys.stdout.flush()
    os._exit(0)
