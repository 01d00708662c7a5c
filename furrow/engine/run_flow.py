"""``python -m furrow.engine.run_flow RUN_ID``: the process of one run in server mode.

It works like ``python -m prefect.engine``, but executes only the flow that ``furrow.engine.admission`` returns: nothing that
the deployment names is fetched, imported or executed.
"""

import sys
from uuid import UUID

from prefect._internal.control_listener import configure_from_env
from prefect.client.orchestration import get_client
from prefect.engine import handle_engine_signals
from prefect.flow_engine import run_flow
from prefect.logging.loggers import flow_run_logger

from core.private_files import restrict_new_files
from furrow.engine import admission
from furrow.engine.shards import MOST_SHARDS


def main(arguments: list[str]) -> int:
    """Execute the run. Returns 0 if Prefect knows the run's final state; for other codes the worker ends the run."""
    try:
        (run_id,) = map(UUID, arguments)
    except ValueError:
        print("usage: python -m furrow.engine.run_flow RUN_ID", file=sys.stderr)
        return 2
    restrict_new_files()
    configure_from_env()  # through it the worker announces that a signal is a cancellation
    with handle_engine_signals(run_id):
        _run_admitted_flow(run_id)
    return 0


def _run_admitted_flow(run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
        try:
            flow = admission.admit_flow_run(client, run, admission.declared_deployments(MOST_SHARDS))
        except admission.RunRefused as refusal:
            admission.end_refused_run(client, run, refusal)
            return
    logger = flow_run_logger(run)
    run_flow(flow, flow_run=run, error_logger=logger)  # type: ignore[arg-type]  # an adapter, as in Prefect's engine


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
