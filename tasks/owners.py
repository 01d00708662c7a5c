"""Owners of incidents for the steps of the flows: the rules of the setting FURROW_OWNERS_FILE, and people's assignments."""

from incidents.incident import IncidentDetail, OwnedIncidentDetail
from incidents.owners import owner_of


def add_owner(incident: IncidentDetail) -> OwnedIncidentDetail:
    """The incident with its owner, as the ticket's text names it."""
    owner = owner_of(incident)
    return {**incident, "owner": owner.to_json() if owner else None}
