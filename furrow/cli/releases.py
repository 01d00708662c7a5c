"""`furrow releases`: tell a release, and list the versions of a project, over the collector's API for operators."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from core.plurals import format_count
from furrow.cli.common import AsJson, format_minute, out, print_json, styled_text
from furrow.cli.incidents import Key, Url, connect_to_collector

app = typer.Typer(no_args_is_help=True, help="Tell and list releases.")

Project = Annotated[str, typer.Argument(help="Id of the project.")]


@app.command("add")
def add_release(
    project: Project,
    version: Annotated[str, typer.Argument(help="The version, as sessions name it.")],
    environment: Annotated[str, typer.Option("--environment", help="Where it is out; default: everywhere.")] = "",
    branch: Annotated[
        str, typer.Option("--branch", help="Its branch; names of two branches are not ordered by time.")
    ] = "",
    time: Annotated[datetime | None, typer.Option("--time", help="When it came out (UTC); default: now.")] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Tell a release, for the last step of a deployment.

    Incidents that were resolved in the next release get its version. The same again changes nothing.
    """
    body: dict[str, object] = {"projectId": project, "version": version}
    body |= {name: value for name, value in (("environment", environment), ("branch", branch)) if value}
    if time is not None:
        body["time"] = (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()
    with connect_to_collector(url, key) as api:
        answer = api.add_release(body)
    if as_json:
        print_json(answer)
        return
    fixed = len(answer["incidents"])
    more = f"; it has the fix of {format_count(fixed, 'incident')}" if fixed else ""
    out.print(styled_text(f"{project} {version} is told{more}"))


@app.command("list")
def list_releases(
    project: Project,
    environment: Annotated[str, typer.Option("--environment", help="Only of this environment.")] = "",
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List the last 100 versions of a project, told or seen in sessions, the newest first."""
    with connect_to_collector(url, key) as api:
        answer = api.list_releases(project, environment)
    if as_json:
        print_json(answer)
        return
    table = Table("version", "environment", "branch", "released", "first seen")
    for release in answer["releases"]:
        table.add_row(
            styled_text(release["version"]),
            styled_text(release["environment"]),
            styled_text(release["branch"]),
            format_minute(release["releasedAt"]),
            format_minute(release["firstSeen"]),
        )
    out.print(table if answer["releases"] else "no releases: none was told, and no session named a version")
