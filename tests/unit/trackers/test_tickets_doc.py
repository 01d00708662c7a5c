"""docs/tickets.md is true: its files can be read, and its variables and examples are made here. After a change that was meant:

python -m tests.unit.trackers.test_tickets_doc --write
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.unit.trackers.incidents import incident
from trackers.template import FILTERS, MAX_OUTPUT, MOST_STEPS
from trackers.ticket import Ticket, ticket_to_adf, ticket_to_markdown, ticket_to_wiki
from trackers.ticket_making import check_templates, make_ticket
from trackers.ticket_plan import CONDITIONS, TrackerPlan, parse_ticket_plan
from trackers.ticket_variables import VARIABLES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tickets.md"
PUBLIC = "https://furrow.example.com"


def files(page: str) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", page, re.S)


def example(plan: TrackerPlan) -> Ticket:
    reached = {"reached": 412, "hit": 37, "rate": 0.0898, "low": 0.066, "high": 0.121}
    shown: Any = incident(reached=reached)
    ticket, problems = make_ticket(shown, plan, PUBLIC)
    assert problems == []
    return ticket


def render_variables() -> str:
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items())
    return f"| variable | meaning |\n|---|---|\n{rows}"


def render_examples(page: str) -> str:
    built_in, own = example(TrackerPlan()), example(parse_ticket_plan(tomllib.loads(files(page)[1]))["jira"])
    adf = json.dumps(ticket_to_adf(own), ensure_ascii=False, indent=1)
    parts = (
        ("Linear, built-in text", f"Title: {built_in.title}", "markdown", ticket_to_markdown(built_in)),
        ("Jira Data Center, built-in text", f"Title: {built_in.title}", "text", ticket_to_wiki(built_in)),
        ("Jira Data Center, the templates above", f"Title: {own.title}", "text", ticket_to_wiki(own)),
        ("Jira Cloud, the templates above", f"Title: {own.title}", "json", f"{adf}\n"),
    )
    return "\n\n".join(f"### {name}\n\n{title}\n\n````{kind}\n{text}````" for name, title, kind, text in parts)


def update(page: str) -> str:
    for name, text in (("variables", render_variables()), ("examples", render_examples(page))):
        page = re.sub(
            rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", lambda _, text=text: f"{text}\n", page, count=1, flags=re.S
        )
    return page


def test_the_page_is_made_from_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert update(page) == page, "run `python -m tests.unit.trackers.test_tickets_doc --write`"


@pytest.mark.parametrize("number", [0, 1])
def test_every_file_of_the_page_can_be_read(number: int) -> None:
    plan = parse_ticket_plan(tomllib.loads(files(PAGE.read_text(encoding="utf-8"))[number]))
    check_templates(plan)
    assert "jira" in plan


def test_conditions_filters_and_limits_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    conditions = page.split("| condition |")[1].split("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)`", conditions, re.M)) == CONDITIONS
    named = page.split("the filters ")[1].split(". It has no calls")[0]
    assert set(re.findall(r"`(\w+)`", named)) == {*FILTERS, "join"}
    assert f"at most {MOST_STEPS:,} rounds" in page.replace("\n", " ")
    assert f"at most {MAX_OUTPUT:,} characters" in page


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
