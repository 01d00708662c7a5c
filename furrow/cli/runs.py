"""`furrow run` and `furrow export`: start runs of deployments, as a person does in the Prefect UI."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import httpx
import typer
from pydantic import SecretStr

from core.errors import FurrowError, PermanentError, WrongUse
from core.kept_secrets import known_prefect_auth
from furrow.cli.common import (
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
from furrow.clients.prefect_api import PrefectApi

RERUN = "rerun-failed-exports"
_PATIENCE_SECONDS = 60.0  # with a busy Prefect: for starting a run without waiting, and for reading what it left
_LEAST_PATIENCE_SECONDS = 5.0
_LONGEST_WORDS = 1_000
_STYLES = {"COMPLETED": "green", "FAILED": "red", "CRASHED": "red", "CANCELLED": "yellow"}

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the run's end and show what it left behind.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0, help="Seconds after which waiting ends; the run goes on.")]
PrefectUrl = Annotated[
    str,
    typer.Option("--prefect-url", envvar="PREFECT_API_URL", help="Prefect's API; default: this machine's, …/api."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts: the run as Prefect tells it.")]


class PrefectAddress(NamedTuple):
    """A Prefect server's API and its authentication string, if one is known."""

    url: str
    auth: SecretStr | None


class RunsApi(PrefectApi):
    """Runs of one Prefect server, with errors in its own words."""

    def __init__(self, prefect: PrefectAddress, patience_s: float = _PATIENCE_SECONDS) -> None:
        super().__init__(prefect.url, prefect.auth, patience_s)

    def start_checked_run(self, deployment: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start a run; it is still scheduled. Raises PermanentError for an unknown deployment or bad parameters."""
        if parameters:
            self._check_parameters(deployment, parameters)
        return self.start_run(deployment, parameters)

    def read_artifacts(self, run_id: str) -> list[str]:
        """The Markdown that a run left behind."""
        return [str(markdown) for markdown in self._read_artifact_data(run_id, "markdown")]

    def read_results(self, run_id: str) -> list[dict[str, Any]]:
        """What a run left behind for programs."""
        return [dict(json.loads(document)) for document in self._read_artifact_data(run_id, "json")]

    def list_deployments(self) -> list[str]:
        """The names that `start` takes: flow/deployment."""
        found = self._decode_answer(self._send_request("POST", "/deployments/filter", {"limit": 100}))
        flows = self._decode_answer(self._send_request("POST", "/flows/filter", {"limit": 100}))
        names = {flow["id"]: flow["name"] for flow in flows}
        return sorted(f"{names.get(deployment['flow_id'], '?')}/{deployment['name']}" for deployment in found)

    def _read_artifact_data(self, run_id: str, kind: str) -> list[Any]:
        wanted = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": [kind]}}}
        found = self._decode_answer(self._send_request("POST", "/artifacts/filter", wanted))
        return [artifact["data"] for artifact in found]

    def _check_parameters(self, deployment: str, parameters: dict[str, Any]) -> None:
        # Prefect takes parameters that the flow does not have, and the run then never begins.
        found = self._send_request("GET", f"/deployments/name/{deployment}")
        if found.status_code == httpx.codes.NOT_FOUND:
            return  # `run` says so
        known = list(self._decode_answer(found)["parameter_openapi_schema"].get("properties", {}))
        if unknown := [name for name in parameters if name not in known]:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise PermanentError(f"{deployment} has no parameter {', '.join(map(repr, unknown))}; {there}")

    def _decode_answer(self, answer: httpx.Response) -> Any:
        if answer.is_client_error and answer.status_code != httpx.codes.UNAUTHORIZED:
            raise PermanentError(f"Prefect refused ({answer.status_code}): {_extract_refusal_reason(answer)}")
        return super()._decode_answer(answer)


def add_commands_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(run)
    app.command()(export)


def run(
    flow: Annotated[str, typer.Argument(help="`detect`, `export`, `backfill`, … or flow/deployment.")],
    param: Annotated[
        list[str] | None,
        typer.Option("--param", help="Parameter as name=value; the value is JSON if it can be, else text. Repeatable."),
    ] = None,
    wait: Wait = True,
    timeout: Timeout = 600,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """Start a run of a deployment; it shows in the Prefect UI like any other.

    Example: `furrow run backfill --param start=2026-01-05T00:00Z --param end=2026-01-06T00:00Z --param dry_run=true`.

    Ends with 1 when the run does not end as completed.
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
        bool, typer.Option("--retry-failed", help="File what failed for good, in every tracker, once more.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be filed; no tracker is called.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Also try again what was put off after an error, before its time.")
    ] = False,
    wait: Wait = True,
    timeout: Timeout = 600,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """File the tickets that wait, now instead of with the next scheduled run.

    It says what waits longer (put off, refused, held back), until when, and how to hasten it.

    `--retry-failed` starts the deployment `rerun-failed-exports` instead: the tickets that a tracker refused for good.
    """
    if now and (retry_failed or dry_run):
        raise WrongUse("--now goes alone: it is for what was put off, --retry-failed for what was refused")
    deployment = "export/export"
    run_parameters: dict[str, Any] = {"dry_run": dry_run, **({"hasten": True} if now else {})}
    if retry_failed:
        deployment, run_parameters = f"{RERUN}/{RERUN}", {"incident_ids": None, "tracker": None, "dry_run": dry_run}
    run_deployment(
        find_prefect_address(prefect_url, prefect_port, data_dir),
        deployment,
        run_parameters,
        timeout if wait else None,
        as_json,
    )


