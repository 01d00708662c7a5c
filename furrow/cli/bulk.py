"""`furrow incidents bulk`: one action for many incidents, named by their ids or chosen by a filter."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, get_args

import typer

from core.errors import PermanentError, WrongUse
from core.known_projects import check_project
from core.plurals import format_count
from furrow.cli import incident_filters, incidents
from furrow.cli.common import AsJson, out, print_json, styled_text
from furrow.cli.incident_filters import make_filters
from furrow.cli.incident_table import print_incident_list
from furrow.clients.operator_api import BulkResult, OperatorApi
from incidents.incident import OwnedIncident

BulkAction = Literal["confirm", "suppress", "resolve", "reopen", "assign"]
_BATCH: Final = 200
"""Incidents of one request, at most what the collector takes."""


@dataclass(frozen=True)
class _Bulk:
    """What is asked for: the action, and what the body holds beside ids and versions."""

    action: str
    more: dict[str, object]


def act_on_many(
    action: Annotated[str, typer.Argument(help="confirm, suppress, resolve, reopen or assign.")],
    reason: incidents.Reason,
    incident_ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of incidents; without ids, pass a filter.")
    ] = None,
    assignee: Annotated[
        str | None, typer.Option("--assignee", help="With assign: person or team; empty: nobody.", show_default=False)
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", help="With suppress: until this time (UTC).", show_default=False)
    ] = None,
    sessions: Annotated[
        int | None,
        typer.Option("--sessions", min=1, help="With suppress: until this number of further affected sessions."),
    ] = None,
    fixed_in: incidents.FixedIn = "",
    next_release: incidents.NextRelease = False,
    environment: incidents.FixEnvironment = "",
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
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="If the filter matches more, nothing is changed.")
    ] = 200,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the incidents.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    url: incidents.Url = "",
    key: incidents.Key = "",
    as_json: AsJson = False,
) -> None:
    """Act on many incidents, named by their ids or chosen by a filter.

    Shows the incidents and asks before it changes them. Each one is changed by itself: one that was changed since it was shown,
    or does not allow the action, is named and left alone, and the command exits with 1. --fixed-in, --next-release and
    --environment go with resolve.
    """
    fix = incidents.read_fix(fixed_in, next_release, environment)
    if fix and action != "resolve":
        raise WrongUse("--fixed-in and --next-release go with resolve")
    wanted = _read_wanted(action, reason, assignee, until, sessions)
    wanted.more.update(fix)
    filters = make_filters(
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
    )
    if bool(incident_ids) == bool(filters):
        raise WrongUse(
            "pass either ids of incidents or a filter, like --status draft; `furrow incidents list` shows both"
        )
    with incidents.connect_to_collector(url, key) as api:
        if incident_ids:
            found = [api.get_incident(each) for each in dict.fromkeys(incident_ids)]
            chosen: list[OwnedIncident] = list(found)
        else:
            chosen = _list_matching(api, filters, limit)
            if not chosen:
                check_project(project, api.list_projects() or [project])
        if dry_run or not chosen:
            _show(chosen, as_json)
            return
        if not yes:
            _ask_before(wanted, chosen)
        results = _apply(api, wanted, chosen)
    _print_results(results, as_json)


def _read_wanted(action: str, reason: str, assignee: str | None, until: datetime | None, sessions: int | None) -> _Bulk:
    if action not in get_args(BulkAction):
        raise WrongUse(f"there is no action {action[:40]!r}; the actions are {', '.join(get_args(BulkAction))}")
    if not reason.strip():
        raise WrongUse("--reason must not be empty; it is stored in the history of the incidents")
    if (action == "assign") != (assignee is not None):
        raise WrongUse("--assignee goes with assign, and assign with --assignee; an empty one means nobody")
    if action != "suppress" and (until is not None or sessions is not None):
        raise WrongUse("--until and --sessions go with suppress")
    more: dict[str, object] = {"reason": reason}
    if action == "assign":
        more["assignee"] = (assignee or "").strip() or None
    if until is not None:
        more["until"] = (until if until.tzinfo else until.replace(tzinfo=UTC)).isoformat()
    if sessions is not None:
        more["sessions"] = sessions
    return _Bulk(action, more)


def _list_matching(api: OperatorApi, filters: dict[str, str], limit: int) -> list[OwnedIncident]:
    """All incidents that match. Raises PermanentError when these are more than ``limit``."""
    chosen: list[OwnedIncident] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.list_incidents({**filters, "limit": str(_BATCH), **cursor})
        if page["total"] > limit:
            raise PermanentError(
                f"{format_count(page['total'], 'incident')} match, more than --limit {limit}; nothing was changed"
            )
        chosen += page["incidents"]
        following = page.get("next")
        if not following or len(chosen) > limit:
            return chosen
        cursor = {"cursor": following}


def _show(chosen: list[OwnedIncident], as_json: bool) -> None:
    if as_json:
        print_json({"incidents": chosen, "changed": 0, "refused": 0})
        return
    print_incident_list(chosen)
    out.print(styled_text(f"{format_count(len(chosen), 'incident')}; nothing was changed"))


def _ask_before(wanted: _Bulk, chosen: list[OwnedIncident]) -> None:
    print_incident_list(chosen)
    if not typer.confirm(f"{wanted.action.capitalize()} {format_count(len(chosen), 'incident')}?", err=True):
        raise PermanentError("nothing was changed")


def _apply(api: OperatorApi, wanted: _Bulk, chosen: list[OwnedIncident]) -> list[BulkResult]:
    """The results, in the order of ``chosen``. An incident that was changed since it was read is refused."""
    results: list[BulkResult] = []
    for begin in range(0, len(chosen), _BATCH):
        batch = chosen[begin : begin + _BATCH]
        body: dict[str, Any] = {
            **wanted.more,
            "action": wanted.action,
            "ids": [incident["incidentId"] for incident in batch],
            "versions": {incident["incidentId"]: incident["version"] for incident in batch},
        }
        results += api.act_on_many(body)
    return results


def _print_results(results: list[BulkResult], as_json: bool) -> None:
    refused = [result for result in results if result["error"]]
    changed = len(results) - len(refused)
    if as_json:
        print_json({"results": results, "changed": changed, "refused": len(refused)})
    else:
        for result in refused:
            message = result["error"]["message"] if result["error"] else ""
            out.print(styled_text(f"{result['incidentId']}: {message}", "red"), soft_wrap=True)
        out.print(styled_text(f"{format_count(changed, 'incident')} changed, {len(refused):,} refused"))
    if refused:
        raise typer.Exit(1)
