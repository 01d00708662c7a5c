"""`furrow incidents`: read incidents and act on them, over the collector's API for operators."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from core.errors import PermanentError, WrongUse
from core.kept_secrets import OPERATOR_KEY, known_development_key
from core.known_projects import check_project
from core.plurals import format_count
from core.settings import Settings
from furrow.cli import incident_filters
from furrow.cli.common import (
    AsJson,
    format_minute,
    out,
    print_facts,
    print_json,
    sanitize_lines,
    styled_text,
)
from furrow.cli.impact_facts import list_impact_facts
from furrow.cli.incident_table import print_incident_list, style_status
from furrow.cli.ticket_lines import describe_ticket
from furrow.clients.operator_api import OperatorApi, check_url
from incidents.incident import ExampleSession, OwnedIncidentDetail, TicketRecord
from stores.opening import are_all_embedded

app = typer.Typer(no_args_is_help=True, help="Read incidents and act on them.")

Url = Annotated[str, typer.Option("--url", help="Address of the collector; default: this machine, port FURROW_PORT.")]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        envvar="FURROW_OPERATOR_KEY",
        help="Operator key; default, with embedded stores: the key in the data directory.",
    ),
]
Id = Annotated[str, typer.Argument(help="Id of the incident, like inc_0123…")]
Reason = Annotated[str, typer.Option("--reason", help="Reason, stored in the incident's history.")]
FixedIn = Annotated[
    str, typer.Option("--fixed-in", help="The first version with the fix, as sessions or releases name it.")
]
NextRelease = Annotated[bool, typer.Option("--next-release", help="The first release after this has the fix.")]
FixEnvironment = Annotated[
    str,
    typer.Option("--environment", help="The only environment that was fixed; with --fixed-in or --next-release."),
]


def connect_to_collector(url: str, key: str) -> OperatorApi:
    """A client of the collector at ``url``, by default on this machine. Raises PermanentError when no key is known."""
    settings = Settings()
    address = url or f"http://127.0.0.1:{settings.port}"
    configured = settings.operator_key or known_development_key(
        settings, OPERATOR_KEY, address, embedded=are_all_embedded(settings)
    )
    check_url(address)
    known = key or (configured.get_secret_value() if configured else "")
    if not known:
        raise PermanentError(
            "an operator key is required: pass --key or set FURROW_OPERATOR_KEY (`furrow keys create --role operator` creates "
            "one), or set FURROW_DATA_DIR to the data directory of the installation on this machine"
        )
    return OperatorApi(address, known)


@app.command("list")
def list_incidents(
    status: incident_filters.Statuses = None,
    project: incident_filters.Project = "",
    severity: incident_filters.Severities = None,
    route: incident_filters.Route = "",
    owner: incident_filters.Owner = "",
    owned: incident_filters.Owned = None,
    since: incident_filters.Since = "",
    min_score: incident_filters.MinScore = None,
    exported: incident_filters.Exported = None,
    held: incident_filters.Held = None,
    withdrawn: Annotated[
        bool,
        typer.Option("--withdrawn", help="Only drafts that open sessions made and no session shows any more."),
    ] = False,
    sort: Annotated[
        str, typer.Option("--sort", help="Field to sort by, as in the API; descending with a leading -.")
    ] = "-lastSeen",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Maximum number of incidents.")] = 50,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Number of incidents to skip.")] = 0,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List incidents, by default the most recent first."""
    filters = incident_filters.make_filters(
        status=status,
        project=project,
        severity=severity,
        route=route,
        owner=owner,
        owned=owned,
        since=since,
        minScore=min_score,
        exported=exported,
        held=held,
        withdrawn=withdrawn or None,
        sort=sort,
        limit=limit,
        offset=offset,
    )
    with connect_to_collector(url, key) as api:
        page = api.list_incidents(filters)
        if not page["total"]:
            check_project(project, api.list_projects() or [project])
    if as_json:
        print_json(page)
        return
    print_incident_list(page["incidents"])
    first, last, total = page["offset"] + 1, page["offset"] + len(page["incidents"]), page["total"]
    out.print(
        f"{first:,} to {last:,} of {total:,}" if page["incidents"] else f"no incidents on this page ({total:,} match)"
    )