def parse_parameters(texts: Sequence[str]) -> dict[str, Any]:
    """``name=value`` texts as parameters. Raises PermanentError for a text without a name."""
    found: dict[str, Any] = {}
    for assignment in texts:
        name, separator, value = assignment.partition("=")
        if not separator or not name.strip():
            raise PermanentError(f"a parameter is given as name=value, not as {assignment!r}")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def find_prefect_address(url: str, port: int | None, data_dir: Path | None) -> PrefectAddress:
    """Prefect's API by the options of a command, with the authentication string that belongs to it."""
    settings = load_command_settings(data_dir, prefect_port=port)
    api = url.rstrip("/") if url and port is None else settings.prefect_api_url
    return PrefectAddress(api, known_prefect_auth(settings, api))


def run_deployment(
    prefect: PrefectAddress,
    deployment: str,
    run_parameters: dict[str, Any],
    timeout: float | None,
    as_json: bool,
    make_result: Callable[[RunsApi, dict[str, Any]], Any] = lambda _api, run: run,
    find_problem: Callable[[Any], str] = lambda _result: "",
) -> None:
    """Start a run, wait for its end until ``timeout`` seconds are over (None: do not wait), show what it left, and exit: 0 if
    completed. A Prefect that is too busy to answer is asked again as long.

    ``told``: what ``--json`` prints of the ended run; ``problem``: what is wrong with that although the run completed, '' if
    nothing is.
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


def run_and_wait(api: RunsApi, deployment: str, run_parameters: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Start a run whose answer is read, and wait for its end until ``timeout`` seconds are over; the ended run."""
    began = time.monotonic()
    api.give_up_at = began + max(timeout, _LEAST_PATIENCE_SECONDS)
    with err.status("asking the engine"):
        try:
            return api.wait_for_end(api.start_checked_run(deployment, run_parameters), timeout, began)
        except PermanentError as error:
            raise _add_deployment_names(error, api) from error


def _add_deployment_names(error: PermanentError, api: RunsApi) -> PermanentError:
    if "there is no deployment" not in str(error):
        return error
    try:
        return PermanentError(f"{error}; there is {', '.join(api.list_deployments())}")
    except FurrowError:
        return error


def _extract_refusal_reason(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.reason_phrase
    return sanitize_line(detail if isinstance(detail, str) else json.dumps(detail))[:_LONGEST_WORDS]
