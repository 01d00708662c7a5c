"""What makes an idle Prefect cheaper takes effect in the Prefect that is installed, and takes nothing away that it uses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import docket
import prefect.server
import pytest

from core.settings import Settings
from furrow import prefect_economy
from furrow.installation.up import Installation

pytestmark = pytest.mark.long

LOOPS = """
import json
from prefect.settings import get_current_settings
server = get_current_settings().server
services = server.services
names = ("cancellation_cleanup", "cleanup_reconciler", "foreman", "late_runs", "pause_expirations", "repossessor")
print(json.dumps({
    **{name: getattr(services, name).loop_seconds for name in names},
    "recent": services.scheduler.recent_deployments_loop_seconds,
    "proactive": server.events.proactive_granularity.total_seconds(),
    "on": all(getattr(services, name).enabled for name in names),
}))
"""
SERVER = """
import json
from furrow import prefect_economy
prefect_economy.prepare_server()
from prefect.server.api import background_workers, server
worker = background_workers.Worker(server.Docket(name="test", url="memory://"))
print(json.dumps([worker.minimum_check_interval.total_seconds(), worker.scheduling_resolution.total_seconds(),
                  worker.docket.heartbeat_interval.total_seconds()]))
"""
CLIENT = """
import json, ssl, zoneinfo
read = []
real = ssl.create_default_context
def reading(*words, **named):
    read.append(named)
    return real(*words, **named)
ssl.create_default_context = reading
from furrow import prefect_economy
prefect_economy.prepare_client()
read.clear()  # its import makes clients of other things
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import IntervalSchedule
clients = [get_client(sync_client=True, httpx_settings={}) for _ in range(3)]
from prefect.types import _datetime
IntervalSchedule(interval=30, timezone="Europe/Berlin")
before = _datetime.available_timezones.cache_info().misses
IntervalSchedule(interval=30, timezone="Europe/Paris")
print(json.dumps([len(read), before, _datetime.available_timezones.cache_info().misses]))
"""
DATABASE = """
import asyncio, json, sys
import sqlalchemy as sa
from prefect.server.api.server import create_app
from core import metrics
from furrow import prefect_server
from furrow.prefect_database import begin_as_writers, keep_little_in_memory
begin_as_writers()
keep_little_in_memory()
prefect_server.upgrade_elsewhere()
from prefect.server.database import provide_database_interface
async def main():
    db = provide_database_interface()
    async with db.session_context() as session:
        tables = (await session.execute(sa.text("SELECT count(*) FROM sqlite_master WHERE name = 'flow_run'"))).scalar()
        cache = (await session.execute(sa.text("PRAGMA cache_size"))).scalar()
    failed = metrics.DEGRADED.labels("prefect", "upgrade_elsewhere")._value.get()
    print(json.dumps({"tables": tables, "cache": cache, "failed": failed}))
asyncio.run(main())
"""


def run(script: str, directory: Path, **extra: str) -> object:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "PROMETHEUS_"))}
    settings = Settings(data_dir=directory)
    whole = {**plain, **Installation(settings, print).make_environment(), **extra}
    whole.pop("PROMETHEUS_MULTIPROC_DIR")
    told = subprocess.run([sys.executable, "-c", script], env=whole, check=True, capture_output=True, timeout=240)
    return json.loads(told.stdout.splitlines()[-1])


def test_the_loops_turn_as_rarely_as_they_are_set_to_and_none_is_off(tmp_path: Path) -> None:
    assert run(LOOPS, tmp_path) == {
        "cancellation_cleanup": 60,
        "cleanup_reconciler": 60,
        "foreman": 30,
        "late_runs": 15,
        "pause_expirations": 60,
        "repossessor": 30,
        "recent": 20,
        "proactive": 30,
        "on": True,
    }


def test_an_operator_who_sets_a_loop_is_heard(tmp_path: Path) -> None:
    name = "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS"
    os.environ[name] = "7"
    try:
        told = Installation(Settings(data_dir=tmp_path), print).make_environment()
    finally:
        del os.environ[name]
    assert told[name] == "7"


def test_the_server_looks_once_a_second_for_background_work(tmp_path: Path) -> None:
    assert run(SERVER, tmp_path) == [1.0, 1.0, 30.0]


def test_what_is_replaced_in_docket_is_still_there_and_prefect_cancels_none_of_its_tasks() -> None:
    assert hasattr(docket.Worker, "_cancellation_listener")
    cancels = re.compile(r"\bdocket\.cancel\(")
    root = Path(prefect.server.__file__).parent
    assert not [file for file in root.rglob("*.py") if cancels.search(file.read_text(encoding="utf-8"))]


def test_certificates_and_time_zones_are_read_once(tmp_path: Path) -> None:
    contexts, before, after = run(CLIENT, tmp_path)  # type: ignore[misc]
    assert contexts == 1
    assert before == after == 1


def test_the_database_is_made_by_a_copy_and_little_of_it_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    assert run(DATABASE, tmp_path) == {"tables": 1, "cache": -2048, "failed": 0.0}


def test_a_copy_that_fails_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    script = DATABASE.replace(
        "prefect_server.upgrade_elsewhere()", "prefect_server._upgrade = None\nprefect_server.upgrade_elsewhere()"
    )
    assert run(script, tmp_path) == {"tables": 0, "cache": -2048, "failed": 1.0}


def test_settling_may_be_repeated() -> None:
    prefect_economy.freeze_loaded_objects()
    prefect_economy.freeze_loaded_objects()
