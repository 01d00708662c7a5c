"""Lines about tickets."""

from core.plurals import format_count
from incidents.incident import TicketInTracker, TicketRecord
from incidents.ticket_reading import describe_ticket_state


def describe_ticket(ticket: TicketRecord) -> tuple[str, str]:
    """Its place in the ledger on one line, and what it showed in its tracker on another, '' if it was never read."""
    parts = [ticket["tracker"], ticket["state"], ticket["key"], ticket["url"]]
    if ticket["lastError"]:
        parts.append(f"{format_count(ticket['attempts'], 'attempt')}, last: {ticket['lastError']}")
    seen = ticket.get("inTracker")
    return "  ".join(str(part) for part in parts if part), _describe_seen(seen) if seen else ""


def _describe_seen(seen: TicketInTracker) -> str:
    state = describe_ticket_state(
        seen["status"], seen["resolution"], seen["versions"], seen["duplicateOf"], seen["assignee"]
    )
    unknown = "; Furrow does not know this state: name it in ticketStates" if seen["meaning"] == "unknown" else ""
    return f"{state}; read {seen['readAt']}{unknown}"
