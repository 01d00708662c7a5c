"""Detections and reasons for silence as text for people: what `furrow explain` and `furrow detect` print on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from furrow.cli.common import format_count, out, styled_text

Body = Mapping[str, Any]
"""A detection, or why a visit is silent, as the engine gives it."""

_MOST_CANDIDATES = 5


def print_detection(detection: Body, indent: str = "") -> None:
    """One detection: the failure point, its points, and the explanation."""
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


def print_silence(silence: Body, indent: str = "") -> None:
    """Why one visit is silent: the rule that stopped it, and what came nearest to a detection."""
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
        points = "" if candidate.get("score") is None else f" ({candidate['score']} points)"
        out.print(styled_text(f"{indent}    {candidate['failurePoint']}{points}: {candidate['text']}"), soft_wrap=True)


def print_sessions(sessions: list[Body]) -> None:
    """Stored sessions, each with what was detected and why the rest is silent."""
    for session in sessions:
        words = [
            format_count(len(session["detections"]), "detection"),
            format_count(len(session["whyNot"]), "silent visit"),
        ]
        words += [] if session["complete"] else ["it may still go on"]
        out.print(
            styled_text(f"{session['projectId']} / {session['sessionId']}", "bold underline"),
            styled_text(f": {', '.join(words)}"),
            sep="",
        )
        for body in session["detections"]:
            print_detection(body, "  ")
        for body in session["whyNot"]:
            print_silence(body, "  ")
        if session["error"]:
            out.print(styled_text(f"  the engine failed over this session: {session['error']}", "red"), soft_wrap=True)


def _format_visit_time(stamp: object) -> str:
    return f"{str(stamp)[:19].replace('T', ' ')} UTC"
