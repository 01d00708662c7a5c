"""Make a Prefect server ready for Furrow: its work pool, its blocks, and the deployments of ``prefect.yaml``.

The incident store's schema is brought up to date here too, before the collector serves it to people.

Run by ``furrow up`` (``python -m furrow.deploy``) against the server of ``PREFECT_API_URL``; harmless to repeat.
"""

import contextlib
import subprocess
import sys

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

from blocks import documents
from furrow.errors import FurrowError
from furrow.metrics import degraded
from furrow.up import PROJECT_ROOT
from furrow.worker import POOL, InProcessWorker
from tasks import connections


def main() -> None:
    """Register everything; raises if Prefect refuses something."""
    template = InProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type=InProcessWorker.type, base_job_template=template))
    documents.register()
    try:
        connections.incident_store()
    except FurrowError as error:
        # Not fatal: the flows say so, log what they cannot store, and migrate it when it is back.
        degraded("deploy", "incident_store")
        print(f"the incident store is not ready yet: {error}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], cwd=PROJECT_ROOT, check=True)


if __name__ == "__main__":
    main()
