"""`furrow explain`: what the engine says of stored sessions and why, asked of the deployment `explain`.

The embedded ClickHouse admits one process, and that is the engine of `furrow up`: so the answer is a run's there.
"""

from typing import Annotated, Any

import typer

from core.errors import PermanentError, WrongUse
from furrow.cli import explained
from furrow.cli.common import DataDir, PrefectPort, err, print_json, styled_text
from furrow.cli.data import to_stored_session_id
from furrow.cli.runs import AsJson, PrefectUrl, RunsApi, Timeout, find_prefect_address, run_and_wait

DEPLOYMENT = "explain/explain"
_MOST = 50


def add_commands_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(explain)


def explain(
    session: Annotated[
        str, typer.Argument(help="Id of a client session, as the application sent it.", show_default=False)
    ] = "",
    last: Annotated[
        int | None,
        typer.Option("--last", min=1, max=_MOST, help="Instead: so many of the last sessions that were analysed."),
    ] = None,
    rule: Annotated[
        str, typer.Option("--rule", help="Of those, sessions that this rule kept silent, like no_behavioural_signal.")
    ] = "",
    project: Annotated[
        str, typer.Option("--project", help="Project; of a session that is named: default, else all.")
    ] = "",
    timeout: Timeout = 120,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """Say of stored sessions what was detected and why, or which rule kept them silent.

    `furrow explain SESSION` for one; `--last 5` for the last ones; `--rule bot` for the last ten that a rule kept silent (an
    unknown rule is answered with those that are known). It starts a run of the deployment `explain` and shows its answer;
    nothing is stored. `furrow detect` does the same for a file.
    """
    if bool(session) == bool(last or rule):
        raise WrongUse("name one SESSION, or ask with --last N or --rule RULE")
    run_parameters: dict[str, Any] = {"project": project or None}
    if session:
        run_parameters["session_id"] = to_stored_session_id(session, project or "default", data_dir)
    else:
        run_parameters |= {"last": last or 10, "rule": rule or None}
    with RunsApi(find_prefect_address(prefect_url, prefect_port, data_dir)) as api:
        run = run_and_wait(api, DEPLOYMENT, run_parameters, timeout)
        answer = next(iter(api.read_results(run["id"])), None)
    if answer is None:
        raise PermanentError(_explain_missing_answer(run))
    if as_json:
        print_json(answer["sessions"])
    else:
        explained.print_sessions(answer["sessions"])
    if run["state"]["type"] != "COMPLETED":
        err.print(styled_text(f"the run {run['name']} ended as {run['state']['name']}: {run['state'].get('message')}"))
        raise typer.Exit(1)


def _explain_missing_answer(run: dict[str, Any]) -> str:
    """Why there is no answer, without the name of the step that found out."""
    message = str(run["state"].get("message") or f"the run ended as {run['state']['name']}")
    return message.removeprefix("find sessions: ")
