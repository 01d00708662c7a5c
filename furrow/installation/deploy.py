"""Make a Prefect server ready for Furrow: its work pool, its blocks, and the deployments of ``prefect.yaml``.

Run by ``furrow up`` (``python -m furrow.installation.deploy``) against the server of ``PREFECT_API_URL``; harmless to repeat.
"""

import contextlib
import subprocess
import sys

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError

from blocks import documents
from core.metrics import count_degraded
from core.package import ROOT
from core.settings import Settings
from furrow.engine import admission, automations
from furrow.engine.stranded import POOL
from furrow.engine.worker import InProcessWorker
from furrow.installation.up import MESSAGE_PREFIX


def main() -> None:
    """Register everything; raises if Prefect refuses something."""
    template = InProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type=InProcessWorker.type, base_job_template=template))
    documents.register_blocks()
    _restore_deployments()
    subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], cwd=ROOT, check=True)
    _declare_automations()


def _restore_deployments() -> None:
    with get_client(sync_client=True) as client:
        undone = admission.undo_deployment_changes(client, admission.declared_deployments())
    if undone:
        message = f"somebody had changed what these deployments run, they are as declared again: {', '.join(undone)}"
        print(f"{MESSAGE_PREFIX}{message}", file=sys.stderr)


def _declare_automations() -> None:
    try:
        with get_client(sync_client=True) as client:
            automations.ensure_automations(client, Settings().warn_block)
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        # Without warnings everything else works.
        count_degraded("deploy", "automations")
        print(f"{MESSAGE_PREFIX}the automations that warn could not be made: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
