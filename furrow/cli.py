"""The command ``furrow``. Thin: each command turns its options into a call and the answer into text."""

import json
import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from furrow import __version__
from furrow.errors import FurrowError
from furrow.settings import Settings

app = typer.Typer(
    name="furrow",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold secrets
    help="""
Finds the moments at which people's brows furrow in front of a web application, and turns them into tickets.

Start with `furrow demo` (two minutes, leaves nothing behind) or `furrow up` (the real thing, on this machine).
Every setting is an environment variable `FURROW_…` or a line in `.env`; `furrow doctor` shows what is configured.
""",
)
_out = Console()
_err = Console(stderr=True)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Directory that holds everything; default: FURROW_DATA_DIR or .furrow."),
]
Port = Annotated[int | None, typer.Option("--port", help="Port of the collector; default 8080.")]
PrefectPort = Annotated[
    int | None, typer.Option("--prefect-port", help="Port of the Prefect server and UI; default 4200.")
]


class Format(StrEnum):
    """What `furrow send` reads."""

    events = "events"
    combined = "combined"
    dead_letters = "dead-letters"


@app.callback()
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        _out.print(__version__)
        raise typer.Exit


@app.command()
def up(data_dir: DataDir = None, port: Port = None, prefect_port: PrefectPort = None) -> None:
    """Start everything and keep it running: stores, collector, Prefect server and UI, schedules.

    Data stays in one directory. Ctrl-C stops it cleanly; after a crash, start it again: what was accepted is still there.
    Several can run side by side: give each its own `--data-dir`, `--port` and `--prefect-port`.
    """
    from furrow.up import Installation, run

    def ready(installation: Installation) -> None:
        _out.print(f"\n[bold]Furrow is up.[/bold] Data: {installation.settings.data_dir}")
        _out.print(f"  events    {installation.collector_url}/v1/events")
        _out.print(f"  incidents {installation.collector_url}/v1/incidents")
        _out.print(f"  runs      {installation.prefect_url}")
        if installation.development_keys:
            _out.print(
                "  keys      [yellow]test-key[/yellow] (send events), [yellow]test-operator-key[/yellow] (read incidents): "
                "development keys,\n            valid because everything is embedded and only this machine can reach it"
            )
        _out.print("Ctrl-C stops it.\n")

    run(_settings(data_dir, port, prefect_port), _say, ready)


@app.command()
def demo() -> None:
    """Show the whole road once, in a temporary directory: sessions in, incidents and tickets out. Leaves nothing behind."""
    from furrow.demo import run_demo

    run_demo(_out, _say)


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="JSON lines, or a web server's access log; plain or .gz.", exists=True)],
    format: Annotated[Format, typer.Option("--format", help="What the file holds.")] = Format.events,
    url: Annotated[str, typer.Option("--url", help="Address of the collector.")] = "",
    key: Annotated[str, typer.Option("--key", envvar="FURROW_KEY", help="API key that may send events.")] = "test-key",
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="How often a batch is tried.")] = 8,
) -> None:
    """Send a file of events to a running collector, over HTTP, in batches. Sending it twice changes nothing.

    `--format combined` reads access logs of web servers: a visitor is a salted hash of address and user agent.
    `--format dead-letters` sends again what was rejected (files in the spool's directory `dead-letters`).
    """
    from furrow.send import SendSummary, send_file

    address = url or f"http://127.0.0.1:{Settings().port}"
    with _err.status("sending") as status:

        def show(so_far: SendSummary) -> None:
            status.update(f"sending: {so_far.accepted:,} accepted, {len(so_far.rejected):,} rejected")

        summary = send_file(file, address, key, format.value, attempts=attempts, progress=show)
    _out.print(
        f"{summary.accepted:,} accepted, {len(summary.rejected):,} rejected, {summary.failed:,} not delivered"
        + (f": {summary.problem}" if summary.problem else ""),
        markup=False,
    )
    for reject in summary.rejected[:20]:
        _out.print(f"  line {reject.line}: {reject.field}: {reject.reason}", markup=False)
    if len(summary.rejected) > 20:
        _out.print(f"  … and {len(summary.rejected) - 20:,} more")
    raise typer.Exit(1 if summary.failed else 0)


@app.command()
def detect(
    file: Annotated[Path, typer.Argument(help="Events, one JSON object a line; plain or .gz.", exists=True)],
    explain: Annotated[bool, typer.Option("--explain", help="Also say why the silent sessions are silent.")] = False,
) -> None:
    """Run the engine alone on a file: no stores, no server. One detection a line, as JSON.

    With `--explain`, each silent session with negative feedback follows as a line `{"whyNot": …}`.
    """
    import ufse
    from collector.contract import read_events

    table, rejects = read_events(file)
    for reject in rejects[:20]:
        _err.print(f"line {reject.index + 1}: {reject.field}: {reject.reason}", markup=False)
    if rejects:
        _err.print(f"{len(rejects):,} events rejected", markup=False)
    result = ufse.detect(table, why_not=explain)
    write = sys.stdout.write
    for detection in result.detections:
        write(_json_line(detection.to_json()))
    for silent in result.why_not:
        write(_json_line({"whyNot": silent.to_json()}))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    data_dir: DataDir = None,
    port: Port = None,
    prefect_port: PrefectPort = None,
) -> None:
    """Say what is configured, in which mode each part is, what can be reached, and what to do about it.

    Ends with 1 when something that is configured cannot be reached.
    """
    from furrow.doctor import examine

    findings = examine(_settings(data_dir, port, prefect_port))
    if as_json:
        sys.stdout.write(json.dumps([finding.to_json() for finding in findings], indent=2) + "\n")
    else:
        for finding in findings:
            _out.print(finding.line(), markup=False, soft_wrap=True)
    raise typer.Exit(1 if any(finding.broken for finding in findings) else 0)


def _json_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _settings(data_dir: Path | None, port: int | None, prefect_port: int | None) -> Settings:
    given = {"data_dir": data_dir, "port": port, "prefect_port": prefect_port}
    return Settings().model_copy(update={name: value for name, value in given.items() if value is not None})


def _say(message: str) -> None:
    _err.print(f"[dim]furrow:[/dim] {message}")


def main() -> None:
    """Entry point: errors that Furrow foresees are one line, without a traceback."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    logging.basicConfig(level=logging.WARNING)
    try:
        app()
    except FurrowError as error:
        _err.print(f"furrow: {error}", style="red", markup=False)
        sys.exit(1)
