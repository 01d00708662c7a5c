"""The commands of server mode, which replace ``furrow up`` on several machines (docs/server-mode.md).

``python -m furrow.server deploy --shards 4`` prepares both stores and the Prefect server at ``PREFECT_API_URL``, once and after
each upgrade. ``python -m furrow.server land`` runs next to each collector. ``python -m furrow.server work`` runs the flows.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType

import yaml  # type: ignore[import-untyped]
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled

from blocks import documents
from core.ending import run_to_exit_code
from core.errors import PermanentError, WrongUse
from core.package import ROOT
from core.private_files import restrict_new_files
from core.session_window import find_window_socket
from core.settings import Settings
from furrow.engine import admission, automations, process_worker
from furrow.engine.shards import DETECT, MOST_SHARDS, shard_deployment_name, split_into_shards
from furrow.engine.stranded import POOL
from lander.loop import Lander
from lander.session_socket import serve_session_windows
from stores import opening
from tasks import connections

_IN_PROCESS = "in-process"  # work pool of `furrow up`
_OF_PREFECT = "process"  # work pool of earlier versions
_PAGE = 200
_NO_API = "set PREFECT_API_URL to the address of Prefect's API, like http://prefect:4200/api"
_log = logging.getLogger("furrow.server")
_JOIN_SECONDS = 0.5


def deploy_server_mode(shards: int = 1) -> None:
    """Create the work pool, blocks, schemas, deployments and automations. Can be repeated, also with another ``shards``.

    Shard 0 is the deployment ``detect``, the others are ``detect-1`` and so on. Each has one active run at a time; different
    shards run in parallel. Raises FurrowError with advice.
    """
    if not PREFECT_API_URL.value():
        raise PermanentError(_NO_API)
    _check_store_servers()
    with get_client(sync_client=True) as client:
        _make_work_pool(client)
        if undone := admission.undo_deployment_changes(client, admission.declared_deployments(MOST_SHARDS)):
            _log.warning("these deployments had been changed in Prefect and are restored: %s", ", ".join(undone))
    documents.register_blocks()
    documents.forget_blocks()
    _check_store_servers()  # with the values of the blocks
    connections.event_store()
    connections.incident_store()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(split_into_shards(yaml.safe_load((ROOT / "prefect.yaml").read_text()), shards)))
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise PermanentError("Prefect refused the deployments; its message is above")
    with get_client(sync_client=True) as client:
        _drop_old_shards(client, shards)
        automations.ensure_automations(client, Settings().warn_block)


def run_spool_lander() -> None:
    """Move events from the spool of this machine's collector to the event store, until SIGTERM or SIGINT; meanwhile answer the
    collector's questions about stored sessions."""
    settings = Settings()
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    lander = Lander(settings.spool_dir, connections.landing_store, settings.lander_status)

    def stop_lander(_number: int, _frame: FrameType | None) -> None:
        lander.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop_lander)
    thread = threading.Thread(target=lander.land_until_stopped, name="furrow-lander")
    thread.start()
    with serve_session_windows(find_window_socket(settings.lander_status), connections.landing_store):
        while thread.is_alive():
            thread.join(_JOIN_SECONDS)  # with a timeout, so that signals are handled
    connections.close_connections()


def run_flow_worker(name: str | None, limit: int, with_healthcheck: bool) -> None:
    """Run Furrow's flows, up to ``limit`` at a time, until SIGTERM or SIGINT. Raises PermanentError."""
    if not PREFECT_API_URL.value():
        raise PermanentError(_NO_API)
    if limit < 1:
        raise WrongUse("--limit must be at least 1")
    asyncio.run(process_worker.serve_process_worker(name, limit, with_healthcheck))


def _check_store_servers() -> None:
    settings = documents.effective_settings() if PREFECT_API_URL.value() else Settings()
    for name, url in (("event", settings.event_store_url), ("incident", settings.incident_store_url)):
        if opening.read_store_mode(url) != "server":
            variable = f"FURROW_{name.upper()}_STORE_URL"
            raise PermanentError(
                f"the {name} store is `{url.get_secret_value()}`; server mode needs a database server: set {variable}"
            )


def _make_work_pool(client: SyncPrefectClient) -> None:
    wanted = process_worker.ProcessWorker.type
    try:
        kind = client.read_work_pool(POOL).type
    except ObjectNotFound:
        kind = None
    if kind == _IN_PROCESS:
        raise PermanentError(
            f"the work pool {POOL} of this Prefect server belongs to `furrow up`; use another Prefect server"
        )
    if kind == _OF_PREFECT:
        _log.warning(
            "the work pool %s has the type %r, whose workers execute what Prefect's API says. It is replaced by a pool of "
            "the type %r. Stop the workers of `prefect worker start`, and start `python -m furrow.server work`",
            POOL,
            kind,
            wanted,
        )
        _cancel_waiting_runs(client)
        client.delete_work_pool(POOL)
    elif kind is not None:
        if kind != wanted:
            _log.warning("the work pool %s has the type %r: its workers execute what Prefect's API says", POOL, kind)
        return
    template = process_worker.ProcessWorker.get_default_base_job_template()
    client.create_work_pool(WorkPoolCreate(name=POOL, type=wanted, base_job_template=template))


def _cancel_waiting_runs(client: SyncPrefectClient) -> None:
    """Cancel the scheduled runs of the pool: after its deletion they would never run."""
    waiting = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    while found := client.read_flow_runs(flow_run_filter=waiting, work_pool_filter=pool, limit=_PAGE):
        for run in found:
            with contextlib.suppress(ObjectNotFound):  # it was deleted in the meantime
                message = "Its work pool was replaced. Start the run again."
                client.set_flow_run_state(run.id, Cancelled(message=message), force=True)


def _drop_old_shards(client: SyncPrefectClient, shards: int) -> None:
    wanted = {shard_deployment_name(shard) for shard in range(shards)}
    found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[DETECT])))
    for deployment in found:
        if deployment.name not in wanted and deployment.name.removeprefix(f"{DETECT}-").isdigit():
            client.delete_deployment(deployment.id)


def main(arguments: list[str]) -> int:
    """Run a command. Returns 1, or 2 for wrong use, with an error in one line, when it fails."""
    parser = argparse.ArgumentParser(prog="python -m furrow.server")
    commands = parser.add_subparsers(dest="command", required=True)
    deploying = commands.add_parser("deploy", help="prepare the Prefect server and both stores")
    deploying.add_argument(
        "--shards", type=int, default=1, help="number of shards of the detection, which run in parallel"
    )
    commands.add_parser("land", help="move events from the spool of this machine's collector to ClickHouse")
    working = commands.add_parser("work", help="run Furrow's flows, each run in its own process")
    working.add_argument("--name", help="name of this worker in the Prefect UI (default: random)")
    working.add_argument(
        "--limit",
        type=int,
        default=process_worker.RUNS_AT_ONCE,
        help="maximum number of runs at a time (default: %(default)s)",
    )
    working.add_argument("--with-healthcheck", action="store_true", help="answer GET /health on port 8080")
    parsed = parser.parse_args(arguments)
    restrict_new_files()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s server %(levelname)s %(name)s: %(message)s")
    return run_to_exit_code(lambda: _run_command(parsed))


def _run_command(parsed: argparse.Namespace) -> None:
    Settings()  # wrong settings fail here, not later in a thread that reads them
    if parsed.command == "deploy":
        deploy_server_mode(parsed.shards)
    elif parsed.command == "work":
        run_flow_worker(parsed.name, parsed.limit, parsed.with_healthcheck)
    else:
        run_spool_lander()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
