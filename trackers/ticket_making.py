"""The ticket of an incident for one tracker: the built-in ticket with the fields and the texts of the file of fields."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from core.metrics import count_degraded
from incidents.incident import IncidentDetail
from trackers.template import WrongTemplate, check_template, render_body, render_title
from trackers.ticket import Ticket, build_ticket
from trackers.ticket_plan import Fields, TicketPlan, TrackerPlan, WrongTicketFile, merge_fields

_problems: ContextVar[list[str] | None] = ContextVar("furrow_template_problems", default=None)


def make_ticket(
    incident: IncidentDetail,
    plan: TrackerPlan,
    public_url: str | None,
    former: tuple[str, bool] = ("", False),
    extra: Fields | None = None,
) -> tuple[Ticket, list[str]]:
    """The ticket, and what is wrong with its templates: in place of one that fails, the built-in text is used.

    ``former``: the key of its former ticket ('' without one), and whether that was closed, not deleted. ``extra``: fields
    that the file of owners gives; they win over those of the plan.
    """
    ticket = build_ticket(incident, public_url, *former)
    owned = frozenset(name.casefold() for name in extra or {})
    ticket = replace(ticket, fields=merge_fields(plan.choose_fields(incident), extra or {}), owner_fields=owned)
    made, problems = ticket, []
    try:
        made = replace(made, title=render_title(plan.title, ticket, incident)) if plan.title else made
    except WrongTemplate as error:
        problems.append(f"the template of the title failed, the built-in title is used: {error}")
    try:
        made = replace(made, text=render_body(plan.body, ticket, incident)) if plan.body else made
    except WrongTemplate as error:
        problems.append(f"the template of the text failed, the built-in text is used: {error}")
    return made, problems


def check_templates(plan: TicketPlan) -> None:
    """Raise WrongTicketFile when a template cannot be read, or names what there is not."""
    for name, part in plan.items():
        for place, source in (("title", part.title), ("body", part.body)):
            try:
                if source is not None:
                    check_template(source)
            except WrongTemplate as error:
                raise WrongTicketFile(f"FURROW_TICKET_FIELDS: the template {name}.{place}: {error}") from None


def note_problems(tracker: str, problems: list[str], log: Callable[..., None]) -> None:
    """Count and log what is wrong with templates, and keep it for `collect_problems`."""
    collected = _problems.get()
    for problem in problems:
        count_degraded("ticket_template", tracker)
        log("tickets at %s: %s", tracker, problem)
        if collected is not None:
            collected.append(problem)


@contextmanager
def collect_problems() -> Iterator[list[str]]:
    """The problems of templates that are noted within this block, in this thread."""
    found: list[str] = []
    before = _problems.set(found)
    try:
        yield found
    finally:
        _problems.reset(before)