@app.command()
def show(incident_id: Id, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Show one incident.

    Shows what fails, who is affected, the evidence, an example session, the tickets and the history.
    """
    with connect_to_collector(url, key) as api:
        incident = api.get_incident(incident_id)
    if as_json:
        print_json(incident)
    else:
        _print_incident(incident, url.rstrip("/") or Settings().pages_url)


@app.command()
def confirm(incident_id: Id, reason: Reason, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Confirm a draft or held-back incident.

    The next export creates its ticket.
    """
    _perform_action(_Action(incident_id, "confirm", reason), url, key, as_json)


@app.command()
def release(
    reason: Reason,
    project: Annotated[str, typer.Option("--project", help="Only this project.")] = "",
    url: Url = "",
    key: Key = "",
) -> None:
    """Release incidents that are held back.

    Releases all confirmed and regressed incidents that are held back from export in a flood of new incidents.
    """
    if not reason.strip():
        raise WrongUse("--reason must not be empty; it is stored in the history of the incidents")
    filters = {
        "held": "true",
        "status": "confirmed,regressed",
        "limit": "1000",
        **({"project": project} if project else {}),
    }
    released = 0
    with connect_to_collector(url, key) as api:
        check_project(project, api.list_projects() or [project])
        # A released incident no longer matches the filter, so the first page always holds other incidents.
        while page := api.list_incidents(filters)["incidents"]:
            for incident in page:
                api.act_on_incident(incident["incidentId"], "confirm", {"reason": reason})
            released += len(page)
    out.print(styled_text(f"{format_count(released, 'incident')} released"))


@app.command()
def suppress(
    incident_id: Id,
    reason: Reason,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until", help="Suppress until this time (UTC); the first affected session after it reopens the incident."
        ),
    ] = None,
    sessions: Annotated[
        int | None, typer.Option("--sessions", min=1, help="Suppress until this number of further affected sessions.")
    ] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Suppress an incident.

    Permanently, until a time, or until N more sessions. Affected sessions are still counted.
    """
    if until is not None and sessions is not None:
        raise WrongUse("pass --until or --sessions, not both")
    more: dict[str, object] = {} if sessions is None else {"sessions": sessions}
    if until is not None:
        more["until"] = (until if until.tzinfo else until.replace(tzinfo=UTC)).isoformat()
    _perform_action(_Action(incident_id, "suppress", reason, more), url, key, as_json)


@app.command()
def resolve(
    incident_id: Id,
    reason: Reason,
    fixed_in: FixedIn = "",
    next_release: NextRelease = False,
    environment: FixEnvironment = "",
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Mark an incident as fixed.

    If sessions that start later are affected again, the incident becomes `regressed`; with --fixed-in only by sessions of that
    version or newer ones, with --next-release only once it came.
    """
    _perform_action(
        _Action(incident_id, "resolve", reason, read_fix(fixed_in, next_release, environment)), url, key, as_json
    )


