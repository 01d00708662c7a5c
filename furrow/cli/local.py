"""Commands about the installation on this machine: `up`, `demo`, `doctor`."""

from typing import TYPE_CHECKING

import typer
from rich.text import Text

from core.errors import PermanentError
from furrow.cli.common import (
    AsJson,
    DataDir,
    Port,
    PrefectPort,
    err,
    load_command_settings,
    out,
    print_json,
    print_progress,
    sanitize_line,
    styled_text,
)

if TYPE_CHECKING:
    from furrow.doctor.report import Finding
    from furrow.installation.up import Installation


def add_commands_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (up, demo, doctor):
        app.command()(command)
    app.command("prefect-login")(prefect_login)


def up(data_dir: DataDir = None, port: Port = None, prefect_port: PrefectPort = None) -> None:
    """Start everything and keep it running: stores, collector, Prefect server and UI, schedules.

    Data stays in one directory. Ctrl-C stops it cleanly; after a crash, start it again: what was accepted is still there.
    Several can run side by side: give each its own `--data-dir`, `--port` and `--prefect-port`.
    """
    from furrow.installation.up import run_installation

    run_installation(load_command_settings(data_dir, port, prefect_port), print_progress, _print_ready_message)


def demo() -> None:
    """Show the whole road once, in a temporary directory: sessions in, incidents and tickets out. Leaves nothing behind."""
    from furrow.installation.demo import run_demo

    run_demo(out, print_progress)


def doctor(
    as_json: AsJson = False, data_dir: DataDir = None, port: Port = None, prefect_port: PrefectPort = None
) -> None:
    """Say what is configured, in which mode each part is, what can be reached, and what to do about it.

    Trackers are asked whether they would take tickets; nothing is changed there. While `furrow up` runs, its settings
    count, and those of this shell that differ are named, as are variables that look like settings and are none.

    Ends with 1 when something that is configured cannot be reached.
    """
    from furrow.doctor.report import examine_installation

    with err.status("looking"):
        option_names = [name for name, value in (("port", port), ("prefect_port", prefect_port)) if value is not None]
        findings = examine_installation(load_command_settings(data_dir, port, prefect_port), option_names)
    if as_json:
        print_json([finding.to_json() for finding in findings])
    else:
        _print_findings(findings)
    raise typer.Exit(1 if any(finding.is_broken for finding in findings) else 0)


def _print_findings(findings: "list[Finding]") -> None:
    parts, modes = (
        max(len(word) for word in words)
        for words in zip(*((finding.part, finding.mode) for finding in findings), strict=True)
    )
    for finding in findings:
        style = {True: "green", False: "bold red", None: "dim"}[finding.reachable]
        line = Text.assemble(
            (f"{finding.status_word:<4} ", style), f"{finding.part:<{parts}}  ", (f"{finding.mode:<{modes}}  ", "dim")
        )
        out.print(line.append(sanitize_line(finding.detail)), soft_wrap=True)
        for more in finding.extra_lines():
            out.print(
                styled_text(f"     {'':<{parts}}  {'':<{modes}}  {more}", "yellow" if more.startswith("→") else "dim"),
                soft_wrap=True,
            )


def prefect_login(data_dir: DataDir = None) -> None:
    """Print the password that the Prefect UI asks for, `name:password` in one line.

    It is made at the first start and lies in the data directory (`prefect-auth`, readable by you alone), or is what
    FURROW_PREFECT_AUTH sets. Do not put it on a command line: other users of the machine can see those.
    """
    from core.kept_secrets import known_prefect_auth

    settings = load_command_settings(data_dir)
    auth = known_prefect_auth(settings, settings.prefect_api_url)
    if auth is None:
        raise PermanentError(
            f"{settings.data_dir} holds no password of Prefect; `furrow up` makes it at its first start"
        )
    print(auth.get_secret_value())


def _print_ready_message(installation: "Installation") -> None:
    out.print()
    out.print(
        styled_text("Furrow is up.", "bold"), styled_text(f"Data: {installation.settings.data_dir}"), soft_wrap=True
    )
    out.print(f"  events    {installation.collector_url}/v1/events", markup=False)
    out.print(f"  incidents {installation.collector_url}/v1/incidents", markup=False)
    out.print(f"  runs      {installation.prefect_url}", markup=False)
    out.print("            (Prefect asks for a password: `furrow prefect-login` prints it)", markup=False)
    if installation.has_development_keys:
        _print_development_keys(installation)
    out.print("Ctrl-C stops it.\n")


def _print_development_keys(installation: "Installation") -> None:
    from collector.config import is_loopback_only
    from core.kept_secrets import INGEST_KEY, OPERATOR_KEY, development_keys

    keys = development_keys(installation.settings)
    for name, key, use in zip((INGEST_KEY, OPERATOR_KEY), keys, ("send events", "read incidents"), strict=True):
        line = Text.assemble(f"  {name:<13}", (key.get_secret_value(), "yellow"), f"  ({use})")
        out.print(line, soft_wrap=True)
    out.print(
        "  These keys were made for this installation and lie in its data directory, where the commands find them.",
        markup=False,
    )
    if is_loopback_only(installation.settings):
        out.print("  `test-key` may send events too, as only this machine can reach the collector.", markup=False)
