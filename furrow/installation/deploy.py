"""Registers the work pool, the blocks, the deployments of ``prefect.yaml`` and the automations with a Prefect server.

``furrow up`` runs it (``python -m furrow.installation.deploy``) against the server at ``PREFECT_API_URL``. Idempotent.
"""

import contextlib
import sys

import httpx
from prefect.cli import app as prefect_command
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
    """Register everything. Raises the errors of Prefect's client, and RuntimeError when `prefect deploy` fails."""
    template = InProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type=InProcessWorker.type, base_job_template=template))
    documents.register_blocks()
    _restore_deployments()
    register_deployments()
    _declare_automations()


def register_deployments() -> None:
    """Declare the deployments of ``prefect.yaml``. Raises RuntimeError when `prefect deploy` fails."""
    # In this process, which Prefect's command does only with the words of sys.argv: another process would load Prefect once
    # more, a tenth of the work of starting an installation.
    sys.argv = ["prefect", "--no-prompt", "deploy", "--all"]
    try:
        with contextlib.chdir(ROOT):
            prefect_command()
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(
                f"`prefect deploy --all` failed with exit code {ended.code}; its output says why"
            ) from None


def _restore_deployments() -> None:
    with get_client(sync_client=True) as client:
        undone = admission.undo_deployment_changes(client, admission.declared_deployments())
    if undone:
        message = f"these deployments had been changed in Prefect and are restored: {', '.join(undone)}"
        print(f"{MESSAGE_PREFIX}{message}", file=sys.stderr)


def _declare_automations() -> None:
    try:
        with get_client(sync_client=True) as client:
            automations.ensure_automations(client, Settings().warn_block)
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        # Only warnings depend on automations.
        count_degraded("deploy", "automations")
        print(f"{MESSAGE_PREFIX}the automations for warnings could not be created: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
