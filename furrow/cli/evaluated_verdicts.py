"""`furrow evaluate --verdicts`: precision on sessions about which people decided. Starts the deployment `evaluate-verdicts`.

Only one process can open the embedded ClickHouse, the engine of `furrow up`. So the work is a run there.
"""

from furrow.cli.runs import PrefectAddress, run_deployment, summarize_ended_run

DEPLOYMENT = "evaluate-verdicts/evaluate-verdicts"


def run_verdict_evaluation(project: str, prefect: PrefectAddress, timeout: float, as_json: bool) -> None:
    """Start the run, wait for its end and show its result. Exits with 0 if it completed."""
    run_deployment(prefect, DEPLOYMENT, {"project": project or None}, timeout, as_json, summarize_ended_run)
