"""The steps of an incident as a test of Playwright, which fails as long as the incident's request fails.

All text of browsers is in the code as JSON strings of ASCII characters, or in comments of one line without control characters.
"""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from incidents.incident import ExampleSession, IncidentDetail
    from ufse.detection import TimelineEntry

_MOST_STEPS: Final = 30
_LONGEST: Final = 300  # characters of one text
_SELECTOR: Final = re.compile(r"[a-z][a-z0-9-]*(?:[#.][A-Za-z_][A-Za-z0-9_-]*)+")
"""Names of controls that are CSS selectors: ``button#pay``, ``a.help``."""
_REQUEST: Final = re.compile(r"([A-Z]{2,10}) (/\S*) → (.+)")
_PLACEHOLDER: Final = re.compile(r"(?<=/):[^/]*|\*+")
"""Parts of a folded address that stand for any id."""
_SPECIAL: Final = re.compile(r"[.*+?^${}()|\[\]\\/]")


def incident_to_playwright(incident: "IncidentDetail") -> str:
    """The test of the incident's first example session; '' without one."""
    examples = incident["examples"]
    if not examples or not examples[0]["timeline"]:
        return ""
    request = _REQUEST.fullmatch(incident["failurePoint"]["feedback"] or "")
    awaited = list(_await_answer(request)) if request else []
    body = [
        f"// Incident {_in_comment(incident['incidentId'])}, made from one example session.",
        "// Typed values are not recorded. Addresses with an id hold a placeholder like :id: replace it.",
        *_write_steps(examples[0], incident, awaited),
        *(
            [_check_answer(request)]
            if request
            else [f"// What failed: {_in_comment(incident['failurePoint']['feedback'])}"]
        ),
    ]
    return "\n".join(
        [
            'import { expect, test } from "@playwright/test";',
            "",
            f"test({_quote(incident['title'] or incident['incidentId'])}, async ({{ page }}) => {{",
            *(f"  {line}" for line in body),
            "});",
            "",
        ]
    )


def _write_steps(example: "ExampleSession", incident: "IncidentDetail", awaited: list[str]) -> Iterator[str]:
    """What the person did, a line each; ``awaited`` stands before the first click or submit on the failing control."""
    failing, label = incident["failurePoint"]["target"], incident["label"]
    steps = [entry for entry in example["timeline"] if entry.get("eventType") in _WRITERS]
    if not steps or steps[0].get("eventType") != "navigation":
        yield f"await page.goto({_quote(incident['failurePoint']['route'] or '/')});"
    for entry in steps[:_MOST_STEPS]:
        target = entry.get("target") or ""
        if awaited and target == failing and entry["eventType"] in ("click", "form_submit"):
            yield from awaited
            awaited = []
        yield _WRITERS[entry["eventType"]](entry, _locate(target, label if target == failing else ""))
    yield from awaited
    if len(steps) > _MOST_STEPS:
        yield f"// {len(steps) - _MOST_STEPS} more steps are in the incident's timeline."


def _write_navigation(entry: "TimelineEntry", _: str) -> str:
    return f"await page.goto({_quote(entry.get('route') or '/')});"


def _write_click(_: "TimelineEntry", control: str) -> str:
    return f"await {control}.click();"


def _write_input(_: "TimelineEntry", control: str) -> str:
    return f'await {control}.fill("test");'


def _write_submit(_: "TimelineEntry", control: str) -> str:
    return f'await {control}.press("Enter");'


_WRITERS: Final = {
    "navigation": _write_navigation,
    "click": _write_click,
    "input": _write_input,
    "form_submit": _write_submit,
}
"""By type of event: what a person does. The other types follow from it."""


def _locate(target: str, label: str) -> str:
    """The control: by its label, by its name where that is a selector, else by its name as text."""
    if _SELECTOR.fullmatch(target):
        return f"page.locator({_quote(target)}).first()"
    if label:
        return f"page.getByText({_quote(label)}, {{ exact: true }}).first()"
    return f"page.locator({_quote(target or 'body')}).first()"


def _await_answer(request: re.Match[str]) -> Iterator[str]:
    method, path = request[1], request[2]
    yield "const answered = page.waitForResponse("
    yield f"  (answer) => answer.request().method() === {_quote(method)}"
    yield f"    && {_match_path(path)}.test(new URL(answer.url()).pathname),"
    yield ");"


def _check_answer(request: re.Match[str]) -> str:
    return f"expect((await answered).status(), {_quote(request[0])}).toBeLessThan(400);"


def _match_path(path: str) -> str:
    """A regular expression, written as a constructor of a quoted string, for a folded path."""
    plain = path.partition("?")[0][:_LONGEST]
    parts, at = [], 0
    for found in _PLACEHOLDER.finditer(plain):
        parts += [_SPECIAL.sub(r"\\\g<0>", plain[at : found.start()]), "[^/]+"]
        at = found.end()
    pattern = "".join([*parts, _SPECIAL.sub(r"\\\g<0>", plain[at:])])
    return f"new RegExp({json.dumps(f'^{pattern}/?$')})"


def _quote(text: str) -> str:
    return json.dumps(text[:_LONGEST])


def _in_comment(text: str) -> str:
    return json.dumps(text[:_LONGEST])[1:-1]
