"""Detections, and reasons for no detection, as text: what `furrow explain` and `furrow detect` print on a terminal."""

from rich.text import Text
from typing_extensions import TypedDict

from core.plurals import format_count
from furrow.cli.common import out, styled_text
from ufse.detection import Detection, WhyNot

_MOST_CANDIDATES = 5


class ExplainedSession(TypedDict):
    """A stored session with its detections, and the reasons of its visits without one."""

    projectId: str
    sessionId: str
    complete: bool
    """The session counts as complete: no further events are expected."""
    detections: list[Detection]
    whyNot: list[WhyNot]
    error: str | None
    """Error of the engine on this session; None if there was none."""


def print_detection(detection: Detection, indent: str = "") -> None:
    """Print a detection: score, failure point, signals and explanation."""
    score = styled_text(f"{indent}{detection['frustrationScore']} {detection['confidenceLevel']}  ", "bold red")
    out.print(Text.assemble(score, styled_text(detection["primaryFailurePoint"], "bold")), soft_wrap=True)
    out.print(
        styled_text(
            f"{indent}    session {detection['sessionId']}, visit of {_format_visit_time(detection['visitStart'])}",
            "dim",
        ),
        soft_wrap=True,
    )
    for signal in detection["triggeringSignals"]:
        out.print(styled_text(f"{indent}    {signal['type']}: {signal['text']}"), soft_wrap=True)
    out.print(styled_text(f"{indent}    {detection['explanation']}"))


def print_silence(silence: WhyNot, indent: str = "") -> None:
    """Print why a visit has no detection: the rule, and the candidates with the highest scores."""
    rule = styled_text(silence["rule"], "bold")
    out.print(
        Text.assemble(styled_text(f"{indent}silent  ", "dim"), rule, styled_text(f"  {silence['text']}")),
        soft_wrap=True,
    )
    out.print(
        styled_text(
            f"{indent}    session {silence['sessionId']}, visit of {_format_visit_time(silence['visitStart'])}", "dim"
        ),
        soft_wrap=True,
    )
    for candidate in silence["candidates"][:_MOST_CANDIDATES]:
        points = "" if candidate["score"] is None else f" ({candidate['score']} points)"
        out.print(styled_text(f"{indent}    {candidate['failurePoint']}{points}: {candidate['text']}"), soft_wrap=True)


def print_sessions(sessions: list[ExplainedSession]) -> None:
    """Print stored sessions, each with its detections and the reasons of its visits without one."""
    for session in sessions:
        facts = [
            format_count(len(session["detections"]), "detection"),
            format_count(len(session["whyNot"]), "silent visit"),
        ]
        facts += [] if session["complete"] else ["may still continue"]
        out.print(
            styled_text(f"{session['projectId']} / {session['sessionId']}", "bold underline"),
            styled_text(f": {', '.join(facts)}"),
            sep="",
        )
        for detection in session["detections"]:
            print_detection(detection, "  ")
        for silence in session["whyNot"]:
            print_silence(silence, "  ")
        if session["error"]:
            out.print(styled_text(f"  the engine failed on this session: {session['error']}", "red"), soft_wrap=True)


def _format_visit_time(stamp: str) -> str:
    return f"{stamp[:19].replace('T', ' ')} UTC"
