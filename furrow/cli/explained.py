"""Detections and reasons for silence as text for people: what `furrow explain` and `furrow detect` print on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from furrow.cli.common import number, out, text

Body = Mapping[str, Any]
"""A detection, or why a visit is silent, as the engine gives it."""

_MOST_CANDIDATES = 5


def print_detection(one: Body, indent: str = "") -> None:
    """One detection: the failure point, its points, and the explanation."""
    score = text(f"{indent}{one['frustrationScore']} {one['confidenceLevel']}  ", "bold red")
    out.print(Text.assemble(score, text(one["primaryFailurePoint"], "bold")), soft_wrap=True)
    out.print(text(f"{indent}    session {one['sessionId']}, visit of {_at(one['visitStart'])}", "dim"), soft_wrap=True)
    for signal in one["triggeringSignals"]:
        out.print(text(f"{indent}    {signal['type']}: {signal['text']}"), soft_wrap=True)
    out.print(text(f"{indent}    {one['explanation']}"))


def print_silence(one: Body, indent: str = "") -> None:
    """Why one visit is silent: the rule that stopped it, and what came nearest to a detection."""
    rule = text(one["rule"], "bold")
    out.print(Text.assemble(text(f"{indent}silent  ", "dim"), rule, text(f"  {one['text']}")), soft_wrap=True)
    out.print(text(f"{indent}    session {one['sessionId']}, visit of {_at(one['visitStart'])}", "dim"), soft_wrap=True)
    for candidate in one["candidates"][:_MOST_CANDIDATES]:
        points = "" if candidate.get("score") is None else f" ({candidate['score']} points)"
        out.print(text(f"{indent}    {candidate['failurePoint']}{points}: {candidate['text']}"), soft_wrap=True)


def print_sessions(sessions: list[Body]) -> None:
    """Stored sessions, each with what was detected and why the rest is silent."""
    for one in sessions:
        words = [number(len(one["detections"]), "detection"), number(len(one["whyNot"]), "silent visit")]
        words += [] if one["complete"] else ["it may still go on"]
        out.print(
            text(f"{one['projectId']} / {one['sessionId']}", "bold underline"), text(f": {', '.join(words)}"), sep=""
        )
        for body in one["detections"]:
            print_detection(body, "  ")
        for body in one["whyNot"]:
            print_silence(body, "  ")
        if one["error"]:
            out.print(text(f"  the engine failed over this session: {one['error']}", "red"), soft_wrap=True)


def _at(stamp: object) -> str:
    return f"{str(stamp)[:19].replace('T', ' ')} UTC"
