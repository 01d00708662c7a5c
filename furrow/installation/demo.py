"""``furrow demo``: runs the whole pipeline once, in a temporary installation, and removes it afterwards."""

import contextlib
import json
import socket
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import httpx
from pydantic import SecretStr
from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table

from core.browser_script import installed_browser_script
from core.errors import FurrowError, PermanentError, TransientError
from core.http_errors import describe_http_error
from core.kept_secrets import development_keys, prefect_auth
from core.settings import EMBEDDED, Settings
from furrow.clients.prefect_api import PrefectApi
from furrow.clients.send import send_file
from furrow.installation.demo_sessions import FRUSTRATED, SILENT, example_sessions
from furrow.installation.demo_shop import open_shop
from furrow.installation.up import Installation, Say
from incidents.incident import IncidentDetail
from trackers.ticket import build_ticket, ticket_to_markdown

_WAIT_SECONDS = 600.0
"""Time limit of each step in seconds; a step can take minutes on a busy machine."""
_PERSON_SECONDS: Final = 1_800.0
"""Time limit in seconds for a person to press a button and close a tab."""
_TRIES = 10


def run_demo(out: Console, say: Say) -> None:
    """Start an installation, send the example sessions, run the flows, print the results, and stop it."""
    _run_in_temporary_installation(say, lambda installation: _demonstrate_main_job(installation, out, say))


def run_browser_demo(out: Console, say: Say) -> None:
    """Start an installation and a shop with a broken button, open it in the person's browser, print the incident that comes of
    it, and stop everything. Raises PermanentError when this installation has no furrow.js."""
    if installed_browser_script() is None:
        raise PermanentError("this installation has no furrow.js (browser/dist)")
    _run_in_temporary_installation(say, lambda installation: _demonstrate_shop(installation, out, say))


