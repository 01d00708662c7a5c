"""Each example of docs/detection.md is run: its events through the contract and the engine, its outcome compared.

An example is a fence of ``jsonl`` (events as they are sent, one a line) with a fence of ``text`` behind it that says what
comes of it, one fact a line: ``visits``, ``detection``, ``signals``, ``score``, ``severity``, ``explanation``, ``silent``,
``because``. A fence of ``toml`` before it is the configuration. After a change that was meant, write the outcomes (of the
facts that each fence names) and the table of points anew, and read the difference:

    python -m tests.unit.ufse.test_detection_doc --write
"""

import re
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.contract import read_events
from ufse import Config, Result, detect
from ufse.weights import RULES, Weights

PAGE = Path(__file__).resolve().parents[3] / "docs" / "detection.md"
_EXAMPLE = re.compile(
    r"(?:```toml\n(?P<config>[^`]*)```\n+)?```jsonl\n(?P<events>[^`]*)```\n+```text\n(?P<outcome>[^`]*)```"
)
_POINTS = re.compile(r"(?<=<!-- points -->\n).*?(?=\n<!-- end -->)", re.S)
KINDS = ("rage", "blocked", "abandonment", "confusion", "feedback")


@dataclass(frozen=True)
class Example:
    """One example: the heading it stands under, its number there, its configuration, events and outcome as written."""

    heading: str
    number: int
    config: str
    events: str
    outcome: str
    span: tuple[int, int]
    """Where the outcome stands in the page."""

    @property
    def name(self) -> str:
        return f"{self.heading} {self.number}"

    def facts(self) -> list[tuple[str, str]]:
        """The facts that the outcome names: (fact, what is said)."""
        return [(fact, told) for fact, _, told in (line.partition(": ") for line in self.outcome.splitlines())]

    def run(self) -> Result:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.jsonl"
            path.write_text(self.events, encoding="utf-8")
            events, rejects = read_events(path)
        assert not rejects, [r.to_json() for r in rejects]
        return detect(events, config(self.config), why_not=True)


def config(toml: str) -> Config:
    """The configuration that a fence of TOML says, in the form of ``furrow detect --config``."""
    told: dict[str, Any] = tomllib.loads(toml)
    values: dict[str, Any] = {**told.pop("thresholds", {}), "weights": Weights(**told.pop("weights", {}))}
    values |= {name: tuple(patterns) for name, patterns in told.items()}
    return Config(**values)


def examples(page: str) -> list[Example]:
    found: list[Example] = []
    headings = [(m.start(), m[1]) for m in re.finditer(r"^## (.*)$", page, re.M)]
    for one in _EXAMPLE.finditer(page):
        heading = max(h for h in headings if h[0] < one.start())[1]
        number = 1 + sum(e.heading == heading for e in found)
        found.append(Example(heading, number, one["config"] or "", one["events"], one["outcome"], one.span("outcome")))
    return found


def outcome(result: Result, wanted: list[str]) -> str:
    """The wanted facts of a result, one a line; of each detection and each silent visit in turn."""
    lines = [f"visits: {len(result.visits)}"] if "visits" in wanted else []
    for body in (d.to_json() for d in result.detections):
        counts = ", ".join(f"{s['type']} {s['count']}" for s in body["triggeringSignals"])
        facts = {
            "detection": body["primaryFailurePoint"],
            "signals": counts,
            "score": f"{body['frustrationScore']} ({body['confidenceLevel']})",
            "severity": body["severityType"],
            "explanation": body["explanation"],
        }
        lines += [f"{fact}: {told}" for fact, told in facts.items() if fact == "detection" or fact in wanted]
    for why in (w.to_json() for w in result.why_not):
        lines += [f"silent: {why['rule']}", *([f"because: {why['text']}"] if "because" in wanted else [])]
    return "\n".join(lines) + "\n"


def points() -> str:
    """The table of points, from the code."""
    rows = [f"| {rule.text} | {rule.points:+d} | `{name}` |" for name, rule in RULES.items()]
    return "\n".join(["| rule | points | name |", "|---|---:|---|", *rows])


def written(page: str) -> str:
    """The page with every outcome and the table of points made anew."""
    for one in reversed(examples(page)):
        fresh = outcome(one.run(), [fact for fact, _ in one.facts()])
        page = page[: one.span[0]] + fresh + page[one.span[1] :]
    return _POINTS.sub(lambda _: points(), page)


TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = examples(TEXT)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_comes_out_as_it_is_told(example: Example) -> None:
    assert outcome(example.run(), [fact for fact, _ in example.facts()]) == example.outcome


def test_the_points_are_those_of_the_engine() -> None:
    assert _POINTS.findall(TEXT) == [points()]


def test_every_block_of_events_is_an_example() -> None:
    assert len(EXAMPLES) == TEXT.count("```jsonl\n") == TEXT.count("```text\n")
    assert "".join(e.events for e in EXAMPLES).count("\n") > 80


@pytest.mark.parametrize("kind", KINDS)
def test_every_signal_is_shown_firing_and_where_it_never_does(kind: str) -> None:
    """A section is named after its signal; something in it is found that rests on the signal, and something is silent."""
    mine = [e for e in EXAMPLES if e.heading.lower().startswith(kind)]
    assert any(told and f"{kind} " in told for e in mine for fact, told in e.facts() if fact == "signals"), mine
    assert any(fact == "silent" for e in mine for fact, _ in e.facts())


def main(arguments: list[str]) -> int:
    """Writes the page's outcomes with ``--write``; else says how."""
    if arguments != ["--write"]:
        print(__doc__)
        return 2
    PAGE.write_text(written(TEXT), encoding="utf-8")
    print(f"{len(EXAMPLES)} examples written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
