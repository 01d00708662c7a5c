"""Tickets as the settings of this moment make them: fields, rules and templates of FURROW_TICKET_FIELDS."""

import logging
from dataclasses import replace

from blocks.documents import effective_settings
from incidents.incident import IncidentDetail, OwnedIncidentDetail
from incidents.model import TicketClaim
from incidents.owners import owner_of
from incidents.owners_file import open_owners_file
from trackers.document import render_markdown, render_wiki
from trackers.log import LogTracker
from trackers.owner_fields import choose_owner_fields
from trackers.ticket import Ticket
from trackers.ticket_making import make_ticket, note_problems
from trackers.ticket_plan import WrongTicketFile, load_tracker_plan

_log = logging.getLogger("furrow.tickets")


def make_tracker_ticket(incident: IncidentDetail, tracker: str, replaces: str = "", follows: bool = False) -> Ticket:
    """The ticket of the incident for ``tracker``, with its owner as assignee or team.

    A template that fails is logged, counted and replaced by the built-in text.

    Raises WrongTicketFile when the file cannot be read, and when the file of owners never could.
    """
    settings = effective_settings()
    plan = load_tracker_plan(settings, tracker)
    rules = open_owners_file(settings.owners_file).read_rules()
    if not rules.is_known:
        raise WrongTicketFile(f"{rules.problems[0]} (FURROW_OWNERS_FILE)")
    owner = owner_of(incident, rules)
    owned: OwnedIncidentDetail = {**incident, "owner": owner.to_json() if owner else None}
    ticket, problems = make_ticket(
        owned, plan, settings.pages_url, (replaces, follows), choose_owner_fields(owner, tracker)
    )
    note_problems(tracker, problems, _log.warning)
    return ticket


def make_claimed_ticket(claim: TicketClaim, tracker: str) -> Ticket:
    """The ticket of a claim: after a former one, if there is one, and known by its identity."""
    ticket = make_tracker_ticket(claim.incident, tracker, claim.replaces, claim.follows)
    return replace(ticket, identity=claim.identity)


def preview_text(tracker: str, ticket: Ticket) -> str:
    """The ticket as text: title, text in the tracker's markup (ADF of Jira Cloud as Markdown), labels, priority and fields."""
    settings = effective_settings()
    wiki = tracker == "jira" and settings.jira_kind == "datacenter"
    render = render_wiki if wiki else render_markdown
    return LogTracker(tracker, lambda shown: render(shown.text or shown.body)).ticket_text(ticket)
