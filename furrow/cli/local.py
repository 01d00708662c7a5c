"""Commands for the installation on this machine: `up`, `demo`, `doctor`, `prefect-login`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from core.errors import PermanentError
from core.roles import PersonRole
from furrow.cli.common import (
    AsJson,
    Commands,
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
from furrow.cli.incidents import Key, Url, connect_to_collector
from furrow.clients.sign_in_link import make_first_link

if TYPE_CHECKING:
    from furrow.doctor.report import Finding
    from furrow.installation.up import Installation


def up(data_dir: DataDir = None, port: Port = None, prefect_port: PrefectPort = None) -> None:
    """Start Furrow on this machine.

    It runs the stores, the collector, the engine, the Prefect server with its UI, and the schedules, until you stop it.

    All data is in one directory. Stop it with Ctrl-C. After a crash, start it again: accepted events are not lost. Several
    installations can run side by side, each with its own `--data-dir`, `--port` and `--prefect-port`.
    """
    from furrow.installation.up import run_installation

    run_installation(load_command_settings(data_dir, port, prefect_port), print_progress, _print_ready_message)


def demo(
    browser: Annotated[
        bool,
        typer.Option(
            "--browser", help="Open a small shop with a broken button in your browser instead, and wait for it."
        ),
    ] = False,
) -> None:
    """Run a demo with example sessions, or in your browser.

    It starts a temporary installation, processes the sessions, shows the incidents and tickets, and removes everything.

    With `--browser` you are the visitor: press the button of the shop four times, close the tab, and the incident is printed.
    """
    from furrow.installation.demo import run_browser_demo, run_demo

    (run_browser_demo if browser else run_demo)(out, print_progress)


def doctor(
    as_json: AsJson = False, data_dir: DataDir = None, port: Port = None, prefect_port: PrefectPort = None
) -> None:
    """Check the installation and give advice.

    For each part it shows the mode, whether it can be reached, and how to fix problems.

    Trackers are checked for access and permissions; nothing is changed there. While `furrow up` runs, its settings are
    used; settings of this shell that differ are listed, and so are variables that look like settings but are not.

    Exits with 1 if a configured part cannot be reached.
    """
    from furrow.doctor.report import examine_installation

    with err.status("checking"):
        option_names = [name for name, value in (("port", port), ("prefect_port", prefect_port)) if value is not None]
        findings = examine_installation(load_command_settings(data_dir, port, prefect_port), option_names)
    if as_json:
        print_json([asdict(finding) for finding in findings])
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
    """Print the login of the Prefect UI.

    The output is one line, `name:password`.

    It is created at the first start and stored in the data directory (`prefect-auth`, readable only by your user), or set with
    FURROW_PREFECT_AUTH. Do not pass it on a command line: other users of the machine can see command lines.
    """
    from core.kept_secrets import known_prefect_auth

    settings = load_command_settings(data_dir)
    auth = known_prefect_auth(settings, settings.prefect_api_url)
    if auth is None:
        raise PermanentError(
            f"{settings.data_dir} contains no login for Prefect; `furrow up` creates it at its first start"
        )
    print(auth.get_secret_value())


def sign_in(
    viewer: Annotated[bool, typer.Option("--viewer", help="The link lets its person read, not act.")] = False,
    role: Annotated[
        PersonRole | None,
        typer.Option(
            "--role",
            help="viewer: read. operator: also act on incidents. admin: also edit settings, keys and projects. At most the "
            "role of the key, which is the default.",
        ),
    ] = None,
    url: Url = "",
    key: Key = "",
) -> None:
    """Print a link that signs one person in on the review pages, once.

    The link works within an hour, with the rights of the key. The history shows the label of that key.
    """
    with connect_to_collector(url, key) as api:
        print(api.make_sign_in_link("viewer" if viewer else role)["url"])


def _print_ready_message(installation: "Installation") -> None:
    out.print()
    out.print(
        styled_text("Furrow is up.", "bold"), styled_text(f"Data: {installation.settings.data_dir}"), soft_wrap=True
    )
    _print_sign_in_link(installation)
    out.print(f"  events    {installation.collector_url}/v1/events", markup=False)
    out.print(f"  incidents {installation.collector_url}/v1/incidents", markup=False)
    out.print(f"  runs      {installation.prefect_url}", markup=False)
    out.print("            (log in to Prefect with the output of `furrow prefect-login`)", markup=False)
    key = "YOUR-INGEST-KEY"
    if installation.has_development_keys:
        key = _print_development_keys(installation)
    _print_script_tags(installation.settings.pages_url, key)
    out.print("Stop it with Ctrl-C.\n")


def _print_sign_in_link(installation: "Installation") -> None:
    link = make_first_link(installation.settings, installation.collector_url, installation.has_development_keys)
    shown = link or f"{installation.settings.pages_url}/incidents  (`furrow sign-in` prints a link that signs you in)"
    out.print(Text.assemble("  review    ", (shown, "bold" if link else "")), soft_wrap=True)
    if link:
        out.print("            (signs you in once, within an hour; `furrow sign-in` prints another)", markup=False)


def _print_development_keys(installation: "Installation") -> str:
    """Print the keys; returns the ingest key."""
    from collector.config import is_loopback_only
    from core.kept_secrets import INGEST_KEY, OPERATOR_KEY, development_keys

    keys = development_keys(installation.settings)
    for name, key, use in zip((INGEST_KEY, OPERATOR_KEY), keys, ("send events", "read incidents"), strict=True):
        line = Text.assemble(f"  {name:<13}", (key.get_secret_value(), "yellow"), f"  ({use})")
        out.print(line, soft_wrap=True)
    out.print(
        "  These keys were created for this installation and are stored in its data directory. The commands find them there.",
        markup=False,
    )
    if is_loopback_only(installation.settings):
        out.print("  `test-key` can send events too, because only this machine can reach the collector.", markup=False)
    return keys[0].get_secret_value()


def _print_script_tags(collector: str, key: str) -> None:
    from core.browser_script import build_script_tag, installed_browser_script

    script = installed_browser_script()
    if script is None:
        out.print("  This installation has no furrow.js for web pages (browser/dist).", markup=False)
        return
    for name, tag in (
        ("page", build_script_tag(collector, key)),
        ("page, pinned", build_script_tag(collector, key, script)),
    ):
        out.print(f"  {name:<13}{tag}", markup=False, soft_wrap=True, highlight=False)


COMMANDS: Final[Commands] = {
    "up": up,
    "demo": demo,
    "doctor": doctor,
    "sign-in": sign_in,
    "prefect-login": prefect_login,
}
"""The commands of this module, by name."""
