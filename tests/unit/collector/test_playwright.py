"""Steps to reproduce as code: it parses whatever browsers sent, and hostile text stays a string."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.pages.playwright import incident_to_playwright

HOSTILE = '"); process.exit(1); ("\u2028\n*/ //`${1}</script>\\'


def incident(**changes: Any) -> Any:
    """An incident with one example session; ``text`` stands in every place that browsers fill."""
    text = changes.get("text")
    entries = changes.get("timeline") or [
        {"eventType": "navigation", "route": "/checkout", "target": "", "text": "went to /checkout"},
        {"eventType": "input", "route": "/checkout", "target": "input#mail", "text": "filled in input#mail"},
        {"eventType": "click", "route": "/checkout", "target": "button#pay", "text": "clicked button#pay"},
        {"eventType": "network", "route": "/checkout", "target": "", "text": "POST /api/orders/:id → 500"},
    ]
    if text is not None:
        entries = [{**entry, "route": text, "target": text, "text": text} for entry in entries]
    return {
        "incidentId": "inc_1",
        "title": text if text is not None else "POST /api/orders/:id → 500",
        "label": text if text is not None else "Pay now",
        "failurePoint": {
            "route": text if text is not None else "/checkout",
            "target": text if text is not None else "button#pay",
            "feedback": changes.get("feedback", text if text is not None else "POST /api/orders/:id → 500"),
        },
        "examples": [{"timeline": entries}],
    }


def check_syntax(folder: Path, code: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is missing: the code is not parsed")
    file = folder / "made.mjs"
    file.write_text(code, encoding="utf-8")
    found = subprocess.run([node, "--check", str(file)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, f"{found.stderr}\n{code}"


def test_the_steps_are_a_test_of_the_failing_request(tmp_path: Path) -> None:
    code = incident_to_playwright(incident())
    check_syntax(tmp_path, code)
    assert code.splitlines() == [
        'import { expect, test } from "@playwright/test";',
        "",
        'test("POST /api/orders/:id \\u2192 500", async ({ page }) => {',
        "  // Incident inc_1, made from one example session.",
        "  // Typed values are not recorded. Addresses with an id hold a placeholder like :id: replace it.",
        '  await page.goto("/checkout");',
        '  await page.locator("input#mail").first().fill("test");',
        "  const answered = page.waitForResponse(",
        '    (answer) => answer.request().method() === "POST"',
        '      && new RegExp("^\\\\/api\\\\/orders\\\\/[^/]+/?$").test(new URL(answer.url()).pathname),',
        "  );",
        '  await page.locator("button#pay").first().click();',
        '  expect((await answered).status(), "POST /api/orders/:id \\u2192 500").toBeLessThan(400);',
        "});",
    ]


def test_without_an_example_there_is_no_code() -> None:
    assert incident_to_playwright({**incident(), "examples": []}) == ""


@pytest.mark.parametrize("text", [HOSTILE, "\\", '"', "'", "`", "*/", "\u2029x", "\ud800", "[#\"'", "a" * 5_000])
def test_hostile_text_is_a_string(tmp_path: Path, text: str) -> None:
    check_syntax(tmp_path, incident_to_playwright(incident(text=text)))
    code = incident_to_playwright(incident(feedback=f"POST /{text.replace(' ', '')} → 500"))
    check_syntax(tmp_path, code)
    assert code.isascii()


@settings(max_examples=40)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_gives_code_that_parses(tmp_path_factory: pytest.TempPathFactory, text: str, path: str) -> None:
    code = incident_to_playwright(incident(text=text, feedback=f"GET /{path} → slow"))
    check_syntax(tmp_path_factory.getbasetemp(), code)


def test_a_run_calls_the_page_and_nothing_else(tmp_path: Path) -> None:
    """The code runs with a page that records its calls: a hostile label is an argument, not code."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is missing")
    code = incident_to_playwright(incident(text=HOSTILE, feedback=f"POST /{HOSTILE.split()[0]} → 500"))
    stub = """
const calls = [];
const page = new Proxy({}, { get: (_, name) => (...given) => { calls.push([name, ...given.map(String)]);
  return new Proxy(Promise.resolve({ status: () => 500 }), { get: (p, n) => n === "then" ? p.then.bind(p)
    : (n === "first" || n === "click" || n === "fill" || n === "press") ? () => page.step(n) : p[n] }); } });
let pending; const test = (title, body) => { pending = body({ page }); };
const expect = () => ({ toBeLessThan: () => {} });
"""
    file = tmp_path / "run.mjs"
    file.write_text(stub + code.split("\n", 1)[1] + "\nawait pending; console.log(JSON.stringify(calls));\n")
    ran = subprocess.run([node, str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert {call[0] for call in json.loads(ran.stdout)} <= {"goto", "locator", "getByText", "waitForResponse", "step"}
