"""What `furrow up` tells the Prefect server takes effect there: its database of runs stays small."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from furrow.installation.up import Installation

SETTINGS = """
import json
from prefect.settings import get_current_settings
from prefect.server.services import db_vacuum, perpetual_services
settings = get_current_settings()
vacuum = settings.server.services.db_vacuum
print(json.dumps({
    "types": sorted(vacuum.enabled_vacuum_types),
    "days": vacuum.retention_period.total_seconds() / 86400,
    "events": settings.server.events.retention_period.total_seconds() / 86400,
    "on": {one.function.__name__: one.enabled_getter() for one in perpetual_services._PERPETUAL_SERVICES},
}))
"""
VACUUM = """
import asyncio, datetime, json
import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.server.schemas.states import StateType
from prefect.server.services.db_vacuum import vacuum_old_flow_runs

async def main():
    db = provide_database_interface()
    await db.create_db()
    now = datetime.datetime.now(datetime.UTC)
    async with db.session_context(begin_transaction=True) as session:
        flow = db.Flow(name="detect")
        session.add(flow)
        await session.flush()
        for days in (1, 13, 15, 90):
            at = now - datetime.timedelta(days=days)
            session.add(db.FlowRun(flow_id=flow.id, name=str(days), state_type=StateType.COMPLETED, end_time=at))
    await vacuum_old_flow_runs(db=db)
    async with db.session_context() as session:
        left = (await session.execute(sa.select(db.FlowRun.name))).scalars().all()
    print(json.dumps(sorted(left, key=int)))

asyncio.run(main())
"""


def told_by(program: str, data: Path) -> Any:
    """What ``program`` prints in the environment of the parts of an installation."""
    environment = Installation(Settings(data_dir=data), print).make_environment()
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_vacuum_of_runs_is_on(tmp_path: Path) -> None:
    found = told_by(SETTINGS, tmp_path)
    assert found["types"] == ["events", "flow_runs", "orphans"]
    assert (found["days"], found["events"] <= 14) == (14, True)
    for service in ("schedule_vacuum_tasks", "schedule_event_vacuum_tasks", "schedule_orphan_vacuum_tasks"):
        assert found["on"][service] is True


@pytest.mark.long
def test_runs_older_than_two_weeks_go(tmp_path: Path) -> None:
    assert told_by(VACUUM, tmp_path) == ["1", "13"]
