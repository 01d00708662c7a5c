"""`furrow evaluate --replay`: what another configuration would detect in stored events. Starts the deployment `replay`.

Only one process can open the embedded ClickHouse, the engine of `furrow up`. So the work is a run there.
"""

from datetime import UTC, datetime
from pathlib import Path

from core.errors import WrongUse
from core.time_window import parse_window
from furrow.cli.runs import PrefectAddress, run_deployment, summarize_ended_run

DEPLOYMENT = "replay/replay"


def run_replay(
    window: str, config: Path | None, project: str, prefect: PrefectAddress, timeout: float, as_json: bool
) -> None:
    """Start a replay, wait for its end and show its result. Exits with 0 if it completed.

    Raises PermanentError for an invalid window or configuration file, before anything is started.
    """
    from core.engine_settings import read_engine_settings

    if config is None:
        raise WrongUse("--replay needs --config NEW.toml, the configuration to try")
    parse_window(window, datetime.now(UTC))
    _, config_values = read_engine_settings(config)
    run_parameters = {"config": config_values, "window": window, "project": project or None}
    run_deployment(prefect, DEPLOYMENT, run_parameters, timeout, as_json, summarize_ended_run)