def _run_in_temporary_installation(say: Say, demonstrate: Callable[[Installation], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="furrow-demo-") as directory:
        installation = Installation(_make_demo_settings(Path(directory)), say)
        try:
            installation.start()
            with _supervise_in_background(installation):
                demonstrate(installation)
        finally:
            say("stopping and removing the temporary directory")
            installation.stop()


@contextlib.contextmanager
def _supervise_in_background(installation: Installation) -> Iterator[None]:
    """Supervise the installation in a thread, as ``furrow up`` does."""
    stop = threading.Event()
    thread = threading.Thread(target=installation.supervise, args=(stop,), name="furrow-demo", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _demonstrate_main_job(installation: Installation, out: Console, say: Say) -> None:
    events = [event for session in example_sessions() for event in session]
    frustrated, silent = (sum(n for _, n in group) for group in (FRUSTRATED, SILENT))
    say(f"sending {len(events)} events of {frustrated + silent} sessions ({frustrated} of them frustrated) over HTTP")
    file = installation.settings.data_dir / "examples.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    ingest_key, operator_key = (key.get_secret_value() for key in development_keys(installation.settings))
    summary = send_file(file, installation.collector_url, ingest_key, "events")
    if summary.accepted != len(events):
        raise TransientError(f"only {summary.accepted} of {len(events)} events were accepted: {summary.rejected[:3]}")
    operator = httpx.Client(base_url=installation.collector_url, headers={"X-API-Key": operator_key}, timeout=30)
    prefect = PrefectApi(f"{installation.prefect_url}/api", prefect_auth(installation.settings), _WAIT_SECONDS)
    with operator, prefect:
        say("waiting until the sessions count as complete, 15 s after their end")
        _wait_until_done(
            "the sessions were not analysed", lambda: _are_all_sessions_analysed(operator, prefect, frustrated + silent)
        )
        say("exporting: no tracker is configured, so tickets are only logged")
        prefect.start_run("export/export", wait_seconds=_WAIT_SECONDS)
        _print_outcome(operator, prefect, out)


def _demonstrate_shop(installation: Installation, out: Console, say: Say) -> None:
    ingest_key, operator_key = (key.get_secret_value() for key in development_keys(installation.settings))
    operator = httpx.Client(base_url=installation.collector_url, headers={"X-API-Key": operator_key}, timeout=30)
    prefect = PrefectApi(f"{installation.prefect_url}/api", prefect_auth(installation.settings), _WAIT_SECONDS)
    with operator, prefect, open_shop(installation.collector_url, ingest_key) as address:
        opened = webbrowser.open(address)
        say(
            f"a shop with a broken button is {'open in your browser' if opened else 'at this address; open it'}: {address}"
        )
        say("press “Pay now” four times, then close the tab; Ctrl-C ends the demo")
        _wait_until_done("no incident arrived", lambda: _has_incident(operator, prefect, say), _PERSON_SECONDS)
        for incident in _get_from_collector(operator, "/v1/incidents")["incidents"]:
            detail = _get_from_collector(operator, f"/v1/incidents/{incident['incidentId']}")
            _print_incident(cast(IncidentDetail, detail), out)
        out.print(
            "One session makes a draft; two more, from another address too, would confirm it and file the ticket."
        )


def _has_incident(operator: httpx.Client, prefect: PrefectApi, say: Say) -> bool:
    status = _get_from_collector(operator, "/v1/status")
    if sum(status["incidents"].values()):
        return True
    if status["eventsStored"] and not status["spoolPending"]["segments"]:
        say(f"{status['eventsStored']} events arrived; detection looks at the session 15 s after its end")
        prefect.start_run("detect/detect", wait_seconds=_WAIT_SECONDS)
    return False


def _are_all_sessions_analysed(operator: httpx.Client, prefect: PrefectApi, sessions: int) -> bool:
    status = _get_from_collector(operator, "/v1/status")
    counts = status["sessions"]
    if (counts["complete"] or 0) >= sessions and counts["open"] == 0:
        return True
    if status["eventsStored"] and not status["spoolPending"]["segments"]:
        prefect.start_run("detect/detect", wait_seconds=_WAIT_SECONDS)
    return False


def _print_outcome(operator: httpx.Client, prefect: PrefectApi, out: Console) -> None:
    status = _get_from_collector(operator, "/v1/status")
    table = Table(title="Results", show_header=False)
    for name, value in (
        ("events landed", status["eventsStored"]),
        ("sessions", status["sessions"]["complete"]),
        ("detections", status["detections"]),
        ("incidents", ", ".join(f"{n} {name}" for name, n in status["incidents"].items())),
        ("events rejected", status["deadLetters"]),
    ):
        table.add_row(name, str(value))
    out.print(table)
    rules = Table("rule", "sessions", title="Sessions with negative feedback but no detection, by rule")
    for rule, count in status["lander"]["silentByRule"].items():
        rules.add_row(rule, str(count))
    out.print(rules)
    runs = Table("flow", "state", "run", title="Runs in Prefect")
    for run in prefect.list_recent_runs(6):
        runs.add_row(run["flow"], run["state"], run["name"])
    out.print(runs)
    for incident in _get_from_collector(operator, "/v1/incidents")["incidents"]:
        _print_incident(
            cast(IncidentDetail, _get_from_collector(operator, f"/v1/incidents/{incident['incidentId']}")), out
        )


def _print_incident(incident: IncidentDetail, out: Console) -> None:
    out.rule(f"incident {incident['status']}: {incident['primaryFailurePoint']}")
    out.print("Explanation (of the example session with the highest score):", style="bold")
    out.print(incident["explanation"], markup=False)
    ticket = build_ticket(incident, None)
    out.print(Panel(Markdown(ticket_to_markdown(ticket)), title=f"Ticket: {ticket.title}"))


def _wait_until_done(otherwise: str, done: Callable[[], bool], seconds: float = _WAIT_SECONDS) -> None:
    """Wait until ``done`` returns true; errors are retried. Raises TransientError when the time limit is over."""
    end = time.monotonic() + seconds
    while True:
        reason = ""
        try:
            if done():
                return
        except FurrowError as error:  # for example, deployments are not registered yet
            reason = f": {error}"
        if time.monotonic() > end:
            raise TransientError(f"{otherwise} within {seconds:.0f} s{reason}")
        time.sleep(2)


def _get_from_collector(client: httpx.Client, path: str) -> Any:
    """The JSON of the collector's answer; retried while the collector is busy. Raises TransientError."""
    for is_last in (*[False] * _TRIES, True):
        try:
            answer = client.get(path)
            if answer.is_success:
                return answer.json()
            problem = f"answered {answer.status_code}"
        except httpx.HTTPError as error:
            problem = f"does not answer ({describe_http_error(error)})"
        if not is_last:
            time.sleep(2)
    raise TransientError(f"the collector at {client.base_url} {problem}")


def _make_demo_settings(directory: Path) -> Settings:
    """Default settings with embedded stores and free ports. The environment is ignored: a demo must not use real stores."""
    plain = {name: field.get_default() for name, field in Settings.model_fields.items()}
    ports = {"port": _find_free_port(), "prefect_port": _find_free_port()}
    stores = {"event_store_url": SecretStr(EMBEDDED), "incident_store_url": SecretStr(EMBEDDED)}
    return Settings.model_construct(**{**plain, **ports, **stores, "data_dir": directory})


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
