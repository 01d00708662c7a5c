"""`furrow run` and `furrow export`: start runs of deployments, as the Prefect UI does."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import httpx
import typer
from pydantic import SecretStr
from typing_extensions import TypedDict

from core.errors import FurrowError, PermanentError, WrongUse
from core.kept_secrets import known_prefect_auth
from furrow.cli.common import (
    Commands,
    DataDir,
    PrefectPort,
    err,
    load_command_settings,
    out,
    print_json,
    print_markdown,
    sanitize_line,
    styled_text,
)
from furrow.clients.prefect_api import FlowRun, Parameters, PrefectApi

RERUN = "rerun-failed-exports"
_PATIENCE_SECONDS = 60.0  # retries of requests to a busy Prefect, where no --timeout applies
_LEAST_PATIENCE_SECONDS = 5.0
_WRONG_PARAMETERS = (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY)  # Prefect's answers to invalid parameters
_LONGEST_REASON = 1_000
_STYLES = {"COMPLETED": "green", "FAILED": "red", "CRASHED": "red", "CANCELLED": "yellow"}

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the run to end and show its artifacts.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0, help="Seconds to wait for the run to end; it continues after that.")
]
PrefectUrl = Annotated[
    str,
    typer.Option(
        "--prefect-url",
        envvar="PREFECT_API_URL",
        help="Address of Prefect's API, ending in /api; default: on this machine.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the run as JSON, as Prefect's API returns it.")]


RunResult = Mapping[str, object]
"""A JSON object that a run leaves in an artifact for programs, or what `--json` prints of the run."""


class PrefectAddress(NamedTuple):
    """Address of a Prefect server's API and its authentication string, None if it is unknown."""

    url: str
    auth: SecretStr | None


class _Artifact(TypedDict):
    data: object


class _ParameterSchema(TypedDict, total=False):
    properties: dict[str, object]


class _DeploymentSchema(TypedDict):
    parameter_openapi_schema: _ParameterSchema


class RunsApi(PrefectApi):
    """Starts runs on one Prefect server and reads their artifacts. Errors contain Prefect's own reason."""

    def __init__(self, prefect: PrefectAddress, patience_s: float = _PATIENCE_SECONDS) -> None:
        super().__init__(prefect.url, prefect.auth, patience_s)

    def start_checked_run(self, deployment: str, parameters: Parameters) -> FlowRun:
        """Start a run and return it, in the state `Scheduled`.

        Raises PermanentError for an unknown deployment, WrongUse for parameters that its flow does not have.
        """
        if parameters:
            self._check_parameters(deployment, parameters)
        return self.start_run(deployment, parameters)

    def read_artifacts(self, run_id: str) -> list[str]:
        """The Markdown artifacts of a run."""
        return [str(markdown) for markdown in self._read_artifact_data(run_id, "markdown")]

    def read_result(self, run_id: str) -> RunResult | None:
        """The artifact for programs that a run left; None if it left none."""
        for document in self._read_artifact_data(run_id, "json"):
            return dict(json.loads(str(document)))
        return None

    def _read_artifact_data(self, run_id: str, kind: str) -> list[object]:
        wanted = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": [kind]}}}
        found = self._read_as(list[_Artifact], self._send_request("POST", "/artifacts/filter", wanted))
        return [artifact["data"] for artifact in found]

    def _check_parameters(self, deployment: str, parameters: Parameters) -> None:
        # Prefect accepts parameters that the flow does not have, and the run then never starts.
        found = self._find_deployment(deployment, _DeploymentSchema)
        if found is None:
            return  # start_run raises for it
        known = list(found["parameter_openapi_schema"].get("properties", {}))
        if unknown := [name for name in parameters if name not in known]:
            known_names = f"its parameters: {', '.join(known)}" if known else "it has none"
            raise WrongUse(f"{deployment} has no parameter {', '.join(map(repr, unknown))}; {known_names}")

    def _decode_answer(self, answer: httpx.Response) -> Any:
        if answer.status_code in _WRONG_PARAMETERS and answer.request.url.path.endswith("/create_flow_run"):
            raise WrongUse(f"Prefect at {self._url} refused ({answer.status_code}): {_extract_refusal_reason(answer)}")
        if answer.is_client_error and answer.status_code != httpx.codes.UNAUTHORIZED:
            raise PermanentError(
                f"Prefect at {self._url} refused ({answer.status_code}): {_extract_refusal_reason(answer)}"
            )
        return super()._decode_answer(answer)


def run(
    flow: Annotated[
        str, typer.Argument(help="Name of a flow (`detect`, `export`, `backfill`, …), or flow/deployment.")
    ],
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            help="Parameter as name=value. The value is read as JSON if possible, otherwise as text. Repeatable.",
        ),
    ] = None,
    wait: Wait = True,
    timeout: Timeout = 600,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """Start a run of a deployment.

    The run appears in the Prefect UI.

    Example: `furrow run backfill --param start=2026-01-05T00:00Z --param end=2026-01-06T00:00Z --param dry_run=true`.

    Exits with 1 if the run does not end in the state `Completed`.
    """
    deployment = flow if "/" in flow else f"{flow}/{flow}"
    run_deployment(
        find_prefect_address(prefect_url, prefect_port, data_dir),
        deployment,
        parse_parameters(param or ()),
        timeout if wait else None,
        as_json,
    )


