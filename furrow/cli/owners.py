"""`furrow owners`: check the file of owners, and explain who owns what; `furrow incidents assign`."""

from pathlib import Path
from typing import Annotated

import typer

from core.errors import PermanentError, WrongUse
from core.plurals import format_count
from core.settings import Settings
from furrow.cli import incidents
from furrow.cli.common import AsJson, out, print_facts, print_json, styled_text
from incidents.owner_patterns import Place
from incidents.owners import OwnerRules, find_place_owner
from incidents.owners_file import load_owners

app = typer.Typer(no_args_is_help=True, help="Check the file of owners, and explain who owns what.")

File = Annotated[Path | None, typer.Argument(help="The file; default: FURROW_OWNERS_FILE.")]


@app.command()
def check(file: File = None, as_json: AsJson = False) -> None:
    """Read a file of owners and name each bad line.

    Exits with 1 if a line is bad, or decides nothing because an earlier rule fits first.
    """
    rules = _load_rules(file)
    if as_json:
        print_json(
            {
                "rules": len(rules.rules),
                "problems": [{"line": problem.line, "text": problem.text} for problem in rules.problems],
            }
        )
    else:
        for problem in rules.problems:
            out.print(styled_text(str(problem), "red"), soft_wrap=True)
        counts = f"{format_count(len(rules.rules), 'rule')}, {format_count(len(rules.problems), 'problem')}"
        out.print(styled_text(f"{counts}; the first rule that fits decides"))
    if rules.problems:
        raise typer.Exit(1)


@app.command()
def who(
    project: Annotated[str, typer.Option("--project", help="Id of the project.")] = "default",
    route: Annotated[str, typer.Option("--route", help="Route, like /checkout.")] = "",
    endpoint: Annotated[str, typer.Option("--endpoint", help="Failed request, like 'POST /api/orders'.")] = "",
    control: Annotated[str, typer.Option("--control", help="Control, like button#pay, or its label.")] = "",
    file: Annotated[Path | None, typer.Option("--file", help="The file; default: FURROW_OWNERS_FILE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show who owns incidents at a place, and the rule that decides.

    A person or team to which an incident was assigned wins over the rules.
    """
    if endpoint and " " not in endpoint:
        raise WrongUse("--endpoint has a method and a path, like 'POST /api/orders'")
    rules = _load_rules(file)
    owner = find_place_owner(Place(project, route, endpoint, control, control), rules)
    if as_json:
        print_json({"owner": owner.to_json() if owner else None})
    elif owner is None:
        out.print("nobody: no rule fits, or the first one that fits names nobody")
    else:
        accounts = ", ".join(f"{key}:{value}" for key, value in owner.accounts.items())
        print_facts([("owners", ", ".join(owner.names)), ("decided by", owner.reason), ("accounts", accounts)])


def assign(
    incident_id: incidents.Id,
    assignee: Annotated[
        str, typer.Argument(help="Person or team, like @payments; empty: nobody, so that the rules of owners decide.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Reason, stored in the incident's history.")] = "",
    url: incidents.Url = "",
    key: incidents.Key = "",
    as_json: AsJson = False,
) -> None:
    """Assign an incident to a person or team.

    This wins over the rules of owners.
    """
    body = {"assignee": assignee.strip() or None, "reason": reason}
    with incidents.connect_to_collector(url, key) as api:
        incident = api.act_on_incident(incident_id, "assign", body)
    if as_json:
        print_json(incident)
        return
    owner = incident["owner"]
    shown = f"{', '.join(owner['names'])} ({owner['reason']})" if owner else "nobody"
    out.print(styled_text(incident["incidentId"]), styled_text(shown), soft_wrap=True)


def _load_rules(file: Path | None) -> OwnerRules:
    path = file or Settings().owners_file
    if path is None:
        raise PermanentError("no file of owners is configured; set FURROW_OWNERS_FILE, or name a file")
    return load_owners(path)
