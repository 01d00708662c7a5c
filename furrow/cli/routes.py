"""`furrow routes`: what the routes of a project show, and a person's decisions about them."""

from typing import Annotated, Final

import typer
from rich.table import Table

from core.errors import WrongUse
from furrow.cli.access import open_incident_store
from furrow.cli.common import AsJson, DataDir, load_command_settings, out, print_json, styled_text
from ufse.grouping.learned import RuleKind

_KINDS: Final[dict[str, RuleKind]] = {"parameter": "parameter", "name": "name", "locale": "locale", "word": "word"}

app = typer.Typer(no_args_is_help=True, help="Read and decide what the routes of a project mean for grouping.")

Project = Annotated[str, typer.Argument(help="Id of the project.")]
Place = Annotated[str, typer.Argument(help="A place like '/shop/*', or a first segment like it.")]


@app.command("list")
def list_routes(project: Project, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the places that hold parameters or names, and the first segments that are locales or words."""
    with open_incident_store(load_command_settings(data_dir)) as store:
        rules = store.routes.list_rules(project)
    if as_json:
        print_json(
            [
                {"place": rule.place, "kind": rule.kind, "decidedBy": rule.decided_by, "version": rule.version}
                for rule in rules
            ]
        )
        return
    table = Table("place", "kind", "decided by")
    for rule in rules:
        table.add_row(
            styled_text(rule.place),
            styled_text(rule.kind),
            styled_text(rule.decided_by or f"learned, version {rule.version}"),
        )
    out.print(table if rules else "no rules: each route is grouped by its form alone")


@app.command("set")
def set_route(
    project: Project,
    place: Place,
    kind: Annotated[str, typer.Argument(help="parameter, name, locale or word.")],
    data_dir: DataDir = None,
) -> None:
    """Decide what a place holds. A person's decision wins over what is learned; existing incidents keep their detections."""
    if kind not in _KINDS:
        raise WrongUse(f"{kind!r} is no kind of place; it may be {', '.join(_KINDS)}")
    with open_incident_store(load_command_settings(data_dir)) as store:
        store.routes.decide_rule(project, place, _KINDS[kind], "operator")
    out.print(styled_text(f"{place} is decided: {kind}"))


@app.command("forget")
def forget_route(project: Project, place: Place, data_dir: DataDir = None) -> None:
    """Remove a rule, so that it may be learned again."""
    with open_incident_store(load_command_settings(data_dir)) as store:
        known = store.routes.forget_rule(project, place)
    out.print(styled_text(f"{place} is forgotten" if known else f"there is no rule for {place}"))