def export(
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Export the tickets again that a tracker refused permanently, for all trackers."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only show the tickets that would be created, as a whole; no tracker is called."
        ),
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Also export tickets that wait for their next retry, without waiting.")
    ] = False,
    wait: Wait = True,
    timeout: Timeout = 600,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """Export pending tickets now.

    The output lists the tickets that stay pending (waiting for a retry, refused, or held back), until when, and how to export
    them earlier.

    With `--retry-failed` it starts the deployment `rerun-failed-exports` instead, for tickets that a tracker refused
    permanently.
    """
    if now and (retry_failed or dry_run):
        raise WrongUse(
            "--now cannot be combined with --retry-failed or --dry-run: it exports tickets that wait for a retry"
        )
    deployment = "export/export"
    run_parameters: Parameters = {"dry_run": dry_run, **({"hasten": True} if now else {})}
    if retry_failed:
        deployment, run_parameters = f"{RERUN}/{RERUN}", {"incident_ids": None, "tracker": None, "dry_run": dry_run}
    run_deployment(
        find_prefect_address(prefect_url, prefect_port, data_dir),
        deployment,
        run_parameters,
        timeout if wait else None,
        as_json,
    )


def parse_parameters(texts: Sequence[str]) -> dict[str, object]:
    """Parse ``name=value`` texts; a value that is not JSON is text. Raises WrongUse for a text without a name."""
    found: dict[str, object] = {}
    for assignment in texts:
        name, separator, value = assignment.partition("=")
        if not separator or not name.strip():
            raise WrongUse(f"a parameter must have the form name=value: {assignment!r}")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def find_prefect_address(url: str, port: int | None, data_dir: Path | None) -> PrefectAddress:
    """The Prefect API that a command's options select, with its authentication string."""
    settings = load_command_settings(data_dir, prefect_port=port)
    api = url.rstrip("/") if url and port is None else settings.prefect_api_url
    return PrefectAddress(api, known_prefect_auth(settings, api))


def run_deployment(
    prefect: PrefectAddress,
    deployment: str,
    run_parameters: Parameters,
    timeout: float | None,
    as_json: bool,
    make_result: Callable[[RunsApi, FlowRun], RunResult] = lambda _api, run: run,
    find_problem: Callable[[RunResult], str] = lambda _result: "",
) -> None:
    """Start a run, wait for its end, show its artifacts, and exit with 0 if it completed.

    ``timeout``: seconds to wait and to retry while Prefect is busy; None: do not wait. ``make_result``: makes what ``--json``
    prints from the ended run. ``find_problem``: the error in the result of a run that completed, '' if there is none.
    """
    began = time.monotonic()
    with RunsApi(prefect) as api:
        api.give_up_at = None if timeout is None else began + max(timeout, _LEAST_PATIENCE_SECONDS)
        try:
            begun = api.start_checked_run(deployment, run_parameters)
        except PermanentError as error:
            raise _add_deployment_names(error, api) from error
        shown = err if as_json else out
        page = f"{prefect.url.removesuffix('/api')}/runs/flow-run/{begun['id']}"
        shown.print(styled_text(f"{deployment}: run {begun['name']}, {page}"), soft_wrap=True)
        if timeout is None:
            if as_json:
                print_json(begun)
            return
        with err.status(styled_text(f"waiting for {begun['name']}")):
            ended = api.wait_for_end(begun, timeout, began)
        left = [] if as_json else api.read_artifacts(ended["id"])
        printed = make_result(api, ended)
    for markdown in left:
        print_markdown(markdown)
    state = ended["state"]
    if as_json:
        print_json(printed)
    else:
        message = f": {state['message']}" if state.get("message") else ""
        out.print(
            styled_text(state["name"], _STYLES.get(state["type"], "")), styled_text(message), sep="", soft_wrap=True
        )
    if state["type"] == "COMPLETED" and (wrong := find_problem(printed)):
        raise PermanentError(wrong)
    raise typer.Exit(0 if state["type"] == "COMPLETED" else 1)


def summarize_ended_run(api: RunsApi, run: FlowRun) -> RunResult:
    """What `--json` prints of a run that leaves an artifact for programs: how the run ended, and the artifact's content."""
    state = run["state"]
    ended = {"id": run["id"], "name": run["name"], "state": state["name"], "message": state.get("message")}
    return {"run": ended, **(api.read_result(run["id"]) or {})}


def run_and_wait(api: RunsApi, deployment: str, run_parameters: Parameters, timeout: float) -> FlowRun:
    """Start a run, wait up to ``timeout`` seconds for its end, and return it."""
    began = time.monotonic()
    api.give_up_at = began + max(timeout, _LEAST_PATIENCE_SECONDS)
    with err.status("waiting for the engine"):
        try:
            return api.wait_for_end(api.start_checked_run(deployment, run_parameters), timeout, began)
        except PermanentError as error:
            raise _add_deployment_names(error, api) from error


def _add_deployment_names(error: PermanentError, api: RunsApi) -> PermanentError:
    if "there is no deployment" not in str(error):
        return error
    try:
        return PermanentError(f"{error}; the deployments are {', '.join(api.list_deployments())}")
    except FurrowError:
        return error


def _extract_refusal_reason(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.reason_phrase
    return sanitize_line(detail if isinstance(detail, str) else json.dumps(detail))[:_LONGEST_REASON]


COMMANDS: Final[Commands] = {"run": run, "export": export}
"""The commands of this module, by name."""
