"""`furrow incidents verdict` and `furrow exceptions`: what people say of sessions, and the exceptions that follow."""

from enum import StrEnum
from typing import Annotated

import typer

from core.errors import WrongUse
from furrow.cli.common import AsJson, format_minute, out, print_json, styled_text
from furrow.cli.incidents import Id, Key, Url, connect_to_collector
from furrow.cli.incidents import app as incidents
from furrow.clients.operator_api import ExceptionList
from incidents.verdicts import REASONS, ExemptionRecord

app = typer.Typer(no_args_is_help=True, help="Exceptions: what people decided is no frustration.")

ExceptionId = Annotated[str, typer.Argument(metavar="ID", help="Id of the exception, like exc_0123…")]
Reason = Annotated[str, typer.Option("--reason", help="Reason, stored in the exception's history.")]
Project = Annotated[str, typer.Option("--project", help="Only this project.")]


class WhyNot(StrEnum):
    """The reasons for "no frustration"."""

    known_slow = "known_slow"
    expected_refusal = "expected_refusal"
    test_traffic = "test_traffic"
    decorative_control = "decorative_control"
    other = "other"


@incidents.command()
def verdict(
    incident_id: Id,
    session_id: Annotated[str, typer.Argument(help="Id of a session of the incident.")],
    no_frustration: Annotated[
        WhyNot | None, typer.Option("--no-frustration", help="It was no frustration, and why; `other` needs --text.")
    ] = None,
    frustration: Annotated[bool, typer.Option("--frustration", help="It was frustration.")] = False,
    take_back: Annotated[bool, typer.Option("--take-back", help="Take your own verdict back.")] = False,
    note: Annotated[str, typer.Option("--text", help="The verdict in your own words.")] = "",
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Say whether a session of an incident was frustrated.

    A verdict changes no status and no detection. `furrow exceptions list` shows what verdicts propose, and
    `furrow evaluate --verdicts` measures the precision on them.
    """
    if (no_frustration is not None) + frustration + take_back != 1:
        raise WrongUse("pass one of --no-frustration REASON, --frustration and --take-back")
    word = "no_frustration" if no_frustration else "frustration" if frustration else "none"
    body: dict[str, object] = {"sessionId": session_id, "verdict": word, "text": note}
    if no_frustration:
        body["reason"] = no_frustration.value
    with connect_to_collector(url, key) as api:
        found = api.judge_session(incident_id, body)
    if as_json:
        print_json(found)
        return
    for kept in found["verdicts"]:
        judgement = "frustration" if kept["frustrated"] else f"no frustration, {REASONS[kept['reason'] or 'other']}"
        text = f": {kept['text']}" if kept["text"] else ""
        out.print(styled_text(f"{format_minute(kept['at'])} {kept['actor']}: {judgement}{text}"), soft_wrap=True)
    if not found["verdicts"]:
        out.print(styled_text("no verdict on this session", "dim"))


@app.command("list")
def list_exceptions(project: Project = "", url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """List exceptions: those that verdicts propose, and those that were replayed or decided about."""
    with connect_to_collector(url, key) as api:
        found = api.list_exceptions(project)
    _print_exceptions(found, as_json)


@app.command("try")
def try_exception(
    exception_id: ExceptionId, reason: Reason = "asked for", url: Url = "", key: Key = "", as_json: AsJson = False
) -> None:
    """Replay a proposed exception over the stored sessions of the last 14 days.

    The next run of `detect` replays it; `furrow exceptions list` shows the result. Nothing else changes.
    """
    _decide(exception_id, "try", reason, url, key, as_json)


@app.command()
def accept(exception_id: ExceptionId, reason: Reason, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Accept an exception that was replayed.

    It holds for sessions that are analysed from then on. `furrow run backfill` applies it to earlier ones.
    """
    _decide(exception_id, "accept", reason, url, key, as_json)


@app.command()
def reject(exception_id: ExceptionId, reason: Reason, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Reject an exception."""
    _decide(exception_id, "reject", reason, url, key, as_json)


@app.command("take-back")
def take_back_exception(
    exception_id: ExceptionId, reason: Reason, url: Url = "", key: Key = "", as_json: AsJson = False
) -> None:
    """Take an accepted exception back.

    It ends for sessions that are analysed from then on.
    """
    _decide(exception_id, "end", reason, url, key, as_json)


def _decide(exception_id: str, step: str, reason: str, url: str, key: str, as_json: bool) -> None:
    if not reason.strip():
        raise WrongUse("--reason must not be empty; it is stored in the history of the exception")
    with connect_to_collector(url, key) as api:
        found = api.move_exception(exception_id, step, reason)
    only = [record for record in found["exceptions"] if record["exceptionId"] == exception_id]
    _print_exceptions({"proposals": [], "exceptions": only}, as_json)


def _print_exceptions(found: ExceptionList, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    known = {record["exceptionId"] for record in found["exceptions"] if record["state"] != "ended"}
    fresh = [proposal for proposal in found["proposals"] if proposal["exceptionId"] not in known]
    for proposal in fresh:
        line = f"{proposal['exceptionId']} proposed, {proposal['projectId']}: {proposal['text']}"
        out.print(styled_text(line), styled_text(f"  {proposal['sessions']:,} sessions agree", "dim"), soft_wrap=True)
    for record in found["exceptions"]:
        line = f"{record['exceptionId']} {record['state']}, {record['projectId']}: {record['text']}"
        out.print(styled_text(line), styled_text(_describe_result(record), "dim"), sep="", soft_wrap=True)
    if not fresh and not found["exceptions"]:
        out.print(styled_text("no exceptions; three verdicts that agree propose one", "dim"))


def _describe_result(record: ExemptionRecord) -> str:
    result = record["result"]
    if result is None:
        return ""
    part = "" if result["complete"] else " (not the whole window)"
    return (
        f"  would silence {result['silenced']:,} of {result['analysed']:,} sessions{part}, "
        f"{result['confirmedByPerson']:,} of them confirmed by a person; {result['incidentsBelow']:,} incidents would fall "
        "below confirmation"
    )