@app.command()
def reopen(incident_id: Id, reason: Reason, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Reopen a resolved or suppressed incident."""
    _perform_action(_Action(incident_id, "reopen", reason), url, key, as_json)


@app.command()
def merge(
    incident_id: Id,
    into: Annotated[str, typer.Option("--into", help="Id of the incident that remains.")],
    reason: Reason,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Merge an incident into another one.

    Its detections, also future ones, belong to the other incident, whatever the rules of grouping say.
    """
    _perform_action(_Action(incident_id, "merge", reason, {"into": into}), url, key, as_json)


@app.command()
def split(
    incident_id: Id,
    failure_point: Annotated[
        str,
        typer.Option("--failure-point", help="The failure point to split off; the error for another one lists them."),
    ],
    reason: Reason,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Split a failure point off to an incident of its own."""
    _perform_action(_Action(incident_id, "split", reason, {"failurePoint": failure_point}), url, key, as_json)


def read_fix(fixed_in: str, next_release: bool, environment: str) -> dict[str, object]:
    """What the body of a request says of where it was fixed. Raises WrongUse for options that exclude each other."""
    if fixed_in and next_release:
        raise WrongUse("pass --fixed-in or --next-release, not both")
    if environment and not (fixed_in or next_release):
        raise WrongUse("--environment goes with --fixed-in or --next-release")
    return {
        **({"version": fixed_in} if fixed_in else {}),
        **({"nextRelease": True} if next_release else {}),
        **({"environment": environment} if environment else {}),
    }


@dataclass(frozen=True)
class _Action:
    incident_id: str
    name: str
    reason: str
    more: dict[str, object] | None = None


def _perform_action(action: _Action, url: str, key: str, as_json: bool) -> None:
    if not action.reason.strip():
        raise WrongUse("--reason must not be empty; it is stored in the history of the incident")
    with connect_to_collector(url, key) as api:
        incident = api.act_on_incident(
            action.incident_id, action.name, {"reason": action.reason, **(action.more or {})}
        )
    if as_json:
        print_json(incident)
        return
    out.print(
        styled_text(incident["incidentId"]), style_status(incident), styled_text(incident["title"]), soft_wrap=True
    )


def _print_incident(incident: OwnedIncidentDetail, pages_url: str) -> None:
    out.print(styled_text(incident["title"], "bold"))
    out.print(
        styled_text(incident["incidentId"]),
        style_status(incident),
        styled_text(f"{incident['severity']} {incident['priority']}"),
        soft_wrap=True,
    )
    out.print()
    print_facts([*_list_facts(incident), ("Page", f"{pages_url}/incidents/{incident['incidentId']}")])
    if incident["explanation"]:
        _print_heading("Why")
        out.print(Text(sanitize_lines(incident["explanation"])))
    _print_example(incident["examples"])
    _print_tickets(incident["tickets"])
    _print_heading("History (UTC)")
    for entry in incident["history"]:
        moved = entry["to"] if entry["from"] in (None, entry["to"]) else f"{entry['from']} → {entry['to']}"
        out.print(
            styled_text(format_minute(entry["at"]), "dim"),
            styled_text(f"{moved}, by {entry['actor']}: {entry['reason']}"),
        )


def _list_facts(incident: OwnedIncidentDetail) -> list[tuple[str, object]]:
    return [
        ("project", incident["projectId"]),
        ("failure point", incident["primaryFailurePoint"]),
        ("owner", f"{', '.join(owner['names'])} ({owner['reason']})" if (owner := incident["owner"]) else ""),
        ("sessions", f"{incident['affectedSessions']:,} (users: {incident['affectedUsers']:,})"),
        *list_impact_facts(incident["impact"]),
        ("open sessions", incident["openSessions"] or None),
        ("withdrawn", format_minute(incident["withdrawnAt"]) if incident["withdrawnAt"] else ""),
        ("seen", f"{format_minute(incident['firstSeen'])} to {format_minute(incident['lastSeen'])} UTC"),
        ("score", f"highest {incident['highestScore']}, median {incident['medianScore']:g}"),
        ("signals", ", ".join(f"{name} {count:,}" for name, count in incident["signals"].items())),
        ("routes", ", ".join(incident["routes"])),
        ("environments", ", ".join(incident["environments"])),
        ("app versions", ", ".join(incident["appVersions"])),
        ("suppressed until", format_minute(incident["suppressedUntil"]) if incident["suppressedUntil"] else ""),
        ("until sessions", incident["suppressedSessions"]),
        (
            "held back",
            "it was created in a flood of new incidents; confirm it to export it" if incident["held"] else "",
        ),
        (
            "suspicious",
            "its sessions come from addresses with very many new incidents; confirm it if it is real"
            if incident["suspicious"]
            else "",
        ),
        ("allowed actions", ", ".join(incident["allowedActions"])),
    ]


def _print_example(examples: list[ExampleSession]) -> None:
    if not examples:
        return
    best = examples[0]
    still_open = ", still open" if best["open"] else ""
    _print_heading(f"Example session {best['sessionId']} (score {best['score']}{still_open})")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for step in best["timeline"]:
        seconds = step["offsetMs"] / 1000
        table.add_row(styled_text(f"{seconds:+.1f} s"), styled_text(f"{step['text']}  {step['route']}"))
    out.print(table)
    if len(examples) > 1:
        out.print(
            styled_text(f"more example sessions: {', '.join(example['sessionId'] for example in examples[1:])}", "dim")
        )


def _print_tickets(tickets: list[TicketRecord]) -> None:
    if tickets:
        _print_heading("Tickets")
    for line, seen in map(describe_ticket, tickets):
        out.print(styled_text(line), soft_wrap=True)
        if seen:
            out.print(styled_text(f"    {seen}", "dim"), soft_wrap=True)


def _print_heading(title: str) -> None:
    out.print()
    out.print(styled_text(title, "bold"))
