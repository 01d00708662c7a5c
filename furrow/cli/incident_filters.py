"""Options of commands that choose incidents by a filter, as `GET /v1/incidents` has them."""

from typing import Annotated

import typer

Statuses = Annotated[
    list[str] | None,
    typer.Option("--status", help="draft, confirmed, resolved, regressed or suppressed; repeatable."),
]
Project = Annotated[str, typer.Option("--project", help="Only this project.")]
Severities = Annotated[list[str] | None, typer.Option("--severity", help="Critical, High, Medium or Low; repeatable.")]
Route = Annotated[str, typer.Option("--route", help="Only this route pattern, like /orders/:id.")]
Owner = Annotated[
    str, typer.Option("--owner", help="Only incidents of this person or team, by assignment or by the rules of owners.")
]
Owned = Annotated[
    bool | None,
    typer.Option("--owned/--not-owned", help="Only incidents with an owner, or without one.", show_default=False),
]
Since = Annotated[
    str, typer.Option("--since", help="Only incidents last seen at or after this time: RFC 3339 with a time zone.")
]
MinScore = Annotated[
    int | None, typer.Option("--min-score", min=0, max=100, help="Only incidents with at least this highest score.")
]
Exported = Annotated[
    bool | None,
    typer.Option("--exported/--not-exported", help="Only incidents with a ticket, or without one.", show_default=False),
]
Held = Annotated[
    bool | None,
    typer.Option(
        "--held/--not-held", help="Only incidents held back from export in a flood, or not.", show_default=False
    ),
]


def make_filters(**values: list[str] | str | bool | int | None) -> dict[str, str]:
    """The parameters of the API; those without a value are left out."""
    return {name: _to_parameter(value) for name, value in values.items() if value not in (None, "", [])}


def _to_parameter(value: list[str] | str | bool | int | None) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
