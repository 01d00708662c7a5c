"""`furrow evaluate --replay`: what another configuration would find in stored events, asked of the deployment `replay`.

The embedded ClickHouse admits one process, and that is the engine of `furrow up`: so the run is there, as with a backfill.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import PermanentError
from core.time_window import parse_window
from furrow.cli.runs import PrefectAddress, RunsApi, run_deployment

DEPLOYMENT = "replay/replay"


def run_replay(
    window: str, config: Path | None, project: str, prefect: PrefectAddress, timeout: float, as_json: bool
) -> None:
    """Start a replay, wait for it and show its result; exits with 0 if it completed.

    Raises PermanentError for a window or a file that cannot be, before anything is started.
    """
    from core.engine_settings import read_engine_settings

    if config is None:
        raise PermanentError("--replay needs --config NEW.toml: what is to be tried")
    parse_window(window, datetime.now(UTC))
    _, config_values = read_engine_settings(config)
    run_parameters = {"config": config_values, "window": window, "project": project or None}
    run_deployment(prefect, DEPLOYMENT, run_parameters, timeout, as_json, _summarize_replay)


def _summarize_replay(api: RunsApi, run: dict[str, Any]) -> dict[str, Any]:
    """What the run left for programs, and how it ended; only that if it left nothing."""
    state = run["state"]
    ended = {"id": run["id"], "name": run["name"], "state": state["name"], "message": state.get("message")}
    return {"run": ended, **next(iter(api.read_results(run["id"])), {})}
