"""``furrow demo``: the main job once, on real engines in a temporary directory, told step by step. Leaves nothing behind."""

import json
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table

from furrow.errors import TransientError
from furrow.examples import FRUSTRATED, SILENT, example_sessions
from furrow.kept_secrets import development_keys, prefect_auth
from furrow.prefect_api import PrefectApi
from furrow.send import send_file
from furrow.settings import EMBEDDED, Settings
from furrow.up import Installation, Say
from trackers.ticket import ticket_of, to_markdown

_WAIT_SECONDS = 90.0


def run_demo(out: Console, say: Say) -> None:
    """Start everything, send the example sessions, run the flows, print what came of it, stop everything."""
    with tempfile.TemporaryDirectory(prefix="furrow-demo-") as directory:
        installation = Installation(_settings(Path(directory)), say)
        try:
            installation.start()
            _tell(installation, out, say)
        finally:
            say("stopping, and removing the temporary directory")
            installation.stop()


def _tell(installation: Installation, out: Console, say: Say) -> None:
    events = [event for session in example_sessions() for event in session]
    frustrated, silent = (sum(n for _, n in group) for group in (FRUSTRATED, SILENT))
    say(f"sending {len(events)} events of {frustrated + silent} sessions ({frustrated} of them frustrated) over HTTP")
    file = installation.settings.data_dir / "examples.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    ingest_key, operator_key = (key.get_secret_value() for key in development_keys(installation.settings))
    summary = send_file(file, installation.collector_url, ingest_key, "events")
    if summary.accepted != len(events):
        raise TransientError(f"only {summary.accepted} of {len(events)} events were accepted: {summary.rejected[:3]}")
    operator = httpx.Client(base_url=installation.collector_url, headers={"X-API-Key": operator_key}, timeout=10)
    prefect = PrefectApi(f"{installation.prefect_url}/api", prefect_auth(installation.settings))
    with operator, prefect:
        say("the sessions end; 15 s later they count as complete")
        _until(say, lambda: _all_analysed(operator, prefect, frustrated + silent))
        say("exporting: no tracker is configured, so tickets are logged as they would be filed")
        prefect.run("export/export", wait_seconds=_WAIT_SECONDS)
        _print_outcome(operator, prefect, out)


def _all_analysed(operator: httpx.Client, prefect: PrefectApi, sessions: int) -> bool:
    status = _get(operator, "/v1/status")
    told = status["sessions"]
    if (told["complete"] or 0) >= sessions and told["open"] == 0:
        return True
    if status["eventsStored"] and not status["spoolPending"]["segments"]:
        prefect.run("detect/detect", wait_seconds=_WAIT_SECONDS)
    return False


def _print_outcome(operator: httpx.Client, prefect: PrefectApi, out: Console) -> None:
    status = _get(operator, "/v1/status")
    table = Table(title="What happened", show_header=False)
    for name, value in (
        ("events landed", status["eventsStored"]),
        ("sessions", status["sessions"]["complete"]),
        ("detections", status["detections"]),
        ("incidents", ", ".join(f"{n} {name}" for name, n in status["incidents"].items())),
        ("events rejected", status["deadLetters"]),
    ):
        table.add_row(name, str(value))
    out.print(table)
    rules = Table("silent because", "sessions", title="Why not: sessions with negative feedback and no detection")
    for rule, count in status["lander"]["silentByRule"].items():
        rules.add_row(rule, str(count))
    out.print(rules)
    runs = Table("flow", "state", "run", title="Runs, as the Prefect UI shows them")
    for run in prefect.recent_runs(6):
        runs.add_row(run["flow"], run["state"], run["name"])
    out.print(runs)
    for one in _get(operator, "/v1/incidents")["incidents"]:
        _print_incident(_get(operator, f"/v1/incidents/{one['incidentId']}"), out)


def _print_incident(incident: dict[str, Any], out: Console) -> None:
    out.rule(f"incident {incident['status']}: {incident['primaryFailurePoint']}")
    out.print("Why (the best example session):", style="bold")
    out.print(incident["explanation"], markup=False)
    ticket = ticket_of(incident, None)
    out.print(Panel(Markdown(to_markdown(ticket)), title=f"The ticket as it would be filed: {ticket.title}"))


def _until(say: Say, done: Callable[[], bool]) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while not done():
        if time.monotonic() > end:
            raise TransientError(f"the sessions were not analysed within {_WAIT_SECONDS:.0f} s")
        time.sleep(2)


def _get(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    answer.raise_for_status()
    return answer.json()


def _settings(directory: Path) -> Settings:
    """All embedded, on free ports, whatever the environment of this shell says: a demo must not touch real stores."""
    plain = {name: field.get_default() for name, field in Settings.model_fields.items()}
    ports = {"port": _free_port(), "prefect_port": _free_port()}
    stores = {"event_store_url": SecretStr(EMBEDDED), "incident_store_url": SecretStr(EMBEDDED)}
    return Settings.model_construct(**{**plain, **ports, **stores, "data_dir": directory})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
