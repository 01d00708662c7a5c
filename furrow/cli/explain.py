"""`furrow explain`: what the engine detects in stored sessions, and why. Starts the deployment `explain`.

Only one process can open the embedded ClickHouse, the engine of `furrow up`. So the work is a run there.
"""

from typing import Annotated, Final, cast

import msgspec
import typer
from typing_extensions import TypedDict

from core.errors import PermanentError, WrongUse
from furrow.cli import explained
from furrow.cli.common import AsJson, Commands, DataDir, PrefectPort, err, print_json, styled_text
from furrow.cli.data import to_stored_session_id
from furrow.cli.runs import PrefectUrl, RunResult, RunsApi, Timeout, find_prefect_address, run_and_wait
from furrow.clients.prefect_api import FlowRun

DEPLOYMENT = "explain/explain"
_MOST = 50


class _CheckedSession(TypedDict):
    projectId: str
    sessionId: str
    complete: bool
    detections: list[object]
    whyNot: list[object]
    error: str | None


class _Answer(TypedDict):
    sessions: list[_CheckedSession]


def explain(
    session: Annotated[
        str, typer.Argument(help="Id of a client session, as your application sent it.", show_default=False)
    ] = "",
    last: Annotated[
        int | None,
        typer.Option("--last", min=1, max=_MOST, help="Explain the last N analysed sessions instead."),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            "--rule", help="Only sessions without a detection because of this rule, like no_behavioural_signal."
        ),
    ] = "",
    project: Annotated[
        str, typer.Option("--project", help="Project. Default: `default` for one SESSION, otherwise all projects.")
    ] = "",
    timeout: Timeout = 120,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """Explain stored sessions.

    Shows what was detected and why, or which rule prevented a detection.

    `furrow explain SESSION` explains one session, `--last 5` the last five, and `--rule bot` the last ten without a detection
    because of that rule (for an unknown rule, the error lists the known ones). The command starts a run of the deployment
    `explain` and shows its result; nothing is stored. `furrow detect` does the same for a file.
    """
    if bool(session) == bool(last or rule):
        raise WrongUse("pass either a SESSION, or --last N or --rule RULE")
    run_parameters: dict[str, object] = {"project": project or None}
    if session:
        run_parameters["session_id"] = to_stored_session_id(session, project or "default", data_dir)
    else:
        run_parameters |= {"last": last or 10, "rule": rule or None}
    with RunsApi(find_prefect_address(prefect_url, prefect_port, data_dir)) as api:
        run = run_and_wait(api, DEPLOYMENT, run_parameters, timeout)
        result = api.read_result(run["id"])
    if result is None:
        raise PermanentError(_explain_missing_answer(run))
    if as_json:
        print_json(result.get("sessions"))
    else:
        explained.print_sessions(_read_sessions(result))
    if run["state"]["type"] != "COMPLETED":
        err.print(
            styled_text(
                f"the run {run['name']} ended in the state {run['state']['name']}: {run['state'].get('message')}"
            )
        )
        raise typer.Exit(1)


def _read_sessions(result: RunResult) -> list[explained.ExplainedSession]:
    try:
        return cast("list[explained.ExplainedSession]", msgspec.convert(result, _Answer)["sessions"])
    except msgspec.ValidationError as error:
        raise PermanentError(f"the engine is of another version than this command: {error}") from None


def _explain_missing_answer(run: FlowRun) -> str:
    """Why the run has no result, without the name of the failed step."""
    message = str(run["state"].get("message") or f"the run ended in the state {run['state']['name']}")
    return message.removeprefix("find sessions: ")


COMMANDS: Final[Commands] = {"explain": explain}
"""The commands of this module, by name."""
