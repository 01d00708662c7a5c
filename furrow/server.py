"""Server mode on several machines: what ``furrow up`` does on one, as commands of their own (docs/server-mode.md).

``python -m furrow.server deploy --shards 4`` prepares the Prefect server of ``PREFECT_API_URL`` and both stores, once and
after each upgrade. ``python -m furrow.server land`` runs beside each collector. The flows run in Prefect's own workers.
"""

import argparse
import logging
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import yaml  # type: ignore[import-untyped]
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.workers.process import ProcessWorker

from blocks import documents
from furrow import ROOT, automations
from furrow.errors import FurrowError, PermanentError
from furrow.lander import Lander
from furrow.private_files import write_for_us_alone
from furrow.settings import EMBEDDED, LOG, Settings
from tasks import connections

POOL = "furrow"
"""Name of the work pool, as in prefect.yaml."""

MOST_SHARDS = 64
"""More parts than anybody has workers; each is a deployment that runs every 30 s."""

_DETECT = "detect"
_JOIN_SECONDS = 0.5


def deploy(shards: int = 1) -> None:
    """Make pool, blocks, schemas, deployments and automations; harmless to repeat, also with another number of shards.

    The part 0 is the deployment ``detect``, the others are ``detect-1`` and so on; each runs once at a time, all of them
    at the same time. Raises FurrowError with what to do about it.
    """
    if not PREFECT_API_URL.value():
        raise PermanentError("set PREFECT_API_URL to the API of the Prefect server, like http://prefect:4200/api")
    _need_servers()
    with get_client(sync_client=True) as client:
        _make_pool(client)
    documents.register()
    documents.forget()
    _need_servers()  # as the blocks say
    connections.event_store()
    connections.incident_store()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(sharded(yaml.safe_load((ROOT / "prefect.yaml").read_text()), shards)))
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise PermanentError("Prefect refused the deployments; it says above why")
    with get_client(sync_client=True) as client:
        _drop_old_shards(client, shards)
        automations.ensure(client, Settings().warn_block)


def sharded(project: dict[str, Any], shards: int) -> dict[str, Any]:
    """The content of prefect.yaml with the detection as ``shards`` deployments, one a part of the sessions."""
    if not 1 <= shards <= MOST_SHARDS:
        raise PermanentError(f"the number of shards must be from 1 to {MOST_SHARDS}")
    deployments: list[dict[str, Any]] = []
    for one in project["deployments"]:
        if one["name"] != _DETECT:
            deployments.append(one)
            continue
        for shard in range(shards):
            parameters = {**one.get("parameters", {}), "shard": shard, "shards": shards}
            deployments.append({**one, "name": _name(shard), "parameters": parameters})
    return {**project, "deployments": deployments}


def land() -> None:
    """Land what the collector of this machine spools, until SIGTERM or SIGINT."""
    settings = Settings()
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    lander = Lander(settings.spool_dir, connections.landing_store, settings.lander_status)

    def asked(_number: int, _frame: FrameType | None) -> None:
        lander.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)
    thread = threading.Thread(target=lander.run, name="furrow-lander")
    thread.start()
    while thread.is_alive():
        thread.join(_JOIN_SECONDS)  # in pieces, so that signals are seen
    connections.close_all()


def _need_servers() -> None:
    settings = documents.effective_settings() if PREFECT_API_URL.value() else Settings()
    for name, url in (("event", settings.event_store_url), ("incident", settings.incident_store_url)):
        if url.get_secret_value() in (EMBEDDED, LOG):
            variable = f"FURROW_{name.upper()}_STORE_URL"
            raise PermanentError(
                f"the {name} store is `{url.get_secret_value()}`: runs in processes of their own need a server ({variable})"
            )


def _make_pool(client: SyncPrefectClient) -> None:
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template))
        return
    if pool.type == "in-process":
        raise PermanentError(
            f"the work pool {POOL} of this Prefect server belongs to a `furrow up`; use another server"
        )


def _drop_old_shards(client: SyncPrefectClient, shards: int) -> None:
    wanted = {_name(shard) for shard in range(shards)}
    found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[_DETECT])))
    for one in found:
        if one.name not in wanted and one.name.removeprefix(f"{_DETECT}-").isdigit():
            client.delete_deployment(one.id)


def _name(shard: int) -> str:
    return f"{_DETECT}-{shard}" if shard else _DETECT


def main(arguments: list[str]) -> int:
    """The commands; 1 with one line of what to do when something is missing."""
    parser = argparse.ArgumentParser(prog="python -m furrow.server")
    commands = parser.add_subparsers(dest="command", required=True)
    deploying = commands.add_parser("deploy", help="prepare the Prefect server and both stores")
    deploying.add_argument("--shards", type=int, default=1, help="parts of the detection that may run at the same time")
    commands.add_parser("land", help="move the spool of this machine's collector into ClickHouse")
    told = parser.parse_args(arguments)
    write_for_us_alone()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s server %(levelname)s %(name)s: %(message)s")
    try:
        deploy(told.shards) if told.command == "deploy" else land()
    except FurrowError as error:
        print(f"furrow: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
