"""How commands print a list of incidents: a table, or a few lines each in a narrow terminal."""

from collections.abc import Callable

from rich.table import Table
from rich.text import Text

from core.plurals import format_count
from furrow.cli.common import format_minute, is_wide, out, styled_text
from incidents.incident import Incident, OwnedIncident

_STYLES = {"confirmed": "green", "regressed": "red", "resolved": "dim", "suppressed": "dim", "draft": "yellow"}


def style_status(incident: Incident) -> Text:
    """The status in its colour."""
    return styled_text(incident["status"], _STYLES.get(incident["status"], ""))


def print_incident_list(incidents: list[OwnedIncident]) -> None:
    """Print the incidents, one after the other."""
    if is_wide():
        out.print(_make_incident_table(incidents))
        return
    for incident in incidents:
        head = Text.assemble(styled_text(incident["priority"]), " ", style_status(incident), " ")
        sessions = format_count(incident["affectedSessions"], "session")
        still_open = f", {incident['openSessions']:,} open" if incident["openSessions"] else ""
        affected = f"{sessions}{still_open}, {format_count(incident['affectedUsers'], 'user')}"
        out.print(
            head,
            styled_text(
                f"{affected}, last seen {format_minute(incident['lastSeen'])}{_format_ticket_keys(incident)}", "dim"
            ),
        )
        out.print(styled_text(f"  {incident['title']}", "bold"))
        # Not wrapped, so that it can be copied.
        out.print(styled_text(f"  {incident['incidentId']}"), soft_wrap=True)


def _make_incident_table(incidents: list[OwnedIncident]) -> Table:
    columns: dict[str, Callable[[OwnedIncident], Text]] = {
        "": lambda incident: styled_text(incident["priority"]),
        "status": style_status,
        "incident": lambda incident: styled_text(incident["incidentId"]),
        "what fails": lambda incident: styled_text(incident["title"] + _format_ticket_keys(incident)),
        "sessions": lambda incident: styled_text(f"{incident['affectedSessions']:,}"),
        "open": lambda incident: styled_text(f"{incident['openSessions']:,}" if incident["openSessions"] else ""),
        "users": lambda incident: styled_text(f"{incident['affectedUsers']:,}"),
        "last seen (UTC)": lambda incident: styled_text(format_minute(incident["lastSeen"])),
    }
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in columns:
        is_number, is_prose = name in ("sessions", "open", "users"), name == "what fails"
        table.add_column(name, justify="right" if is_number else "left", no_wrap=not is_prose, overflow="fold")
    for incident in incidents:
        table.add_row(*(cell(incident) for cell in columns.values()))
    return table


def _format_ticket_keys(incident: Incident) -> str:
    keys = [ticket["key"] for ticket in incident["tickets"] if ticket["key"]]
    return f" [{', '.join(keys)}]" if keys else ""
