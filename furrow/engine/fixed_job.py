"""The job configuration of Furrow's workers: the same for every run."""

from typing import Self
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.workers.base import BaseJobConfiguration


class FixedConfiguration(BaseJobConfiguration):
    """A constant configuration. The pool's template and job variables (commands, environments) are not read."""

    @classmethod
    async def resolve_for_flow_run(
        cls,
        flow_run: FlowRun,
        *,
        client: PrefectClient,
        work_pool: WorkPool,
        worker_name: str,
        worker_id: UUID | None = None,
        deployment: DeploymentResponse | None = None,
    ) -> Self:
        """A configuration without command and environment. Sends no request to the server."""
        configuration = cls()
        configuration._related_objects = {"deployment": deployment, "flow": None, "flow-run": flow_run}
        return configuration
